"""git bisect's choice of the next commit, exactly as in git's bisect.c, including ties and skips."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_kbisect.history.ancestry import Flags
    from pytest_kbisect.history.candidates import History


_MODULO = 32768
"""PRN_MODULO: git's pseudo-random numbers are below this."""


@dataclass(frozen=True)
class Halving:
    """The state of a git bisect: the last commit marked bad, all good commits, all skipped commits."""

    bad: int
    good: frozenset[int] = frozenset()
    skipped: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Step:
    """The commit that git would check out next. If None, `left` are the possible first bad commits.

    `revisions` and `steps` are the numbers in "Bisecting: N revisions left to test after this
    (roughly K steps)", which str() returns.
    """

    next: int | None
    left: tuple[int, ...] = ()
    revisions: int = 0
    steps: int = 0

    def __str__(self) -> str:
        revisions = f"{self.revisions} revision{'s' * (self.revisions != 1)}"
        steps = f"{self.steps} step{'s' * (self.steps != 1)}"
        return f"Bisecting: {revisions} left to test after this (roughly {steps})"


def halve(history: History, state: Halving) -> Step:
    """The next step of `git bisect` in this state."""
    left = candidates(history, state)
    total = int(left.sum())
    if not total:
        return Step(None)
    listed = walk(history, state.bad, left)
    weights = history.ancestry.count(left)
    if not state.skipped:
        best = _nearest_half(history, listed, left, weights)
        if best == state.bad:
            return Step(None, (best,))
        return Step(best, (), total - int(weights[best]) - 1, estimate_steps(total))

    by_distance = sorted(listed, key=lambda i: (-min(weights[i], total - weights[i]), history.commits[i]))
    away, tried = _past_skipped(by_distance, state)
    if away is None or away == state.bad:
        return Step(None, (*tried, *(() if away is None else (away,))))
    return Step(away, (), total - int(weights[by_distance[0]]) - 1, estimate_steps(total))


def candidates(history: History, state: Halving) -> Flags:
    """The commits that may be the first bad one: contained in the bad commit and in no good commit."""
    left = history.ancestry.ancestors(state.bad).copy()
    for good in state.good:
        left &= ~history.ancestry.ancestors(good)
    return left


def walk(history: History, tip: int, left: Flags) -> list[int]:
    """The commits of `left` in the order in which git's halving examines them.

    This is the reverse of git's revision walk, which always takes the youngest commit next, by committer
    date, and the first one found among commits of equal date.
    """
    dates = history.dates or range(len(history))
    queue = [(-dates[tip], 0, tip)]
    seen = {tip}
    order: list[int] = []
    while queue:
        i = heapq.heappop(queue)[-1]
        order.append(i)
        for parent in history.parents[i]:
            if parent >= 0 and left[parent] and parent not in seen:
                heapq.heappush(queue, (-dates[parent], len(seen), parent))
                seen.add(parent)
    order.reverse()
    return order


def _nearest_half(history: History, listed: list[int], left: Flags, weights: NDArray[np.int64]) -> int:
    """do_find_bisection(): the first commit that is near enough to half, in counting order.

    Merges are counted first, then repeatedly the commits whose parent has been counted.
    """
    total = len(listed)
    inside = {i: [p for p in history.parents[i] if p >= 0 and left[p]] for i in listed}
    merges = [i for i in listed if len(inside[i]) > 1]
    for i in merges:
        if _halfway(int(weights[i]), total):
            return i
    counted = {i for i in listed if not inside[i]} | set(merges)
    while len(counted) < total:
        for i in listed:
            if i not in counted and not counted.isdisjoint(inside[i]):
                counted.add(i)
                if _halfway(int(weights[i]), total):
                    return i
    return max(listed, key=lambda i: min(weights[i], total - weights[i]))


def _halfway(weight: int, total: int) -> bool:
    """approx_halfway(): whether a weight is within 1 of half, or within 0.1 % for large totals."""
    off = abs(2 * weight - total)
    return off <= 1 or off < total // 1024


def estimate_steps(total: int) -> int:
    """estimate_bisect_steps(): the number of steps left after this one."""
    if total < 3:
        return 0
    power = total.bit_length() - 1
    return power if 1 << power < 3 * (total - (1 << power)) else power - 1


def _past_skipped(by_distance: list[int], state: Halving) -> tuple[int | None, list[int]]:
    """managed_skipped(): the best commit that is not skipped. Jumps away if the best of all is skipped.

    Also returns the skipped commits.
    """
    if by_distance[0] not in state.skipped:
        return by_distance[0], []
    tried = [i for i in by_distance if i in state.skipped]
    rest = [i for i in by_distance if i not in state.skipped]
    if not rest:
        return None, tried
    number = _pseudo_random(len(rest))
    index = (len(rest) * number // _MODULO) * _square_root(number) // _square_root(_MODULO)
    if index >= len(rest):
        return rest[0], tried
    if rest[index] != state.bad:
        return rest[index], tried
    return rest[max(0, index - 1)], tried


def _pseudo_random(count: int) -> int:
    """get_prn(): the example in rand(3), seeded with the number of commits to choose from."""
    return ((count * 1103515245 + 12345) & 0xFFFFFFFF) // 65536 % _MODULO


def _square_root(value: int) -> int:
    """sqrti(): Newton's method until a step is less than 0.5. The result need not be the floor."""
    if not value:
        return 0
    x = float(value)
    while True:
        y = (x + value / x) / 2
        moved, x = abs(y - x), y
        if moved < 0.5:
            return int(x)
