"""Where a kernel's functions begin."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from pytest_kbisect import process
from pytest_kbisect.crash.frames import spellings
from pytest_kbisect.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_MOST: Final = 8
"""Places of one name that are believed to be of one function: the compiler's clones, statics of a header."""

_FREED: Final = (("__init_begin", "__init_end"), ("_sinittext", "_einittext"))
"""Symbols around what the kernel frees when it has booted (include/asm-generic/sections.h)."""
_BOUNDS: Final = frozenset(name for pair in _FREED for name in pair)


def entries(vmlinux: Path, functions: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Addresses of the functions by name, clones (`.isra.0`, `.constprop.1`) among them.

    A system call, which crashes are titled by, is where its body or a wrapper is (`__do_sys_getppid`).
    Functions that are not there (not compiled in, or only inlined) are left out, and those whose memory the
    kernel frees at the end of its boot (__init, __exit); so are all where binutils' nm cannot read the file.
    """
    try:
        listing = process.run(["nm", "--defined-only", vmlinux]).decode("utf-8", "replace")
    except (HostError, subprocess.CalledProcessError):
        return {}
    wanted = {name: function for function in functions for name in spellings(function)}
    wanted |= {function: function for function in functions}
    found: dict[str, set[int]] = {}
    calls: dict[str, set[int]] = {}
    bounds: dict[str, int] = {}
    for line in listing.splitlines():
        address, _, rest = line.partition(" ")
        kind, _, symbol = rest.partition(" ")
        name, _, clone = symbol.partition(".")
        if name in _BOUNDS:
            bounds[name] = int(address, 16)
        elif kind in {"t", "T", "w", "W"} and name in wanted and not clone.startswith("cold"):
            function = wanted[name]
            (found if name == function else calls).setdefault(function, set()).add(int(address, 16))
    freed = [range(bounds[first], bounds[end]) for first, end in _FREED if {first, end} <= bounds.keys()]
    for places in (*found.values(), *calls.values()):
        places -= {place for place in places if any(place in part for part in freed)}
    kept = {name: places for every in (calls, found) for name, places in every.items() if places}
    return {name: tuple(sorted(places)) for name, places in kept.items() if len(places) <= _MOST}
