"""The commit that tells most about several searches together per second, where they share a kernel's build.

Each search states its `Prospects`: what batches at each commit would tell it, and how long their runs take.
The commit is the one with the largest sum of bits per second of build, session and runs; the build and the
session count once. A search takes part if its bits are worth its own runs at that rate.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from pytest_kbisect.history.ancestry import Flags, Weights
    from pytest_kbisect.strategies.strategy import Experiment

FINALISTS = 64
"""Commits that are looked at with all lengths of a batch; all of them are with a few."""
_ROUNDS = 50
"""More than enough: the rate settles in a handful (Dinkelbach 1967, on nonlinear fractional programming)."""


@dataclass(frozen=True, slots=True)
class Batches:
    """What batches would tell a search: a row for each of `lengths` (any scale), a column for each commit.

    `bits` are expected bits about its culprit; 0 where such a batch is not worth making. `seconds` are those
    of its runs, without build and session.
    """

    lengths: tuple[int, ...]
    bits: NDArray[np.float64]
    seconds: NDArray[np.float64]


class Prospects(Protocol):
    """What experiments would tell a search now. Columns are the commits of its history, then the good end."""

    build: float
    """Seconds that a build takes."""
    session: float
    """Seconds that a session takes besides build and runs."""
    built: Flags
    """By column: whether the kernel is there already."""

    @abstractmethod
    def batches(self, columns: NDArray[np.intp] | None = None) -> Batches:
        """Batches of a few lengths at all commits, or of all lengths at these."""

    @abstractmethod
    def experiment(self, column: int, length: int) -> Experiment:
        """The experiment that a batch of this length at a commit is."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A search that could test any commit next: what it would learn, and the commits' hashes by column."""

    prospects: Prospects
    shas: Sequence[str]


@dataclass(frozen=True, slots=True)
class Pick:
    """A batch at a commit for one search."""

    column: int
    length: int


@dataclass(frozen=True, slots=True)
class Joint:
    """What is tested next: a commit, the batch of each search that takes part (by its place), and the rate.

    `rate` is in bits per second.
    """

    sha: str
    picks: dict[int, Pick]
    rate: float


@dataclass(frozen=True, slots=True)
class _Table:
    """One search's batches, and for each of its columns the column of the commit in all searches together."""

    batches: Batches
    columns: NDArray[np.intp]
    at: NDArray[np.intp]

    def gains(self, rate: float) -> tuple[Weights, NDArray[np.intp]]:
        """By column: bits that the best length gives beyond the time of its runs, and that length's row."""
        net = self.batches.bits - rate * self.batches.seconds
        rows = np.argmax(net, axis=0)
        best = net[rows, np.arange(net.shape[1])]
        return np.maximum(best, 0.0), rows


def choose(
    searches: Sequence[Asking], built: Collection[str] = (), without: Collection[str] = ()
) -> Joint | None:
    """The commit that tells most about these searches together; None if none is worth a test.

    `built` are commits whose kernels are there although a search may not know it; `without` are not chosen.
    """
    if not searches:
        return None
    places = {sha: n for n, sha in enumerate(dict.fromkeys(sha for one in searches for sha in one.shas))}
    at = [np.array([places[sha] for sha in one.shas], dtype=np.intp) for one in searches]
    ready = np.zeros(len(places), dtype=bool)
    for one, columns in zip(searches, at, strict=True):
        ready[columns[one.prospects.built]] = True
    ready[[places[sha] for sha in built if sha in places]] = True
    barred = np.zeros(len(places), dtype=bool)
    barred[[places[sha] for sha in without if sha in places]] = True
    build = median(one.prospects.build for one in searches)
    fixed = max(one.prospects.session for one in searches) + np.where(ready, 0.0, build)
    fixed = np.maximum(fixed, 1e-9)
    every = [
        _Table(one.prospects.batches(), np.arange(len(columns)), columns)
        for one, columns in zip(searches, at, strict=True)
    ]
    first = _best(every, fixed, barred)
    if first is None:
        return None
    net = _sum(every, first.rate, len(places)) - first.rate * fixed
    net[barred] = -np.inf
    finalists = np.union1d(np.argsort(-net, kind="stable")[:FINALISTS], np.flatnonzero(ready))
    closer = []
    for one, columns in zip(searches, at, strict=True):
        own = np.flatnonzero(np.isin(columns, finalists))
        closer.append(_Table(one.prospects.batches(own), own, columns[own]))
    best = _best(closer, fixed, barred) or first
    shas = list(places)
    return Joint(shas[best.place], best.picks, best.rate)


def joins(search: Asking, sha: str, rate: float) -> Pick | None:
    """The batch for a search at a commit that is tested anyway; None if it tells less than `rate`."""
    if sha not in search.shas:
        return None
    column = search.shas.index(sha)
    batches = search.prospects.batches(np.array([column]))
    gains, rows = _Table(batches, np.array([column]), np.array([0])).gains(rate)
    return Pick(column, batches.lengths[rows[0]]) if gains[0] > 0 else None


@dataclass(frozen=True, slots=True)
class _Best:
    place: int
    picks: dict[int, Pick]
    rate: float


def _sum(tables: Sequence[_Table], rate: float, size: int) -> Weights:
    """By commit: the bits of all searches beyond the time of their runs."""
    total = np.zeros(size)
    for table in tables:
        total[table.at] += table.gains(rate)[0]
    return total


def _best(tables: Sequence[_Table], fixed: Weights, barred: Flags) -> _Best | None:
    """The largest ratio of bits to seconds: the rate is raised until no commit gives more than it."""
    best: _Best | None = None
    rate = 0.0
    for _ in range(_ROUNDS):
        net = _sum(tables, rate, len(fixed)) - rate * fixed
        net[barred] = -np.inf
        place = int(np.argmax(net))
        if not np.isfinite(net[place]) or (best is None and net[place] <= 0):
            return best
        picks, bits, seconds = _picks(tables, place, rate)
        if not picks or bits / (fixed[place] + seconds) <= rate * (1 + 1e-9):
            return best
        rate = float(bits / (fixed[place] + seconds))
        best = _Best(place, picks, rate)
    return best


def _picks(tables: Sequence[_Table], place: int, rate: float) -> tuple[dict[int, Pick], float, float]:
    """Who takes part at a commit, with what; the bits and the seconds of that."""
    picks, bits, seconds = {}, 0.0, 0.0
    for number, table in enumerate(tables):
        (found,) = np.nonzero(table.at == place)
        if not len(found):
            continue
        gains, rows = table.gains(rate)
        i = int(found[0])
        if gains[i] > 0:
            picks[number] = Pick(int(table.columns[i]), table.batches.lengths[rows[i]])
            bits += float(table.batches.bits[rows[i], i])
            seconds += float(table.batches.seconds[rows[i], i])
    return picks, bits, seconds
