"""How likely a commit is to build and boot, from those that did and did not.

Breakage comes in stretches: from the commit that broke the build to the one that repaired it. How
long a stretch is nobody knows, so the chance to be still inside falls slowly with the distance
(a power law): near a broken commit it pays to jump, and the further the jump, the safer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pytest_kbisect.bisection.ancestry import Weights
    from pytest_kbisect.bisection.evidence import Evidence, Tally
    from pytest_kbisect.bisection.history import History

BREAKAGE = 0.03
"""Chance of a commit to be untestable, where nothing is known of its neighbours."""
REACH = 4.0
"""Distance, in commits, at which half of the stretches have ended."""
_DEAD = 0.05
"""Chance that a kernel which fails to boot once can never boot, before anything else is known."""


_MUTE = 20


def is_dead(tally: Tally, boot_failures: float) -> bool:
    """Whether a kernel that was never seen up is not worth another boot.

    `boot_failures` is the share of failed boots among kernels that do come up. Nothing but failed
    boots is explained by chance less and less the more there are of them.
    """
    if tally.telling or tally.unrelated or tally.related or not tally.boot_failed:
        return False
    by_chance = (1 - _DEAD) * max(boot_failures, 0.02) ** tally.boot_failed
    return by_chance < 0.02 * _DEAD


def is_mute(tally: Tally) -> bool:
    """Whether a kernel was tried often and no run of it said anything of the bug.

    Runs that cannot be made there, or somebody else's crash every time: more of them say no more.
    """
    return not tally.telling and tally.total >= _MUTE


def boot_failures(evidence: Evidence) -> float:
    """The share of failed boots among kernels that were seen up at least once."""
    tallies = [evidence.tally(i) for i in evidence.tested]
    alive = [t for t in tallies if t.telling or t.unrelated or t.related]
    failed = sum(t.boot_failed for t in alive)
    return failed / max(1, failed + sum(t.telling + t.unrelated + t.related for t in alive))


class Testable:
    """Chances to be testable for all commits of a history; distances are kept between calls."""

    __test__ = False  # not pytest's

    def __init__(self, history: History) -> None:
        self._history = history
        self._distances: dict[int, Weights] = {}
        self._children: list[list[int]] | None = None

    def chances(self, works: tuple[int, ...], broken: tuple[int, ...]) -> Weights:
        """By commit, given those that could be tested and those that could not (1 and 0)."""
        size = len(self._history)
        if not broken:
            return np.full(size, 1 - BREAKAGE)
        to_works, to_broken = self._nearest(works), self._nearest(broken)
        still_works, still_broken = REACH / (REACH + to_works), REACH / (REACH + to_broken)
        # Between a commit that works and one that does not, the nearer one speaks louder. Where
        # nearly all that was tried is broken, so will be what was not.
        usual = (len(works) + 2) / (len(works) + len(broken) + 2)
        chances = usual * (1 - np.maximum(BREAKAGE, still_broken * (1 - still_works)))
        for i in broken:
            if i >= 0:
                chances[i] = 0.0
        for i in works:
            if i >= 0:
                chances[i] = 1.0
        return chances

    def _nearest(self, commits: tuple[int, ...]) -> Weights:
        """Distance of every commit to the nearest of these."""
        nearest = np.full(len(self._history), np.inf)
        for i in commits:
            np.minimum(nearest, self._distance(i), out=nearest)
        return nearest

    def _distance(self, start: int) -> Weights:
        """Steps along parents and children from a commit to every other."""
        if start not in self._distances:
            self._distances[start] = self._walk(start)
        return self._distances[start]

    def _walk(self, start: int) -> Weights:
        parents = self._history.parents
        if self._children is None:
            self._children = [[] for _ in parents]
            for i, row in enumerate(parents):
                for p in row:
                    if p >= 0:
                        self._children[p].append(i)
        steps = np.full(len(parents), np.inf)
        edge = [start] if start >= 0 else [i for i, row in enumerate(parents) if not row or min(row) < 0]
        steps[edge] = 0 if start >= 0 else 1
        distance = 0 if start >= 0 else 1
        seen = set(edge)
        while edge:
            distance += 1
            reached = {n for i in edge for n in (*parents[i], *self._children[i]) if n >= 0} - seen
            edge = sorted(reached)
            seen |= reached
            steps[edge] = distance
        return steps
