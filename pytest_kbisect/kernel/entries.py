"""Where a kernel's functions begin."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from pytest_kbisect import process
from pytest_kbisect.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_MOST: Final = 8
"""Places of one name that are believed to be of one function: the compiler's clones, statics of a header."""


def entries(vmlinux: Path, functions: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Addresses of the functions by name, clones (`.isra.0`, `.constprop.1`) among them.

    Functions that are not there (not compiled in, or only inlined) are left out; so are all where
    binutils' nm cannot read the file.
    """
    try:
        listing = process.run(["nm", "--defined-only", vmlinux]).decode("utf-8", "replace")
    except (HostError, subprocess.CalledProcessError):
        return {}
    found: dict[str, list[int]] = {}
    for line in listing.splitlines():
        address, _, rest = line.partition(" ")
        kind, _, symbol = rest.partition(" ")
        name, _, clone = symbol.partition(".")
        if kind in {"t", "T", "w", "W"} and name in functions and not clone.startswith("cold"):
            found.setdefault(name, []).append(int(address, 16))
    return {name: tuple(places) for name, places in found.items() if len(places) <= _MOST}
