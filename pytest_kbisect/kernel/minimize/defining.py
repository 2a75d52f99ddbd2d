"""From addresses that a run executed to the objects of the build they are in."""

from __future__ import annotations

import bisect
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from pytest_kbisect import process
from pytest_kbisect.kernel.symbols import compiled_objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_kbisect.kernel.toolchain import Toolchain

Symbol = tuple[int, str]
"""Address and name of a function in vmlinux."""

_NEAR: Final = 40
"""Symbols to both sides by which the object of a name is recognized that several objects define."""


def functions_of(vmlinux: Path) -> list[Symbol]:
    """The functions of a kernel by address."""
    found = []
    listing = process.run(["nm", "-n", vmlinux]).decode("utf-8", "replace")
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "tTwW":
            found.append((int(words[0], 16), words[2]))
    return found


def definers(output: Path, tools: Toolchain) -> Mapping[str, frozenset[str]]:
    """The objects in O= that define each function, by path."""
    found: dict[str, set[str]] = defaultdict(set)
    objects = compiled_objects(output, tools)
    listing = process.run([f"{tools.prefix}nm", "-A", "--defined-only", *objects], cwd=output, check=False)
    for line in listing.decode("utf-8", "replace").splitlines():
        path, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 3 and words[1] in "tTwW":
            found[words[2]].add(path)
    return {name: frozenset(paths) for name, paths in found.items()}


def placed(symbols: Sequence[Symbol], defined: Mapping[str, frozenset[str]]) -> list[str]:
    """The object of each function, "" where that is not known.

    The linker puts an object's functions side by side: of several objects that define a name (static
    functions, or inline ones that were not inlined) the one is taken that others nearby are from.
    """
    known = [next(iter(paths)) if len(paths := defined.get(name, ())) == 1 else "" for _, name in symbols]
    found = list(known)
    for place, (_, name) in enumerate(symbols):
        candidates = defined.get(name, frozenset())
        if len(candidates) < 2:
            continue
        for distance in range(1, _NEAR):
            nearby = [known[at] for at in (place - distance, place + distance) if 0 <= at < len(known)]
            match = next((path for path in nearby if path in candidates), "")
            if match:
                found[place] = match
                break
    return found


def executed(
    addresses: Iterable[int], symbols: Sequence[Symbol], objects: Sequence[str]
) -> dict[str, set[str]]:
    """The functions that contain these addresses, by object."""
    starts = [address for address, _ in symbols]
    found: dict[str, set[str]] = defaultdict(set)
    for address in addresses:
        place = bisect.bisect_right(starts, address) - 1
        if place >= 0 and objects[place]:
            found[objects[place]].add(symbols[place][1])
    return dict(found)
