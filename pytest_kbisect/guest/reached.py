"""Which functions of its kernel a guest executes: breakpoints through QEMU's gdb stub, for one hit each.

A run that ends well says little if it never came to the code the bug is in. Nothing is needed from
the guest but a kernel that stays where it was linked (nokaslr). QEMU stops all processors at a
hit; the breakpoint is taken out and they go on, so that each function costs a run a few milliseconds, once.

Under TCG a breakpoint is not in the guest's memory. Under KVM a software breakpoint is an instruction that
the guest can see: ftrace, kprobes, BPF and livepatch find it where they expect a nop, and warn. So the
processor's debug registers are used there, of which there are few: the first functions get them, and each
hit makes room for another.

Whatever goes wrong with the stub, the guest goes on without it, and the run counts as not watched.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import InfraError
from pytest_kbisect.guest.gdb_stub import GdbStub, StubGoneError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_kbisect.arch import Architecture


class Reached:
    """Notes which functions are executed from now on. `addresses` are their entries, by name.

    Raises InfraError where the stub does not do what it is asked for; it lets the guest go on as soon as it
    listens again.
    """

    def __init__(
        self,
        path: Path,
        addresses: Mapping[str, Sequence[int]],
        architecture: Architecture = DEFAULT,
        *,
        registers: int | None = None,
    ) -> None:
        """`path` is the unix socket at which QEMU's stub listens. The guest runs when this returns.

        `registers`: use the processor's debug registers, of which there are so many; None: software
        breakpoints. A function that has more entries than there are registers is not watched.
        """
        self.trouble = ""
        """Why the guest is not watched any more, before all functions were hit; "" if it is."""
        self._kind = 0 if registers is None else 1
        self._free = sum(map(len, addresses.values())) if registers is None else registers
        self._waiting = {name: places for name, places in addresses.items() if len(places) <= self._free}
        self._names: dict[int, str] = {}
        self._set: list[str] = []
        self._hit: set[str] = set()
        self._stub = GdbStub(path, architecture)
        try:
            self._fill()
            # From here on the guest stands still until we go on: a QEMU that the host holds up is waited for.
            self._stub.patience = None
            self._stub.send("c")
        except InfraError:
            self._stub.leave()
            raise
        self.functions = tuple(self._set)
        """The functions that are watched since this was made, or since `widen`."""
        self._follower = threading.Thread(target=self._follow, name="kbisect-reached", daemon=True)
        self._follower.start()

    @property
    def hit(self) -> frozenset[str]:
        """The functions that were executed so far."""
        return frozenset(self._hit)

    def widen(self) -> bool:
        """Count the functions that hits have made room for as watched from now on; whether there are any."""
        before, self.functions = self.functions, tuple(self._set)
        return self.functions != before

    def _fill(self) -> None:
        """Set breakpoints, as long as there is room for all of a function's."""
        for name, places in list(self._waiting.items()):
            if len(places) > self._free:
                continue
            for place in places:
                self._stub.ask(f"Z{self._kind},{place:x},1", "OK")
                self._names[place] = name
            self._free -= len(places)
            self._set.append(name)
            del self._waiting[name]

    def _follow(self) -> None:
        """Handle breakpoints until the guest ends, or all were hit."""
        try:
            while self._names:
                self._stub.receive(None)
                self._take(self._stub.instruction_pointer())
                self._stub.send("c" if self._names else "D")
        except StubGoneError:  # with the guest
            self._stub.close()
        except InfraError as error:
            self.trouble = str(error)
            self._stub.leave()
        else:
            self._stub.wait_until_gone()

    def _take(self, address: int) -> None:
        """Note a hit, take the function's breakpoints out, and set those that there is room for now."""
        name = self._names.get(address)
        if name is None:
            return
        self._hit.add(name)
        for place in [place for place, other in self._names.items() if other == name]:
            del self._names[place]
            self._stub.ask(f"z{self._kind},{place:x},1", "OK")
            self._free += 1
        self._fill()
