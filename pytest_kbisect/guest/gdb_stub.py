"""GDB's remote serial protocol, as much of it as is needed to set breakpoints through QEMU's stub."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import InfraError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kbisect.arch import Architecture

ANSWER: Final = 5.0
"""Seconds in which the stub answers at first; it does in one or two milliseconds."""
_GOODBYE: Final = b"\x03$D#44"
"""Stop, so that the rest is listened to; then take out all breakpoints and let the guest go on.

A stub that is late reads it when it comes to it; no answer need be waited for.
"""


class StubGoneError(InfraError):
    """The connection to the stub has ended."""


class GdbStub:
    """GDB's remote serial protocol, as much of it as is needed."""

    def __init__(self, path: Path, architecture: Architecture) -> None:
        self._architecture = architecture
        self._socket = socket.socket(socket.AF_UNIX)
        self._buffer = b""
        self.patience: float | None = ANSWER
        """Seconds to wait for an answer; None: until QEMU ends."""
        try:
            self._socket.settimeout(self.patience)
            self._socket.connect(str(path))
        except OSError as error:
            self.close()
            raise InfraError("qemu", f"QEMU's gdb stub does not answer: {error}") from error

    def ask(self, command: str, wanted: str = "") -> str:
        """Send a command and return the answer. Raises InfraError if `wanted` is given and is not it."""
        self.send(command)
        # That the guest was stopped for our sake is reported, too, some time after the connection.
        while (answer := self.receive(self.patience)).startswith("T"):
            pass
        if wanted and answer != wanted:
            raise InfraError("qemu", f"QEMU's gdb stub failed at {command}: {answer!r}")
        return answer

    def instruction_pointer(self) -> int:
        """Of the processor that stopped. Raises InfraError where the stub does not say."""
        answer = self.ask("g")
        try:
            register = bytes.fromhex(answer[self._architecture.program_counter])
        except ValueError:
            register = b""
        if not register:
            raise InfraError("qemu", f"QEMU's gdb stub reports no registers: {answer[:40]!r}")
        return int.from_bytes(register, self._architecture.byte_order)

    def send(self, command: str) -> None:
        data = command.encode()
        try:
            self._socket.sendall(b"$%b#%02x" % (data, sum(data) % 256))
        except TimeoutError as error:
            raise InfraError("qemu", f"QEMU's gdb stub does not answer: {error}") from error
        except OSError as error:
            raise StubGoneError("qemu", f"QEMU's gdb stub does not answer: {error}") from error

    def receive(self, timeout: float | None) -> str:
        """The next packet. Raises InfraError where none comes in `timeout` seconds, or QEMU ends."""
        try:
            self._socket.settimeout(timeout)
            while (end := self._buffer.find(b"#")) < 0 or len(self._buffer) < end + 3:
                more = self._socket.recv(65536)
                if not more:
                    raise ConnectionError("it is gone")
                self._buffer += more
            packet, self._buffer = self._buffer[:end], self._buffer[end + 3 :]
            self._socket.sendall(b"+")
        except TimeoutError as error:
            raise InfraError("qemu", f"QEMU's gdb stub does not answer: {error}") from error
        except OSError as error:
            raise StubGoneError("qemu", f"QEMU's gdb stub does not answer: {error}") from error
        return packet[packet.rfind(b"$") + 1 :].decode("latin-1")

    def leave(self) -> None:
        """Have the guest go on without breakpoints, as soon as QEMU listens."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(ANSWER)
            self._socket.sendall(_GOODBYE)
        # QEMU may forget what it has not read of a connection that is closed.
        threading.Thread(target=self.wait_until_gone, name="kbisect-reached", daemon=True).start()

    def wait_until_gone(self) -> None:
        """Keep the connection until the other end closes it, with the guest."""
        with contextlib.suppress(OSError), contextlib.closing(self._socket):
            self._socket.settimeout(None)
            while self._socket.recv(65536):
                pass

    def close(self) -> None:
        self._socket.close()
