"""What a guest's console, and the way QEMU ended, say about the kernel while commands run in it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import TYPE_CHECKING

from pytest_kbisect.crash import ConsoleReader, CrashReport
from pytest_kbisect.crash.fatality import PANIC, Fatality, fatality, panic_setting
from pytest_kbisect.errors import BootError, GuestError, InfraError, KernelCrash
from pytest_kbisect.guest.blame import function_blamed
from pytest_kbisect.guest.console import require_room

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_kbisect.guest.console import Console
    from pytest_kbisect.guest.qemu import Qemu

_REPORT_LIMIT = 5.0
"""Seconds a begun crash report may take to be complete before it is taken as it is."""
_SILENT = 0.4
"""A console without the line waited for, and silent for so many seconds, has said what it had to say."""
_READ_LIMIT = 5.0
_LAST_WORDS = 64 << 10
"""Bytes of a console in which a panic's reason is looked for."""
_GUESTS_OWN = frozenset({"running", "suspended", "shutdown", "guest-panicked", "watchdog"})
"""What QEMU calls a guest that runs, or has stopped itself; in all other states QEMU has stopped it."""
_KEPT = 4096
"""Bytes of what was read before that `recent` keeps: a line that is looked for may come in two pieces."""


def cannot_write(error: OSError) -> InfraError:
    """The error for a folder of the host's in which a guest cannot leave what it says or writes."""
    return InfraError("disk", f"cannot write a guest's console or disk: {error}")


class ConsoleWatch:
    """Reads one console while it grows. `recent` ends with what was read last.

    `ends_run` says of a report whether it ends the run; by default each one does. A
    panic always ends it. What else is reported is kept, and raised when the console says no more.
    """

    def __init__(self, qemu: Qemu, console: Console) -> None:
        self._qemu = qemu
        self.console = console
        self._reader = ConsoleReader()
        self._reports: list[CrashReport] = []
        self._raised = self._judged = 0
        self._over = False
        self._pending_since: float | None = None
        self._heard = 0.0
        self._read_bytes = 0
        self.recent = b""
        self.ends_run: Callable[[CrashReport], bool] = lambda _: True
        self.breakpoints: Mapping[str, Sequence[int]] = {}
        """Entries of functions by name, where breakpoints of ours are and the kernel may notice them."""

    @property
    def pending(self) -> bool:
        """A crash has begun whose report is not complete."""
        return self._reader.pending

    def begin(self) -> tuple[CrashReport, ...]:
        """Start a run: what was printed so far does not belong to it. Returns the crashes in that."""
        before = self.finish()
        self._reports, self._reader, self._pending_since, self.recent = [], ConsoleReader(), None, b""
        self._raised = self._judged = 0
        self._over = False
        return before

    def read(self) -> None:
        """Read what is new on the console; raises nothing."""
        if chunk := self.console.read_new():
            if not self._reader.begun:  # a report's time begins with it, not with a line held back
                self._pending_since = None
            self._heard = time.monotonic()
            self._read_bytes += len(chunk)
            self.recent = self.recent[-_KEPT:] + chunk
            self._reports.extend(self._reader.feed(chunk))

    def finish(self) -> tuple[CrashReport, ...]:
        """Take reports as they are; returns all since the run began."""
        self._reports.extend(self._reader.finish())
        return tuple(self._reports)

    def crash(self, *, whole: bool = False) -> KernelCrash | InfraError | None:
        """The crash that the reports since the run began come to, taken as they are; None without any.

        `whole`: the run has gone to its end, unless one of them has killed something. The host's failure,
        where a breakpoint of ours made the kernel report something.
        """
        if not (reports := self.finish()):
            return None
        self._raised = len(reports)
        wanted = next((report for report in reports if self.ends_run(report)), reports[0])
        said = self._last_words()
        if self.breakpoints and (name := function_blamed(said, self.breakpoints)):
            return InfraError(
                "qemu",
                f"the kernel reports our breakpoint at {name}: {wanted.title}",
                console=self.console.tail(),
            )
        alive = PANIC not in said and all(fatality(report) is Fatality.NONE for report in reports)
        return KernelCrash(wanted, reports=reports, whole=whole and alive, setting=panic_setting(said))

    def _last_words(self) -> str:
        return self.console.bytes()[-_LAST_WORDS:].decode("utf-8", "replace")

    def look(self) -> None:
        """Read what is new.

        Raises KernelCrash for a report that ends the run, a panic or a reboot, InfraError where QEMU itself
        died.
        """
        ended = not self._qemu.running()  # asked first: what was printed until then is read
        self.read()
        self._take_what_waits_too_long()
        new, self._judged = self._reports[self._judged :], len(self._reports)
        self._over = self._over or any(
            fatality(report) is Fatality.KERNEL or self.ends_run(report) for report in new
        )
        if self._over:
            self._look_at_the_end()
        if not ended:
            return
        reports = self.finish()
        if not self._qemu.ended_by():
            if crash := self.crash():
                raise crash
            raise InfraError("qemu", self.qemu_died(), console=self.console.tail())
        failure = None if reports else self.host_failure()
        raise failure or self.silent("unexpected kernel reboot", "REBOOT")

    def _take_what_waits_too_long(self) -> None:
        """Take a begun report as it is after a while; one that is being printed has a little more."""
        if not self._reader.pending:
            return
        now = time.monotonic()
        self._pending_since = self._pending_since or now
        waited = now - self._pending_since
        if waited > 2 * _REPORT_LIMIT or (waited > _REPORT_LIMIT and now - self._heard > _SILENT):
            self.finish()
            self._pending_since = None

    def read_up_to(self, line: bytes) -> None:
        """Read until the console has this line and no report is under way, or is silent.

        Raises as `look` does, KernelCrash for all other reports since the run began that were not raised,
        and InfraError where the line is missing because the host's disk is full: so may be a crash.
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
        if len(self.finish()) > self._raised and (crash := self.crash(whole=True)):
            raise crash
        if line not in self.recent and (failure := self.host_failure()):
            raise failure

    def _look_at_the_end(self) -> None:
        """The run is over. Raises KernelCrash for what its console said."""
        if crash := self.crash():
            raise crash

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

    def host_failure(self) -> InfraError | None:
        """The error, if the host does not let the guest run or takes no more of its console; else None."""
        try:
            require_room(self.console.path.parent)
        except OSError as error:
            return cannot_write(error)
        if not self._qemu.running():
            return None
        try:
            status = self._qemu.status()
        except InfraError as error:
            with contextlib.suppress(subprocess.TimeoutExpired):  # the monitor may end a moment earlier
                self._qemu.process.wait(2.0)
            if not self._qemu.running():
                return None
            return InfraError("qemu", f"QEMU does not answer: {error.args[0]}", console=self.console.tail())
        if status in _GUESTS_OWN:
            return None
        disk, folder = self._qemu.machine.disk, self.console.path.parent
        if status == "io-error" and disk is not None:
            return InfraError(
                "disk",
                f"QEMU stopped the guest: {disk.path} cannot be read, or {folder} has no room for what it writes",
                console=self.console.tail(),
            )
        said = self._qemu.log_tail() or "it printed nothing"
        return InfraError("qemu", f"QEMU stopped the guest ({status}): {said}", console=self.console.tail())

    def boot_ended(self) -> GuestError:
        """Why QEMU ended before the guest was up."""
        reason = self._qemu.ended_by()
        self.read()
        if not reason:
            return InfraError("qemu", self.qemu_died(), console=self.console.tail())
        if self.finish():
            return self.boot_failure("panic", "the kernel panicked")
        return self.host_failure() or self.boot_failure(
            "reboot", f"the guest rebooted without a message ({reason})"
        )

    def boot_failure(self, kind: str, words: str) -> BootError:
        """A boot that failed: a crash on the console says more than `words`."""
        reports = self.finish()
        message = f"boot failed: {reports[0].title}" if reports else f"boot failed: {words}"
        return BootError(kind, message, console=self.console.tail())

    def silent(self, title: str, kind: str) -> KernelCrash | InfraError:
        """A crash of which the console has no word, unless something before it has killed the guest."""
        killed = any(fatality(report) is not Fatality.NONE for report in self.finish())
        if not killed and not (self._reports and PANIC in self._last_words()):
            self._reports.append(CrashReport(title=title, type=kind, report=self.console.tail()))
        crash = self.crash()
        assert crash is not None
        return crash
