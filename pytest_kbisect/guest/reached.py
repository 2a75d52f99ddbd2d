"""Which functions of its kernel a guest executes: breakpoints through QEMU's gdb stub, for one hit each.

A run that ends well says little if it never came to the code the bug is in. Nothing is needed from
the guest but a kernel that stays where it was linked (nokaslr). QEMU stops all processors at a
hit; the breakpoint is taken out and they go on, so that each function costs a run a few milliseconds, once.

Whatever goes wrong with the stub, the guest goes on without it, and the run counts as not watched.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Final

from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_kbisect.arch import Architecture

_ANSWER: Final = 5.0
"""Seconds in which the stub answers at first; it does in one or two milliseconds."""
_GOODBYE: Final = b"\x03$D#44"
"""Stop, so that the rest is listened to; then take out all breakpoints and let the guest go on.

A stub that is late reads it when it comes to it; no answer need be waited for.
"""


class Reached:
    """Notes which functions are executed from now on. `addresses` are their entries, by name.

    Raises InfraError where the stub does not do what it is asked for; the guest goes on all the same.
    """

    def __init__(
        self, path: Path, addresses: Mapping[str, Sequence[int]], architecture: Architecture = DEFAULT
    ) -> None:
        """`path` is the unix socket at which QEMU's stub listens. The guest runs when this returns."""
        self.functions = tuple(addresses)
        self.trouble = ""
        """Why the guest is not watched any more, before all functions were hit; "" if it is."""
        self._names = {address: name for name, places in addresses.items() for address in places}
        self._hit: set[str] = set()
        self._stub = _Stub(path, architecture)
        try:
            for address in self._names:
                self._stub.ask(f"Z0,{address:x},1", "OK")
            # From here on the guest stands still until we go on: a QEMU that the host holds up is waited for.
            self._stub.patience = None
            self._stub.send("c")
        except InfraError:
            self._stub.leave()
            raise
        self._follower = threading.Thread(target=self._follow, name="kbisect-reached", daemon=True)
        self._follower.start()

    @property
    def hit(self) -> frozenset[str]:
        """The functions that were executed so far."""
        return frozenset(self._hit)

    def _follow(self) -> None:
        """Handle breakpoints until the guest ends, or all were hit."""
        try:
            while self._names:
                self._stub.receive(None)
                self._take(self._stub.instruction_pointer())
                self._stub.send("c" if self._names else "D")
        except _StubGoneError:  # with the guest
            self._stub.close()
        except InfraError as error:
            self.trouble = str(error)
            self._stub.leave()
        else:
            self._stub.wait_until_gone()

    def _take(self, address: int) -> None:
        """Note a hit, and take the function's breakpoints out."""
        name = self._names.get(address)
        if name is None:
            return
        self._hit.add(name)
        for place in [place for place, other in self._names.items() if other == name]:
            del self._names[place]
            self._stub.ask(f"z0,{place:x},1", "OK")


class _StubGoneError(InfraError):
    """The connection to the stub has ended."""


class _Stub:
    """GDB's remote serial protocol, as much of it as is needed."""

    def __init__(self, path: Path, architecture: Architecture) -> None:
        self._architecture = architecture
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
            raise _StubGoneError("qemu", f"QEMU's gdb stub does not answer: {error}") from error

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
            raise _StubGoneError("qemu", f"QEMU's gdb stub does not answer: {error}") from error
        return packet[packet.rfind(b"$") + 1 :].decode("latin-1")

    def leave(self) -> None:
        """Have the guest go on without breakpoints, as soon as QEMU listens."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(_ANSWER)
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
