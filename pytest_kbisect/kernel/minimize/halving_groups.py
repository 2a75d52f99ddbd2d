"""The difference between a small and a whole configuration, in groups, and its halving."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import ceil, log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pytest_kbisect.kernel.minimize.makefiles import Symbols


@dataclass(frozen=True, slots=True)
class Group:
    """Symbols that come back together; `name` is the folder whose objects they gate."""

    name: str
    symbols: frozenset[str]


def groups(
    symbols: Collection[str], ways: Mapping[str, frozenset[Symbols]], executed: Iterable[str]
) -> tuple[Group, ...]:
    """Symbols by the folder (of at most two levels) in which they gate most objects.

    First the folders of which the run executed most objects: what the bug needs is likely to be there.
    """
    folders: dict[str, Counter[str]] = defaultdict(Counter)
    for path, known in ways.items():
        for symbol in frozenset[str]().union(*known).intersection(symbols):
            folders[symbol][_folder(path)] += 1
    found: dict[str, set[str]] = defaultdict(set)
    for symbol in symbols:
        places = folders.get(symbol)
        name = min(places, key=lambda one: (-places[one], one)) if places else "other"
        found[name].add(symbol)
    hits = Counter(map(_folder, executed))
    order = sorted(found, key=lambda name: (name == "other", -hits[name], name))
    return tuple(Group(name, frozenset(found[name])) for name in order)


def _folder(path: str) -> str:
    return "/".join(path.split("/")[:-1][:2])


def most_steps(count: int) -> int:
    """How many configurations are tried at most for so many groups."""
    return ceil(log2(count)) if count > 1 else 0


def fewest(count: int, shows: Callable[[int], bool | None]) -> int:
    """How many of the first groups are needed for the bug to show: with none it does not, with all it does.

    `shows(n)` tells whether it does with the first n, None if there is no time to find out: then the
    fewest of which that is known are the answer. It is asked at most `most_steps(count)` times.
    """
    without, enough = 0, count
    while enough - without > 1:
        middle = (without + enough) // 2
        shown = shows(middle)
        if shown is None:
            break
        if shown:
            enough = middle
        else:
            without = middle
    return enough
