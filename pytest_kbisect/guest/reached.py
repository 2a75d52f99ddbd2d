"""Which functions of its kernel a guest executes: breakpoints through QEMU's gdb stub, for one hit each.

A run that ends well says little if it never came to the code the bug is in. Nothing is needed from
the guest but a kernel that stays where it was linked (nokaslr). QEMU stops all processors at a
hit; the breakpoint is taken out and they go on, so that each function costs a run a few milliseconds, once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_ANSWER: Final = 5.0
"""Seconds in which the stub answers at first; it does in one or two milliseconds."""
_RIP: Final = slice(16 * 16, 17 * 16)
"""Where the answer to `g` has the instruction pointer: after sixteen registers of eight bytes, in hex."""


class Reached:
    """Notes which functions are executed from now on. `addresses` are their entries, by name.

    Raises InfraError where the stub does not do what it is asked for.
    """

    def __init__(self, path: Path, addresses: Mapping[str, Sequence[int]]) -> None:
        """`path` is the unix socket at which QEMU's stub listens. The guest runs when this returns."""
        self.functions = tuple(addresses)
        self._names = {address: name for name, places in addresses.items() for address in places}
        self._hit: set[str] = set()
        self._stub = _Stub(path)
        try:
            for address in self._names:
                self._stub.ask(f"Z0,{address:x},1", "OK")
            # From here on the guest stands still until we go on: a QEMU that the host holds up is waited for.
            self._stub.patience = None
            self._stub.send("c")
        except InfraError:
            self._stub.close()
            raise
        self._follower = threading.Thread(target=self._follow, name="kbisect-reached", daemon=True)
        self._follower.start()

    @property
    def hit(self) -> frozenset[str]:
        """The functions that were executed so far."""
        return frozenset(self._hit)

    def _follow(self) -> None:
        """Handle breakpoints until the guest ends, or all were hit."""
        with contextlib.suppress(InfraError), contextlib.closing(self._stub):
            while self._names:
                self._stub.receive(None)
                name = self._names.get(self._stub.instruction_pointer())
                if name is not None:
                    self._hit.add(name)
                    for address in [place for place, other in self._names.items() if other == name]:
                        del self._names[address]
                        self._stub.ask(f"z0,{address:x},1", "OK")
                self._stub.send("c" if self._names else "D")


class _Stub:
    """GDB's remote serial protocol, as much of it as is needed."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._buffer = b""
        self.patience: float | None = _ANSWER
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
        # That the guest was stopped for our sake is told, too, some time after the connection.
        while (answer := self.receive(self.patience)).startswith("T"):
            pass
        if wanted and answer != wanted:
            raise InfraError("qemu", f"QEMU's gdb stub failed at {command}: {answer!r}")
        return answer

    def instruction_pointer(self) -> int:
        """Of the processor that stopped."""
        try:
            return int.from_bytes(bytes.fromhex(self.ask("g")[_RIP]), "little")
        except ValueError:
            return 0

    def send(self, command: str) -> None:
        data = command.encode()
        try:
            self._socket.sendall(b"$%b#%02x" % (data, sum(data) % 256))
        except OSError as error:
            raise InfraError("qemu", f"QEMU's gdb stub does not answer: {error}") from error

    def receive(self, timeout: float | None) -> str:
        """The next packet. Raises InfraError where none comes in `timeout` seconds, or QEMU ends."""
        self._socket.settimeout(timeout)
        try:
            while (end := self._buffer.find(b"#")) < 0 or len(self._buffer) < end + 3:
                more = self._socket.recv(65536)
                if not more:
                    raise ConnectionError("it is gone")
                self._buffer += more
            packet, self._buffer = self._buffer[:end], self._buffer[end + 3 :]
            self._socket.sendall(b"+")
        except OSError as error:
            raise InfraError("qemu", f"QEMU's gdb stub does not answer: {error}") from error
        return packet[packet.rfind(b"$") + 1 :].decode("latin-1")

    def close(self) -> None:
        self._socket.close()
