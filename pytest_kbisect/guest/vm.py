"""A guest, from its boot or restore to its end: run commands in it, and find out how it failed."""

from __future__ import annotations

import contextlib
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pytest_kbisect.errors import InfraError
from pytest_kbisect.guest import disk, migration, resume, ssh_diagnosis
from pytest_kbisect.guest.clock import RunningTime
from pytest_kbisect.guest.console import Console, require_room
from pytest_kbisect.guest.disk import Layers
from pytest_kbisect.guest.migration import Frozen
from pytest_kbisect.guest.qemu import Machine, Qemu, Ram
from pytest_kbisect.guest.reached import Reached
from pytest_kbisect.guest.readiness import SERVICES_STARTED, sign_of
from pytest_kbisect.guest.ssh import CommandResult, CommandTimeoutError, Ssh, no_test
from pytest_kbisect.guest.ssh_diagnosis import SshDiagnosis
from pytest_kbisect.guest.watch import ConsoleWatch, cannot_write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_kbisect.crash import CrashReport
    from pytest_kbisect.errors import KernelCrash
    from pytest_kbisect.guest.initramfs import GuestImage

_QUIET = 0.1
"""Seconds of the guest's own clock that it is left alone after the reproducer is done: what has been put
off (RCU callbacks, work queues, timers of a few ticks) happens in them."""
_WARN_ONCE = "/sys/kernel/debug/clear_warn_once"
_SERVICES = 60.0
"""Seconds that the services of a disk image may take to start after its ssh server answers."""


class Guest:
    """A pristine guest. Use as a context manager; its QEMU ends with the block."""

    def __init__(
        self,
        machine: Machine,
        image: GuestImage,
        directory: Path,
        *,
        ram: Ram | None = None,
        console: bytes = b"",
        layer: int | None = None,
        frozen_layer: int | None = None,
    ) -> None:
        """Start QEMU; `directory` receives console.log and qemu.log. Call `boot` or `restore` next.

        Raises InfraError where QEMU does not start or the folder cannot be written.

        `ram` is a file for the guest's memory, `console` what a restored guest has said before. `layer`
        is a file for what it writes to its disk, where that is to be kept, and `frozen_layer` the one of
        the guest that it is restored from.
        """
        self.directory = directory
        self.machine = machine
        self.image = image
        self._ssh: Ssh | None = None
        self._reached: Reached | None = None
        self._clock: Callable[[], float] = time.monotonic
        self._settled = 0
        self.unsettled = False
        """Whether a command has ended since `settle` looked last."""
        self.boot_seconds = 0.0
        """What booting (and freezing) took, where that was done for this guest."""
        self.restore_seconds = 0.0
        self.boot_number: int | None = None
        """Which frozen boot it was restored from; None if it booted for itself."""
        self.boot_reports: tuple[CrashReport, ...] = ()
        self.printed = ""
        """What all commands have printed to their standard output."""
        with contextlib.ExitStack() as until_started:
            layers = None
            try:
                directory.mkdir(parents=True, exist_ok=True)
                (directory / "console.log").write_bytes(console)
                require_room(directory)
                if machine.disk is not None:
                    own = until_started.enter_context(disk.layer(machine.disk, directory, layer))
                    layers = Layers(own, frozen_layer)
            except OSError as error:
                raise cannot_write(error) from None
            self._qemu = Qemu(machine, directory, ram, layers)
        self.console = Console(self._qemu.console_path)
        self._watch = ConsoleWatch(self._qemu, self.console)
        self._diagnosis = SshDiagnosis(self._qemu, image, self._watch)

    @property
    def command(self) -> list[str]:
        """The QEMU command line."""
        return self._qemu.command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def running(self) -> bool:
        """Whether QEMU has not ended."""
        return self._qemu.running()

    def ssh_port(self) -> int:
        """The port on 127.0.0.1 that leads to the guest's port 22."""
        return self._qemu.ssh_port()

    def close(self) -> None:
        """End the guest; its console stays."""
        self._qemu.close()
        if self._ssh is not None:
            self._ssh.close()

    # -- booting ---------------------------------------------------------------------------------

    def boot(self, timeout: float = 120.0) -> None:
        """Wait until commands can be run.

        Raises BootError (kinds: "panic", "reboot", "hang", "ssh", "root") or InfraError ("qemu") after at
        most `timeout` seconds. Crash reports printed on the way up belong to the boot, not to a
        run: they are kept in `boot_reports`.
        """
        started = time.monotonic()
        port = self._qemu.ssh_port()
        with sign_of(self.machine.disk, port, self._watch) as sign:
            while True:
                self._watch.read()
                if sign.seen():
                    break
                if not self._qemu.running():
                    raise self._watch.boot_ended()
                if time.monotonic() - started > timeout:
                    raise sign.missing(timeout)
                time.sleep(0.02)
        self._ssh = self._connect(port, started + timeout)
        if self.machine.disk:
            self._wait_for_services(self._ssh, min(_SERVICES, started + timeout - time.monotonic()))
        self.boot_seconds = time.monotonic() - started
        self.boot_reports = self._watch.begin()
        if self.boot_reports:
            self._warn_again(self._ssh)

    @staticmethod
    def _warn_again(ssh: Ssh) -> None:
        """A WARN_ON_ONCE() that the boot has used up warns again (since 4.16, with CONFIG_DEBUG_FS)."""
        with contextlib.suppress(InfraError):
            ssh.run(f"echo 1 >{_WARN_ONCE}", timeout=ssh_diagnosis.ALIVE)

    def _wait_for_services(self, ssh: Ssh, timeout: float) -> None:
        """Wait until all services are started, or the time is over; commands can be run in both cases."""
        try:
            ssh.run(SERVICES_STARTED, timeout=timeout)
        except InfraError:
            if not self.running():
                raise self._watch.boot_ended() from None
            raise

    def freeze(self, program: Path | None = None, *, timeout: float = 60.0) -> Frozen:
        """Stop a booted guest whose memory is in a shared file; returns the rest of its state.

        `program` is that of resume.c. This guest is good for nothing afterwards. Raises InfraError
        where QEMU or the guest does not do it, KernelCrash where the kernel crashed meanwhile.
        """
        assert self._ssh is not None
        waits = program is not None and resume.install(self, program, self._qemu.line)
        self._ssh.close()
        self._qemu.wait_until_disconnected(timeout)  # else every restored guest would wait for that
        state = migration.save(self._qemu, timeout=timeout)
        self._watch.look()
        return Frozen(state, self.console.bytes(), waits=waits)

    def restore(self, frozen: Frozen, timeout: float) -> None:
        """Go on where the guest was frozen, with its own randomness and the time of day.

        Raises BootError, InfraError or KernelCrash where that does not work within `timeout` seconds.
        """
        started = time.monotonic()
        self.console.skip()
        port = self._qemu.ssh_port()
        migration.load(self._qemu, frozen.state, timeout=timeout)
        if frozen.waits:
            resume.send(self._qemu.line)
        self._qemu.execute("cont")
        self._ssh = self._connect(port, started + timeout)
        if frozen.waits:
            resume.wait_until_done(self._qemu.line)
        else:
            resume.run(self)
        self._watch.look()
        self._watch.begin()
        self.restore_seconds = time.monotonic() - started

    def _connect(self, port: int, deadline: float) -> Ssh:
        import paramiko

        while True:
            try:
                return Ssh(port, self.image, timeout=max(1.0, min(20.0, deadline - time.monotonic())))
            except (OSError, EOFError, paramiko.SSHException) as error:
                self._watch.read()
                if not self._qemu.running():
                    raise self._watch.boot_ended() from error
                if time.monotonic() > deadline:
                    raise self._watch.boot_failure("ssh", f"can't ssh into the guest: {error}") from error
                time.sleep(0.05)

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

        Raises KernelCrash as soon as the console shows a crash that ends the run (see `expect`),
        CommandTimeoutError at the deadline unless `may_time_out` (then the result's exit_status is None),
        InfraError when QEMU or ssh fails without a crash.
        """
        if self._ssh is None:
            raise InfraError("ssh", "the guest has not been booted")
        self.unsettled = False
        try:
            result = self._ssh.run(command, timeout=timeout, stdin=stdin, check=self._look, clock=self._clock)
        except InfraError as error:
            raise self._diagnosis.explain(error) from error
        if result.timed_out and not may_time_out:
            self.printed += result.stdout
            self._check_alive()
            raise CommandTimeoutError(
                f"{result.command!r} still ran after {timeout:g} s", console=self.console.tail()
            )
        self.unsettled = True
        self.printed += result.stdout
        return result

    def run_program(
        self, program: Path | str, *arguments: str, timeout: float = 30.0, may_time_out: bool = False
    ) -> CommandResult:
        """Copy an executable into the guest and run it; the rest is as in `run`."""
        remote = f"/tmp/{Path(program).name}"  # the guest's /tmp, and the guest is ours alone
        self.put(program, remote, mode=0o755)
        return self.run([remote, *arguments], timeout=timeout, may_time_out=may_time_out)

    def put(self, local: Path | str, remote: str, *, mode: int = 0o644) -> None:
        """Copy a file into the guest."""
        name = shlex.quote(remote)
        command = f"umask 077; cat >{name} && chmod {mode:o} {name}"
        with no_test():
            result = self.run(command, stdin=Path(local).read_bytes(), timeout=60)
        if result.exit_status:
            raise InfraError("ssh", f"cannot write {remote} in the guest: {result.stderr.strip()}")

    def get(self, remote: str, local: Path | str) -> None:
        """Copy a file out of the guest (text and binary; up to what fits in memory)."""
        import base64

        with no_test():
            result = self.run(["base64", remote], timeout=60)
        if result.exit_status:
            raise InfraError("ssh", f"cannot read {remote} in the guest: {result.stderr.strip()}")
        Path(local).write_bytes(base64.b64decode(result.stdout))

    def debug(self, socket: Path) -> None:
        """Let gdb attach at a unix socket (`target remote SOCKET`).

        From now on time limits stand still while gdb holds the guest, and a panic does not end it.
        Raises InfraError where QEMU does not listen.
        """
        self._qemu.serve_gdb(socket)
        self._clock = RunningTime(self._qemu.held)
        with no_test():
            self.run("echo 0 >/proc/sys/kernel/panic")

    def watch(self, entries: Mapping[str, Sequence[int]], socket: Path) -> Reached | None:
        """Note from now on which functions are executed; None where there are none to watch.

        `entries` are their addresses by name, `socket` a path for QEMU's stub. Raises InfraError where
        that cannot be had; the guest goes on all the same.
        """
        if not entries:
            return None
        socket.unlink(missing_ok=True)
        self._qemu.serve_gdb(socket)
        self._diagnosis.watched = True
        registers = None
        if self.machine.accelerator == "kvm":
            registers = self.machine.architecture.debug_registers
            self._watch.breakpoints = entries
        try:
            self._reached = Reached(socket, entries, self.machine.architecture, registers=registers)
        except InfraError:
            self._qemu.let_go()
            raise
        return self._reached

    def record_code(self, log: Path) -> None:
        """Write the code to a file that is executed from now on and was not before (see guest.executed).

        Raises InfraError where that cannot be had: with KVM the processor executes code that QEMU never sees.
        """
        if self.machine.accelerator != "tcg":
            raise InfraError(
                "qemu", "what a guest executes can be recorded under TCG: use --kbisect-accel=tcg"
            )
        self._qemu.log_code(log)

    def stop_recording(self) -> None:
        """Record no more; a guest that has ended records nothing anyway."""
        with contextlib.suppress(InfraError):
            self._qemu.stop_logging()

    def _look(self) -> None:
        """Look at the console (see `ConsoleWatch.look`), and have a guest go on whose stub has failed."""
        self._watch.look()
        if self._reached is not None and self._reached.trouble:
            self._reached = None
            with contextlib.suppress(InfraError):  # a guest that stands still is found by its time limit
                self._qemu.let_go()

    def expect(self, ends_run: Callable[[CrashReport], bool]) -> None:
        """From now on only reports of which `ends_run` says so, and panics, end a run at once.

        What else the kernel reports is raised by `settle`.
        """
        self._watch.ends_run = ends_run

    def crash(self) -> KernelCrash | InfraError | None:
        """What the console has shown since the run began; None if it is nothing."""
        self._watch.read()
        return self._watch.crash()

    # -- the verdict of the console ------------------------------------------------------------------

    def settle(self) -> None:
        """After the last command: wait for what it set off, and check that the guest still answers.

        The guest waits a moment by its own clock and then prints a line: what it printed before that
        has been read when the line has. Raises KernelCrash for all reports since the run began, if there
        are any that were not raised before, and for a guest that hangs, rebooted or is lost; InfraError when
        QEMU itself died.
        """
        if self._ssh is None:
            return
        self.unsettled = False
        self._settled += 1
        last = f"kbisect: end of run, look {self._settled}"
        try:
            answer = self._ssh.run(
                f"sleep {_QUIET}; echo '{last}' >/dev/kmsg",
                timeout=ssh_diagnosis.ALIVE,
                check=self._look,
                clock=self._clock,
            )
        except InfraError as error:
            raise self._diagnosis.explain(error) from error
        if answer.timed_out:
            raise self._diagnosis.hang()
        self._watch.read_up_to(last.encode())

    def _check_alive(self) -> None:
        if self._ssh is None:
            return
        try:
            answer = self._ssh.run("true", timeout=ssh_diagnosis.ALIVE, check=self._look, clock=self._clock)
        except InfraError as error:
            raise self._diagnosis.explain(error) from error
        if answer.timed_out:
            raise self._diagnosis.hang()
