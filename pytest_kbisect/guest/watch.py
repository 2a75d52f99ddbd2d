"""What a guest's console, and the way QEMU ended, say about the kernel while commands run in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_kbisect.crash import ConsoleReader, CrashReport
from pytest_kbisect.errors import BootError, GuestError, InfraError, KernelCrash
from pytest_kbisect.guest.console import require_room

if TYPE_CHECKING:
    from pytest_kbisect.guest.console import Console
    from pytest_kbisect.guest.qemu import Qemu

_REPORT_LIMIT = 5.0
"""Seconds a begun crash report may take to be complete before it is taken as it is."""
_SILENT = 0.4
"""A console without the line waited for, and silent for so many seconds, has said what it had to say."""
_READ_LIMIT = 5.0
_KEPT = 4096
"""Bytes of what was read before that `recent` keeps: a line that is looked for may come in two pieces."""


def cannot_write(error: OSError) -> InfraError:
    """The error for a folder of the host's in which a guest cannot leave what it says or writes."""
    return InfraError("disk", f"cannot write a guest's console or disk: {error}")


class ConsoleWatch:
    """Reads one console while it grows. `recent` ends with what was read last."""

    def __init__(self, qemu: Qemu, console: Console) -> None:
        self._qemu = qemu
        self.console = console
        self._reader = ConsoleReader()
        self._reports: list[CrashReport] = []
        self._pending_since: float | None = None
        self._read_bytes = 0
        self.recent = b""

    @property
    def pending(self) -> bool:
        """A crash has begun whose report is not complete."""
        return self._reader.pending

    def begin(self) -> tuple[CrashReport, ...]:
        """Start a run: what was printed so far does not belong to it. Returns the crashes in that."""
        before = self.finish()
        self._reports, self._reader, self._pending_since, self.recent = [], ConsoleReader(), None, b""
        return before

    def read(self) -> None:
        """Read what is new on the console; raises nothing."""
        if chunk := self.console.read_new():
            if not self._reader.begun:  # a report's time begins with it, not with a line held back
                self._pending_since = None
            self._read_bytes += len(chunk)
            self.recent = self.recent[-_KEPT:] + chunk
            self._reports.extend(self._reader.feed(chunk))

    def finish(self) -> tuple[CrashReport, ...]:
        """Take reports as they are; returns all since the run began."""
        self._reports.extend(self._reader.finish())
        return tuple(self._reports)

    def look(self) -> None:
        """Read what is new. Raises KernelCrash for a crash or a reboot, InfraError where QEMU itself died."""
        ended = not self._qemu.running()  # asked first: what was printed until then is read
        self.read()
        now = time.monotonic()
        if self._reader.pending and not self._reports:
            self._pending_since = self._pending_since or now
            if ended or now - self._pending_since > _REPORT_LIMIT:
                self._reports.extend(self._reader.finish())
        if self._reports:
            raise KernelCrash(self._reports[0])
        if ended:
            self._look_at_the_end()
            if self._qemu.ended_by():
                raise self.disk_failure() or self.silent("unexpected kernel reboot", "REBOOT")
            raise InfraError("qemu", self.qemu_died(), console=self.console.tail())

    def read_up_to(self, line: bytes) -> None:
        """Read until the console has this line and no report is under way, or is silent.

        Raises as `look` does, KernelCrash for a report that is not complete then, and InfraError where the
        line is missing because the host's disk is full: so may be a crash.
        """
        started = heard = time.monotonic()
        read = -1
        while (now := time.monotonic()) - started < _READ_LIMIT:
            self.look()
            if line in self.recent and not self.pending:
                break
            if self._read_bytes != read:
                read, heard = self._read_bytes, now
            if now - heard > _SILENT:
                break
            time.sleep(0.005)
        self._look_at_the_end()
        if line not in self.recent and (failure := self.disk_failure()):
            raise failure

    def _look_at_the_end(self) -> None:
        """The console will say no more. Raises KernelCrash for what it said."""
        if reports := self.finish():
            raise KernelCrash(reports[0])

    def reason(self) -> KernelCrash | InfraError | None:
        """What `look` would raise now."""
        try:
            self.look()
        except (KernelCrash, InfraError) as reason:
            return reason
        return None

    def qemu_died(self) -> str:
        status = self._qemu.process.returncode
        return f"QEMU died (exit status {status}): {self._qemu.log_tail() or 'it said nothing'}"

    def disk_failure(self) -> InfraError | None:
        """The error, if the host's disk takes no more of the console, or has stopped the guest; else None."""
        try:
            require_room(self.console.path.parent)
        except OSError as error:
            return cannot_write(error)
        disk = self._qemu.machine.disk
        if disk is None or not self._qemu.running() or not self._qemu.stopped_by_disk():
            return None
        folder = self.console.path.parent
        words = (
            f"QEMU stopped the guest: {disk.path} cannot be read, or {folder} has no room for what it writes"
        )
        return InfraError("disk", words, console=self.console.tail())

    def boot_ended(self) -> GuestError:
        """Why QEMU ended before the guest was up."""
        reason = self._qemu.ended_by()
        self.read()
        if not reason:
            return InfraError("qemu", self.qemu_died(), console=self.console.tail())
        if self.finish():
            return self.boot_failure("panic", "the kernel panicked")
        return self.disk_failure() or self.boot_failure(
            "reboot", f"the guest rebooted without a message ({reason})"
        )

    def boot_failure(self, kind: str, words: str) -> BootError:
        """A boot that failed: a crash on the console says more than `words`."""
        reports = self.finish()
        message = f"boot failed: {reports[0].title}" if reports else f"boot failed: {words}"
        return BootError(kind, message, console=self.console.tail())

    def silent(self, title: str, kind: str) -> KernelCrash:
        """A crash of which the console has no word."""
        return KernelCrash(CrashReport(title=title, type=kind, report=self.console.tail()))
