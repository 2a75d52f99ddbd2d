"""A guest from boot to end: boot it, run things in it, watch its console, tell how it failed."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import TYPE_CHECKING, Self

from pytest_kbisect.crash import ConsoleReader, CrashReport
from pytest_kbisect.errors import BootError, GuestError, InfraError, KernelCrash
from pytest_kbisect.guest.console import Console
from pytest_kbisect.guest.qemu import Machine, Qemu
from pytest_kbisect.guest.ssh import CommandResult, CommandTimeoutError, Ssh

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kbisect.guest.image import GuestImage

READY = b"kbisect: guest ready"
"""What the default image's init prints once sshd listens."""

_SETTLE = 0.4
"""A console silent for so many seconds after the reproducer is done has said what it had to say."""
_SETTLE_LIMIT = 5.0
_REPORT_LIMIT = 5.0
"""Seconds a begun crash report may take to be complete before it is taken as it is."""
_ALIVE = 10.0
"""A guest that does not run `true` within so many seconds hangs (a busy TCG guest needs 1)."""


class Guest:
    """A pristine guest. Use as a context manager; its QEMU ends with the block."""

    def __init__(self, machine: Machine, image: GuestImage, directory: Path) -> None:
        """Start QEMU; `directory` receives console.log and qemu.log."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.machine = machine
        self._image = image
        self._reader = ConsoleReader()
        self._reports: list[CrashReport] = []
        self._pending_since: float | None = None
        self._ssh: Ssh | None = None
        self.boot_seconds = 0.0
        self.boot_reports: tuple[CrashReport, ...] = ()
        self._qemu = Qemu(machine, directory)
        self.console = Console(self._qemu.console_path)

    @property
    def command(self) -> list[str]:
        """The QEMU command line."""
        return self._qemu.command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the guest; its console stays."""
        self._qemu.close()
        if self._ssh is not None:
            self._ssh.close()

    # -- booting ---------------------------------------------------------------------------------

    def boot(self, timeout: float = 120.0) -> None:
        """Wait until commands can be run.

        Raises BootError (kinds: "panic", "reboot", "hang", "ssh") or InfraError ("qemu") after at
        most `timeout` seconds. Crash reports printed on the way up belong to the boot, not to a
        run: they are kept in `boot_reports`.
        """
        started = time.monotonic()
        port = self._qemu.ssh_port()
        seen = b""
        while True:
            chunk = self.console.read_new()
            seen = (seen + chunk)[-4096 - len(chunk) :]
            self._collect(chunk)
            if READY in seen:
                break
            if not self._qemu.running():
                raise self._boot_ended()
            if time.monotonic() - started > timeout:
                raise self._boot_failure("hang", f"no sign of user space after {timeout:.0f} s")
            time.sleep(0.02)
        self._ssh = self._connect(port, started + timeout)
        self.boot_seconds = time.monotonic() - started
        self.boot_reports = (*self._reports, *self._reader.finish())
        self._reports, self._reader, self._pending_since = [], ConsoleReader(), None

    def _connect(self, port: int, deadline: float) -> Ssh:
        import paramiko

        while True:
            try:
                return Ssh(port, self._image, timeout=max(1.0, min(20.0, deadline - time.monotonic())))
            except (OSError, EOFError, paramiko.SSHException) as error:
                self._collect(self.console.read_new())
                if not self._qemu.running():
                    raise self._boot_ended() from error
                if time.monotonic() > deadline:
                    raise self._boot_failure("ssh", f"can't ssh into the guest: {error}") from error
                time.sleep(0.05)

    def _boot_ended(self) -> GuestError:
        reason = self._qemu.ended_by()
        self._collect(self.console.read_new())
        if not reason:
            return InfraError("qemu", self._qemu_died(), console=self.console.tail())
        if self._reports or self._reader.pending:
            return self._boot_failure("panic", "the kernel panicked")
        return self._boot_failure("reboot", f"the guest rebooted without a word ({reason})")

    def _boot_failure(self, kind: str, words: str) -> BootError:
        reports = [*self._reports, *self._reader.finish()]
        message = f"boot failed: {reports[0].title}" if reports else f"boot failed: {words}"
        return BootError(kind, message, console=self.console.tail())

    def _qemu_died(self) -> str:
        status = self._qemu.process.returncode
        return f"QEMU died (exit status {status}): {self._qemu.words() or 'it said nothing'}"

    # -- running ---------------------------------------------------------------------------------

    def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float = 30.0,
        stdin: bytes = b"",
        may_time_out: bool = False,
    ) -> CommandResult:
        """Run a command (a string is a shell line) for at most `timeout` seconds.

        Raises KernelCrash as soon as the console shows a crash, CommandTimeoutError at the deadline
        unless `may_time_out` (then the result's exit_status is None), InfraError when QEMU or ssh
        fails without a crash.
        """
        if self._ssh is None:
            raise InfraError("ssh", "the guest has not been booted")
        try:
            result = self._ssh.run(command, timeout=timeout, stdin=stdin, watch=self._watch)
        except InfraError as error:
            raise self._explained(error) from error
        if result.timed_out and not may_time_out:
            self._check_alive()
            raise CommandTimeoutError(
                f"{result.command!r} still ran after {timeout:g} s", console=self.console.tail()
            )
        return result

    def run_program(
        self, program: Path, *arguments: str, timeout: float = 30.0, may_time_out: bool = False
    ) -> CommandResult:
        """Copy an executable into the guest and run it; the rest is as in `run`."""
        remote = f"/tmp/{program.name}"  # the guest's /tmp, and the guest is ours alone
        self.put(program, remote, mode=0o755)
        return self.run([remote, *arguments], timeout=timeout, may_time_out=may_time_out)

    def put(self, local: Path, remote: str, *, mode: int = 0o644) -> None:
        """Copy a file into the guest."""
        result = self.run(
            f'umask 077; cat >"{remote}" && chmod {mode:o} "{remote}"', stdin=local.read_bytes(), timeout=60
        )
        if result.exit_status:
            raise InfraError("ssh", f"cannot write {remote} in the guest: {result.stderr.strip()}")

    def get(self, remote: str, local: Path) -> None:
        """Copy a file out of the guest (text and binary; up to what fits in memory)."""
        import base64

        result = self.run(["base64", remote], timeout=60)
        if result.exit_status:
            raise InfraError("ssh", f"cannot read {remote} in the guest: {result.stderr.strip()}")
        local.write_bytes(base64.b64decode(result.stdout))

    # -- the verdict of the console ------------------------------------------------------------------

    def settle(self) -> None:
        """After the last command: wait until the console is quiet, and see that the guest still answers.

        Raises KernelCrash for what was printed since the boot, a guest that hangs, rebooted or is
        lost, and InfraError when QEMU itself died.
        """
        started = quiet_since = time.monotonic()
        size = -1
        while (now := time.monotonic()) - quiet_since < _SETTLE and now - started < _SETTLE_LIMIT:
            self._watch()
            if (grown := self.console.path.stat().st_size) != size:
                size, quiet_since = grown, now
            time.sleep(0.02)
        self._check_alive()

    def _check_alive(self) -> None:
        if self._ssh is None:
            return
        try:
            answered = not self._ssh.run("true", timeout=_ALIVE, watch=self._watch).timed_out
        except InfraError as error:
            raise self._explained(error) from error
        if not answered:
            raise KernelCrash(self._silent_report("no response from the guest", "HANG"))

    def _collect(self, chunk: bytes) -> None:
        if chunk:
            self._reports.extend(self._reader.feed(chunk))

    def _watch(self) -> None:
        """Raise for a crash on the console or the end of QEMU; called while commands run."""
        self._collect(self.console.read_new())
        ended = not self._qemu.running()
        now = time.monotonic()
        if self._reader.pending and not self._reports:
            self._pending_since = self._pending_since or now
            if ended or now - self._pending_since > _REPORT_LIMIT:
                self._reports.extend(self._reader.finish())
        if self._reports:
            raise KernelCrash(self._reports[0])
        if ended:
            self._collect(self.console.read_new())  # what came between the two looks
            self._reports.extend(self._reader.finish())
            if self._reports:
                raise KernelCrash(self._reports[0])
            if self._qemu.ended_by():
                raise KernelCrash(self._silent_report("unexpected kernel reboot", "REBOOT"))
            raise InfraError("qemu", self._qemu_died(), console=self.console.tail())

    def _explained(self, error: InfraError) -> Exception:
        """Why ssh failed: a crash still being printed, a guest that is gone, or the host's side."""
        if error.kind != "ssh":
            return error
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            if ended := self._ended():
                return ended
            if not self._reader.pending:
                break
            time.sleep(0.05)
        return self._try_again(error)

    def _ended(self) -> KernelCrash | InfraError | None:
        """What `_watch` would raise now."""
        try:
            self._watch()
        except (KernelCrash, InfraError) as reason:
            return reason
        return None

    def _try_again(self, error: InfraError) -> Exception:
        """What a second connection says of a first one that failed: silence is a hang, a refusal is not."""
        import paramiko

        asked = time.monotonic()
        try:
            Ssh(self._qemu.ssh_port(), self._image, timeout=_ALIVE).close()
        except InfraError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._qemu.process.wait(2.0)  # the monitor knows a moment before the process is gone
            return self._ended() or InfraError("qemu", "QEMU does not answer", console=self.console.tail())
        except (OSError, EOFError, paramiko.SSHException):
            if time.monotonic() - asked >= _ALIVE:
                return KernelCrash(self._silent_report("no response from the guest", "HANG"))
            return KernelCrash(self._silent_report("lost connection to the guest", "LOST_CONNECTION"))
        words = f"{error.args[0]} (the guest still answers)"
        return InfraError("ssh", words, console=self.console.tail())

    def _silent_report(self, title: str, kind: str) -> CrashReport:
        return CrashReport(title=title, type=kind, report=self.console.tail())
