"""One QEMU process: its command line, its monitor (QMP), its end.

The monitor runs over a socket pair, so there is no path to collide or to be left behind; the ssh
port is chosen by the kernel (hostfwd port 0) and asked for afterwards, so there is no race for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_kbisect import process
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import InfraError
from pytest_kbisect.guest.disk import escaped

if TYPE_CHECKING:
    from pathlib import Path

    from qemu.qmp import QMPClient

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.guest.disk import DiskImage, Layers

# No `quiet`: a WARN is printed at level 4 and `quiet` hides it. A panic reboots at once and
# -no-reboot turns that into the end of QEMU. A task hung for 10 s is hung: nothing here sleeps so
# long in the kernel, and the default of 120 s is longer than most runs.
_KERNEL_ARGUMENTS = "ignore_loglevel panic=-1 nokaslr net.ifnames=0 random.trust_cpu=on sysctl.kernel.hung_task_timeout_secs=10"


_ICOUNT = "shift=0,sleep=off"
"""One nanosecond of the guest's time for each instruction, and none for waiting: an idle guest's clock
jumps to its next timer. A larger shift means more timer interrupts for the same work, and `auto` follows
the host."""

_HELD = frozenset({"debug", "paused"})
"""What QEMU calls a guest that a debugger has stopped."""


def qemu_identity(qemu: str) -> str:
    """Which QEMU this is: another version does not understand what this one froze."""
    path = shutil.which(qemu)
    if path is None:
        return ""
    facts = os.stat(path)
    return f"{os.path.realpath(path)} {facts.st_size} {facts.st_mtime_ns}"


def icount_arguments(*, counts: bool) -> tuple[str, ...]:
    """What QEMU is given so that the guest's clock counts instructions."""
    return ("-icount", _ICOUNT) if counts else ()


def kernel_arguments(architecture: Architecture) -> str:
    """The command line of each kernel of this architecture."""
    words = (f"console={architecture.console}", _KERNEL_ARGUMENTS, architecture.kernel_arguments)
    return " ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class Ram:
    """A file that is the guest's memory, open for as long as QEMU needs to start.

    `private`: the file is a frozen guest's; what this one writes goes to pages of its own, and it waits
    for the rest of its state (`migration.load`). Otherwise the guest boots into the file. `also` are
    descriptors that QEMU holds as long as it runs.
    """

    descriptor: int
    private: bool
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What to boot and on what. `memory` is in MiB; `accelerator` is "kvm" or "tcg"; `cpu` a -cpu model.

    `disk` holds the user space, where the initramfs does not. `extra` are QEMU arguments of the user's,
    which come last. `icount`: time in the guest is counted in instructions, not in the host's seconds
    (under TCG and with one processor only): the same code takes the same time.
    """

    kernel: Path
    initramfs: Path | None
    disk: DiskImage | None = None
    memory: int = 512
    cpus: int = 2
    accelerator: str = "tcg"
    cpu: str = "max"
    architecture: Architecture = DEFAULT
    kernel_arguments: str = ""
    extra: tuple[str, ...] = field(default=())
    icount: bool = False

    def command(
        self,
        console: Path,
        monitor_fd: int,
        *,
        ram: Ram | None = None,
        line_fd: int = -1,
        layers: Layers | None = None,
        paused: bool = False,
    ) -> list[str]:
        """The QEMU command line. The network reaches nothing but our ssh (restrict=on).

        `monitor_fd` and `line_fd` are sockets that QEMU inherits: for QMP, and for the second serial line
        that a guest with `ram` has. A machine with a disk needs the `layers` over it. `paused`: it has no
        kernel, and does not run.
        """
        board = self.architecture.machine
        return [
            self.architecture.qemu,
            *("-machine", f"{board},memory-backend=ram" if ram else board),
            *(self._memory_in(ram) if ram else ()),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-accel", "tcg,thread=single" if self.icount else self.accelerator, "-cpu", self.cpu),
            *icount_arguments(counts=self.icount),
            *("-m", str(self.memory), "-smp", str(self.cpus)),
            *("-chardev", f"socket,id=monitor,fd={monitor_fd}", "-mon", "chardev=monitor,mode=control"),
            *(
                "-chardev",
                f"file,id=console,path={escaped(console)},append=on",
                "-serial",
                "chardev:console",
            ),
            *(self._second_serial(line_fd) if ram else ()),
            *("-device", "virtio-rng-pci"),
            *(word for device in self.architecture.devices for word in ("-device", device)),
            *("-netdev", "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"),
            *("-device", "virtio-net-pci,netdev=net0,romfile="),
            *(self.disk.arguments(layers) if self.disk and layers else ()),
            *(["-S"] if paused else self._boots()),
            # What a guest writes to a drive of the user's is thrown away.
            *((*self.extra, "-snapshot") if self.extra else ()),
        ]

    def _second_serial(self, line_fd: int) -> list[str]:
        line = ["-chardev", f"socket,id=line,fd={line_fd}"]
        device = self.architecture.second_serial_device
        return [*line, *(("-device", f"{device},chardev=line") if device else ("-serial", "chardev:line"))]

    def _boots(self) -> list[str]:
        initrd = ["-initrd", str(self.initramfs)] if self.initramfs else []
        return ["-kernel", str(self.kernel), *initrd, "-append", self.command_line]

    @property
    def command_line(self) -> str:
        """What the kernel is told."""
        return f"{kernel_arguments(self.architecture)} {self.kernel_arguments}".strip()

    def _memory_in(self, ram: Ram) -> list[str]:
        # The descriptor is inherited: no name of the file that could mean another one by now.
        backend = f"memory-backend-file,id=ram,size={self.memory}M,mem-path=/proc/self/fd/{ram.descriptor}"
        share = "off" if ram.private else "on"
        return ["-object", f"{backend},share={share}", *(["-incoming", "defer"] if ram.private else [])]


class Qemu:
    """A running QEMU. Dies with us, and with `close`."""

    def __init__(
        self,
        machine: Machine,
        directory: Path,
        ram: Ram | None = None,
        layers: Layers | None = None,
        *,
        paused: bool = False,
    ) -> None:
        """Start it; `paused`: without a kernel, to ask it about the machine. Raises InfraError."""
        self.machine = machine
        self.console_path = directory / "console.log"
        self._log = directory / "qemu.log"
        ours, theirs = socket.socketpair()
        self.line, their_line = socket.socketpair()
        """The guest's second serial line, where it has its memory in a file."""
        with theirs, their_line, self._log.open("wb") as log:
            self.command = machine.command(
                *(self.console_path, theirs.fileno()),
                ram=ram,
                line_fd=their_line.fileno(),
                layers=layers,
                paused=paused,
            )
            inherited = [theirs.fileno(), *(layers.descriptors() if layers else ())]
            inherited += (their_line.fileno(), ram.descriptor, *ram.also) if ram else ()
            self.process: subprocess.Popen[bytes] = process.start(
                self.command, stdout=log, stderr=subprocess.STDOUT, pass_fds=inherited
            )
        self._loop = asyncio.new_event_loop()
        self._monitor: QMPClient | None = None
        self._ended_by = ""
        try:
            self._loop.run_until_complete(self._connect(ours))
        except BaseException as error:
            ours.close()
            self.close()
            if not isinstance(error, Exception):  # Ctrl-C
                raise
            raise InfraError("qemu", f"QEMU did not start: {self.log_tail() or repr(error)}") from error

    async def _connect(self, ours: socket.socket) -> None:
        from qemu.qmp import QMPClient

        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)  # we report a dead QEMU
        client = QMPClient("kbisect")
        client.logger.setLevel(logging.CRITICAL)
        await asyncio.wait_for(client.connect(ours), timeout=30)
        self._monitor = client

    def execute(self, command: str, arguments: dict[str, Any] | None = None, *, timeout: float = 30) -> Any:
        """Run a QMP command. Raises InfraError when QEMU is gone, or does not answer in `timeout` seconds."""
        from qemu.qmp import QMPError

        if self._monitor is None:
            raise InfraError("qemu", "QEMU has ended")
        try:
            return self._loop.run_until_complete(
                asyncio.wait_for(self._monitor.execute(command, arguments), timeout)
            )
        except (QMPError, OSError, EOFError) as error:
            raise InfraError("qemu", f"QEMU failed at {command}: {error}") from error

    def ssh_port(self) -> int:
        """The port on 127.0.0.1 that leads to the guest's port 22."""
        table = self._connections()
        found = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", table)
        if not found:
            raise InfraError("qemu", f"QEMU forwards no ssh port: {table!r}")
        return int(found[1])

    def wait_until_disconnected(self, timeout: float) -> None:
        """Wait until the guest has closed its end of all TCP connections. Raises InfraError at `timeout`."""
        deadline = time.monotonic() + timeout
        while re.search(r"TCP\[(?:SYN|ESTABLISHED|CLOSE_WAIT|FIN_WAIT_1|LAST_ACK)", self._connections()):
            if time.monotonic() > deadline:
                raise InfraError("ssh", "the guest did not close its ssh connection")
            time.sleep(0.005)

    def _connections(self) -> str:
        return str(self.execute("human-monitor-command", {"command-line": "info usernet"}))

    def status(self) -> str:
        """QEMU's word for what the guest does (RunState in qapi/run-state.json). Raises as `execute`."""
        return str(self.execute("query-status")["status"])

    # -- what it executes ----------------------------------------------------------------------------

    def log_code(self, path: Path) -> None:
        """Write the code that QEMU translates from now on to a file, as assembly (`-d in_asm`).

        TCG translates each block of code when it is first executed, so that this is all that is executed and
        was not before. Raises InfraError where QEMU does not do it.
        """
        name = str(path).replace("\\", "\\\\").replace('"', '\\"')
        for line in (f'logfile "{name}"', "log in_asm"):
            said = str(self.execute("human-monitor-command", {"command-line": line})).strip()
            if said:
                raise InfraError(
                    "qemu", f"QEMU does not log what it translates: {said}: install one with TCG"
                )

    def stop_logging(self) -> None:
        """Log no more. Raises InfraError where QEMU is gone."""
        self.execute("human-monitor-command", {"command-line": "log none"})

    # -- debugging -----------------------------------------------------------------------------------

    def serve_gdb(self, socket: Path) -> None:
        """Have QEMU's gdb stub listen at a unix socket."""
        line = f"gdbserver unix:{escaped(socket)},server=on,wait=off"
        said = str(self.execute("human-monitor-command", {"command-line": line}))
        if not socket.exists():
            raise InfraError("qemu", f"QEMU does not listen for gdb: {said.strip()}")

    def held(self) -> bool:
        """Whether a debugger has stopped the guest: at a breakpoint, or when it connected."""
        try:
            return self.status() in _HELD
        except InfraError:
            return False

    def let_go(self, timeout: float = 5.0) -> None:
        """Have a guest that a debugger has left run on.

        Raises InfraError where it does not within `timeout` seconds, or stands still for another reason.
        """
        deadline = time.monotonic() + timeout
        while (status := self.status()) != "running":
            if status not in _HELD or time.monotonic() > deadline:
                raise InfraError("qemu", f"QEMU does not let the guest run on: it is {status}")
            self.execute("cont")
            time.sleep(0.01)

    def lend(self, descriptor: int, name: str) -> None:
        """Give QEMU a descriptor under a name. Raises InfraError where it does not take it."""
        if self._monitor is None:
            raise InfraError("qemu", "QEMU has ended")
        try:
            self._monitor.send_fd_scm(descriptor)
        except OSError as error:
            raise InfraError("qemu", f"QEMU did not accept a file descriptor: {error}") from error
        self.execute("getfd", {"fdname": name})

    # -- the end -----------------------------------------------------------------------------------

    def running(self) -> bool:
        return self.process.poll() is None

    def ended_by(self) -> str:
        """What of the guest's ended QEMU: "guest-reset", "guest-shutdown"..., or "" where nothing did."""
        if not self._ended_by and self._monitor is not None:
            with contextlib.suppress(TimeoutError):
                self._loop.run_until_complete(asyncio.wait_for(self._read_end(), timeout=1))
        return self._ended_by

    async def _read_end(self) -> None:
        if self._monitor is None:
            return
        events: Any = self._monitor.events
        async for event in events:
            if event["event"] == "SHUTDOWN":
                # Others end it too: SIGTERM, which a host that runs out of memory or shuts down sends.
                if event["data"]["guest"]:
                    self._ended_by = str(event["data"].get("reason", "guest"))
                return

    def log_tail(self) -> str:
        """What QEMU itself said last (not the guest)."""
        return process.tail(self._log.read_bytes(), 5)

    def close(self) -> None:
        """Kill QEMU: it has nothing to save."""
        from qemu.qmp import QMPError

        process.kill(self.process)
        self.line.close()
        if self._loop.is_closed():
            return
        if self._monitor is not None:
            with contextlib.suppress(QMPError, OSError, EOFError):  # why the connection ended: we ended it
                self._loop.run_until_complete(asyncio.wait_for(self._monitor.disconnect(), timeout=2))
            self._monitor = None
        self._loop.close()
