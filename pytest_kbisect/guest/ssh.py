"""Commands in a guest over ssh, with our own deadlines: a dead guest must not hold us up.

paramiko never notices a peer that stopped answering, so every wait here is bounded and calls
`check` in between; `check` raises when the guest crashed or QEMU ended.
"""

from __future__ import annotations

import contextlib
import logging
import select
import shlex
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.errors import BootError, GuestError, InfraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import paramiko

    from pytest_kbisect.guest.disk import DiskImage
    from pytest_kbisect.guest.initramfs import GuestImage

_POLL = 0.05
"""Seconds between two looks at the console while a command runs."""
_REST = 1.0
"""Seconds for what comes after a command's status; a daemon it left may keep the output open for ever."""
_OPEN, _HELD = 30.0, 86400.0
"""Seconds in which a guest begins a command; one that a debugger may hold has a day."""


class CommandTimeoutError(GuestError):
    """A command was still running at its deadline, in a guest that otherwise answers."""

    def __init__(self, message: str, *, console: str = "") -> None:
        super().__init__("time-out", message, console=console)


@contextlib.contextmanager
def no_test() -> Iterator[None]:
    """For commands that no test has asked for: raises InfraError where one is not done in time."""
    try:
        yield
    except CommandTimeoutError as error:
        raise InfraError("ssh", error.args[0], console=error.console) from None


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command in the guest ended. `exit_status` is None where it was stopped at its deadline."""

    command: str
    exit_status: int | None
    stdout: str
    stderr: str
    seconds: float

    @property
    def timed_out(self) -> bool:
        return self.exit_status is None


def shell_line(command: str | Sequence[str]) -> str:
    """A command as a line for the guest's shell: a string is one already, a list of words is quoted."""
    return command if isinstance(command, str) else shlex.join(command)


class Ssh:
    """One connection to one guest."""

    def __init__(self, port: int, image: GuestImage, *, timeout: float) -> None:
        """Connect within `timeout` seconds. Raises OSError or paramiko's SSHException where that fails.

        Raises BootError where a disk image's ssh server does not let root in, whatever is tried.
        """
        import paramiko

        logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # our errors say what fails
        host = f"[127.0.0.1]:{port}"
        self._client = paramiko.SSHClient()
        if image.disk is None:
            key = paramiko.Ed25519Key(data=image.host_key)
            self._client.get_host_keys().add(host, image.host_key_type, key)
            self._client.set_missing_host_key_policy(paramiko.RejectPolicy())
        else:  # see image
            self._client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        connection = socket.create_connection(("127.0.0.1", port), timeout)
        try:
            self._log_in(port, connection, image, timeout)
        except BaseException:
            connection.close()
            self._client.close()
            raise

    def _log_in(self, port: int, connection: socket.socket, image: GuestImage, timeout: float) -> None:
        import paramiko

        started = time.monotonic()
        try:
            self._client.connect(
                "127.0.0.1",
                port,
                username="root",
                sock=connection,
                pkey=paramiko.ECDSAKey.from_private_key_file(str(image.client_key)),
                allow_agent=False,
                look_for_keys=False,
                timeout=timeout,
                banner_timeout=timeout,
                auth_timeout=timeout,
            )
        except paramiko.AuthenticationException:
            if image.disk is None or time.monotonic() - started >= timeout:
                raise
            self._log_in_without_key(image.disk)

    def _log_in_without_key(self, disk: DiskImage) -> None:
        """As images made for tests allow it: with no password, or an empty one."""
        import paramiko

        ways: tuple[Callable[[paramiko.Transport], object], ...] = (
            lambda transport: transport.auth_none("root"),
            lambda transport: transport.auth_password("root", ""),
        )
        for log_in in ways:
            transport = self._client.get_transport()
            if transport is None or not transport.is_active():
                raise paramiko.SSHException("the connection was lost while logging in")
            with contextlib.suppress(paramiko.AuthenticationException):
                log_in(transport)
            if transport.is_authenticated():
                return
        raise BootError(
            "ssh",
            f"the ssh server of {disk.path} does not let root in: not with our key, which is in root's "
            ".ssh/authorized_keys, not without a password and not with an empty one: allow one of these in it",
        )

    def run(
        self,
        command: str | Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> CommandResult:
        """Run a command for at most `timeout` seconds; at the deadline the channel is closed, not awaited.

        `clock` gives the seconds: one that can stand still is for a guest that a debugger can hold.

        Raises InfraError when the connection is lost, and whatever `check` raises.
        """
        import paramiko

        started = clock()
        line = shell_line(command)
        out, err = bytearray(), bytearray()
        status: int | None = None
        channel: paramiko.Channel | None = None
        try:
            transport = self._client.get_transport()
            if transport is None or not transport.is_active():
                raise InfraError("ssh", "the ssh connection is gone")
            begin = max(1.0, min(timeout, _OPEN)) if clock is time.monotonic else _HELD
            channel = transport.open_session(timeout=begin)
            with _closed_after(channel, _OPEN if clock is time.monotonic else _HELD):
                channel.exec_command(line)
            pending = memoryview(stdin)
            if not stdin:
                channel.shutdown_write()
            channel.setblocking(False)
            while True:
                pending = _send(channel, pending)
                self._receive(channel, out, err)
                if channel.exit_status_ready():
                    status = channel.recv_exit_status()
                    if status < 0 and not transport.is_active():
                        raise InfraError("ssh", f"the ssh connection was lost during {line!r}")
                    self._receive_rest(channel, out, err)
                    break
                if not transport.is_active():
                    raise InfraError("ssh", f"the ssh connection was lost during {line!r}")
                check()
                if clock() - started >= timeout:
                    break
                select.select([channel], [], [], 0.002 if len(pending) else _POLL)
        except InfraError:
            check()  # a crash explains a lost connection better than the loss itself
            raise
        except (OSError, EOFError) as error:
            check()
            raise InfraError("ssh", f"the ssh connection failed during {line!r}: {error}") from error
        except paramiko.SSHException as error:
            check()
            raise InfraError("ssh", f"ssh failed during {line!r}: {error}") from error
        finally:
            if channel is not None:
                with contextlib.suppress(Exception):
                    channel.close()
        return CommandResult(
            line,
            status,
            out.decode("utf-8", "replace"),
            err.decode("utf-8", "replace"),
            clock() - started,
        )

    @staticmethod
    def _receive(channel: paramiko.Channel, out: bytearray, err: bytearray) -> None:
        while channel.recv_ready():
            out += channel.recv(1 << 16)
        while channel.recv_stderr_ready():
            err += channel.recv_stderr(1 << 16)

    @classmethod
    def _receive_rest(cls, channel: paramiko.Channel, out: bytearray, err: bytearray) -> None:
        """What a command that has ended had said: its status may come first (RFC 4254 knows no order)."""
        deadline = time.monotonic() + _REST
        while True:
            over = channel.eof_received or channel.closed or time.monotonic() > deadline
            cls._receive(channel, out, err)
            if over:  # asked before: what came until then is received
                return
            select.select([channel], [], [], _POLL)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close()


@contextlib.contextmanager
def _closed_after(channel: paramiko.Channel, seconds: float) -> Iterator[None]:
    """Close the channel if the block takes longer: paramiko itself waits for an answer without end."""

    def close() -> None:
        with contextlib.suppress(Exception):  # the connection is gone meanwhile
            channel.close()

    timer = threading.Timer(seconds, close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _send(channel: paramiko.Channel, pending: memoryview) -> memoryview:
    """Send what the window takes; after the last byte close our side of the stream."""
    if not len(pending):
        return pending
    try:
        sent = channel.send(bytes(pending[: 1 << 15]))
    except TimeoutError:  # window full
        return pending
    pending = pending[sent:]
    if not len(pending):
        channel.shutdown_write()
    return pending
