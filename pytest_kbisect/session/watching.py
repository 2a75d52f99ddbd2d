"""Which functions of the crash a run executes: asked for by the bisection that started this session."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import properties
from pytest_kbisect.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kbisect.guest.reached import Reached
    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.kernel.tree import LinuxTree


@dataclass(frozen=True, slots=True)
class Places:
    """Where the watched functions are in one kernel.

    `entries` are addresses by name. The image has no function of the names that are `inlined` or `absent`;
    those that are absent stand nowhere in the source that it was built from. `trouble` says why nothing can
    be watched.
    """

    entries: Mapping[str, tuple[int, ...]]
    inlined: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    trouble: str = ""


def find(kernel: KernelImage, functions: tuple[str, ...], tree: LinuxTree, commit: str) -> Places:
    """Look the functions up in a kernel, and in the source it was built from those that it has not."""
    from pytest_kbisect.kernel import sources
    from pytest_kbisect.kernel.definitions import names_mentioned
    from pytest_kbisect.kernel.entries import entries
    from pytest_kbisect.kernel.modules import functions_in_modules

    # Where a module lies is not known before it is loaded; what calls it in the image is no evidence.
    if loaded := sorted(functions_in_modules(kernel.module_functions, functions)):
        return Places({}, trouble=f"{loaded[0]} is in a module")
    found = entries(kernel.vmlinux, functions)
    missing = [name for name in functions if name not in found]
    if not missing:
        return Places(found)
    read = sources.read(kernel.sources, whole=True).targets if kernel.sources else {}
    known = names_mentioned(tree, commit, missing, sorted(read)) if read else frozenset(missing)
    return Places(
        found,
        tuple(name for name in missing if name in known),
        tuple(name for name in missing if name not in known),
    )


@dataclass(slots=True)
class Watched:
    """One run, and what is known of the functions of the crash in it."""

    places: Places
    reached: Reached | None = None
    idle: frozenset[str] | None = None
    """What was executed before the reproducer began; None where that was not looked at."""
    trouble: str = ""

    def facts(self) -> list[tuple[str, str]]:
        """As properties of the test."""
        facts = [(properties.INLINED, name) for name in self.places.inlined]
        facts += [(properties.ABSENT, name) for name in self.places.absent]
        trouble = self.trouble or (self.reached.trouble if self.reached else "")
        hit = self.reached.hit if self.reached else frozenset()
        facts += [(properties.REACHED, name) for name in self.places.entries if name in hit]
        watched = self.reached.functions if self.reached else ()
        if self.idle is not None:
            facts += [(properties.IDLE, name) for name in sorted(self.idle) or [""]]
        if trouble:  # what was hit before says nothing of the rest
            return [*facts, (properties.UNWATCHED, trouble)]
        return facts + [(properties.UNREACHED, name) for name in watched if name not in hit]


def do_what_every_run_does(guest: Guest) -> None:
    """Copy a file into a guest, and run a program. Raises what Guest.run raises."""
    with tempfile.NamedTemporaryFile() as nothing:
        guest.put(Path(nothing.name), "/tmp/kbisect-nothing")
    guest.run("true; rm /tmp/kbisect-nothing", may_time_out=True)
    guest.settle()


def watch(guest: Guest, places: Places, socket: Path, *, idle: bool) -> Watched:
    """Watch a guest from now on; with `idle` let it do first what every run makes it do.

    Raises what Guest.run raises, but not for what watching itself may fail of: the guest goes on then.
    """
    watched = Watched(places, trouble=places.trouble)
    if watched.trouble:
        return watched
    try:
        watched.reached = guest.watch(places.entries, socket)
    except InfraError as error:
        watched.trouble = str(error.args[0])
        return watched
    while idle and watched.reached is not None:
        do_what_every_run_does(guest)
        watched.idle = watched.reached.hit
        # What these hits made room for has not been watched from the beginning of this.
        idle = watched.reached.widen()
    return watched
