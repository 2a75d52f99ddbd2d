"""The chance that a commit builds and boots, given other commits, and whether its runs are useful.

Breakage comes in stretches, from the commit that broke the build to the commit that repaired it. The length
of a stretch is not known, so the chance of still being inside falls slowly with the distance (a power law).
Near a broken commit it is best to jump, and the further the jump, the safer. Working commits come in
stretches too.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.run_counts import RunCounts
    from pytest_kbisect.history.ancestry import Flags, Weights
    from pytest_kbisect.history.candidates import History

BREAKAGE = 0.03
"""Prior chance that a commit is untestable, if nothing is known about its neighbours."""
REACH = 4.0
"""The distance, in commits, within which half of the stretches end."""
FURTHEST = 1000
"""Beyond this distance, in commits, one commit is no evidence about another."""
_DEAD = 0.05
"""Prior chance that a kernel that fails to boot once never boots."""
_DARK = 0.05
"""Prior chance that no run of a kernel can show the bug, because a fatal crash of another bug comes first or
the reproducer does not reach the code."""
_OTHERWISE = 0.1
"""Assumed minimum share of such runs among kernels that show the bug in other runs. With it, three such runs
in a row are not considered chance."""
_DOUBT = 0.02
"""Accepted chance of giving up a kernel that only had bad luck."""
_MUTE = 20
"""A kernel without evidence in this many runs is assumed never to give any, whatever the reason."""


def is_dead(counts: RunCounts, boot_failures: float) -> bool:
    """Whether a kernel that never booted is not worth another boot.

    `boot_failures` is the share of failed boots among kernels that can boot. The more boots fail without a
    success, the less likely it is chance.
    """
    if counts.booted or not counts.boot_failed:
        return False
    by_chance = (1 - _DEAD) * max(boot_failures, 0.02) ** counts.boot_failed
    return by_chance < _DOUBT * _DEAD


def is_dark(counts: RunCounts, otherwise: float) -> bool:
    """Whether a kernel that boots, but never gave evidence about the bug, is not worth another run.

    `otherwise` is the share of runs that end in another bug's crash or do not reach the code, among kernels
    that do give evidence. The more such runs without any other, the less likely it is chance.
    """
    said_nothing = counts.unrelated + counts.silent
    if counts.informative or counts.credited or not said_nothing:
        return False
    by_chance = (1 - _DARK) * max(otherwise, _OTHERWISE) ** said_nothing
    return by_chance < _DOUBT * _DARK


def is_mute(counts: RunCounts) -> bool:
    """Whether a kernel was tested often and no run was evidence about the bug.

    For example the runs cannot be made there, or another bug crashes every time. More runs would not help.
    """
    return not counts.informative and counts.total >= _MUTE


def hardly_speaks(counts: RunCounts) -> bool:
    """Whether so few runs of a kernel are evidence about the bug that more runs are not worth their time.

    If nineteen of twenty runs have another outcome, the remaining few are also a biased selection.
    """
    return counts.total >= _MUTE and _MUTE * counts.informative < counts.total


def speaking(counts: RunCounts, usual: float) -> float:
    """The part of a kernel's runs that is evidence, relative to `usual`; 1 if it is most of them."""
    share = counts.informative / (usual * counts.total) if counts.total >= _MUTE else 1.0
    return share if share < 0.5 else 1.0


def machine_fails(all_counts: Sequence[RunCounts]) -> bool:
    """Whether the test machine fails, not the kernels: in most runs of each of the last two commits."""
    return len(all_counts) > 1 and all(
        counts.total >= _MUTE and 2 * counts.infra_failed > counts.total for counts in all_counts[-2:]
    )


def boot_failures(evidence: Evidence) -> float:
    """The share of failed boots among kernels that booted at least once."""
    all_counts = [evidence.counts(i) for i in evidence.built]
    alive = [t for t in all_counts if t.booted]
    failed = sum(t.boot_failed for t in alive)
    return failed / max(1, failed + sum(t.booted for t in alive))


def ends_otherwise(evidence: Evidence) -> float:
    """The share of runs that were masked or silent, among kernels that gave evidence about the bug."""
    all_counts = [counts for i in evidence.built if (counts := evidence.counts(i)).informative]
    otherwise = sum(counts.unrelated + counts.silent for counts in all_counts)
    return otherwise / max(1, otherwise + sum(counts.informative for counts in all_counts))


class Testable:
    """The chances that the commits of a history are testable. Distances are cached between calls.

    The nearer its closest tested ancestors and descendants are, the more likely a commit is in their state.
    Between two broken commits nearly all are broken, and the neighbour of a working commit works too.
    """

    __test__ = False  # pytest must not collect it

    def __init__(self, history: History) -> None:
        self._history = history
        self._distances: dict[tuple[int, bool], Weights] = {}

    @cached_property
    def _children(self) -> tuple[tuple[int, ...], ...]:
        children: list[list[int]] = [[] for _ in self._history.parents]
        for i, row in enumerate(self._history.parents):
            for parent in row:
                if parent >= 0:
                    children[parent].append(i)
        return tuple(map(tuple, children))

    def chances(self, works: tuple[int, ...], broken: tuple[int, ...]) -> Weights:
        """By commit, given the commits that could be tested (chance 1) and that could not (chance 0)."""
        size = len(self._history)
        if not broken:
            return np.full(size, 1 - BREAKAGE)
        usual = (len(broken) + BREAKAGE) / (len(works) + len(broken) + 1)
        odds = np.full(size, (1 - usual) / usual)
        for newer in (False, True):
            odds *= self._side(works, broken, usual, newer=newer)
        chances: Weights = odds / (1 + odds)
        chances[[i for i in broken if i >= 0]] = 0.0
        chances[[i for i in works if i >= 0]] = 1.0
        return chances

    def enclosed(self, works: tuple[int, ...], broken: tuple[int, ...]) -> Flags:
        """By commit: whether it could not be tested, or is nearer to such a commit on both sides than to one
        that could: the inside of a region that probably cannot be tested.
        """
        inside = np.ones(len(self._history), dtype=bool)
        for newer in (False, True):
            inside &= self._nearest(broken, newer=newer) < self._nearest(works, newer=newer)
        inside[[i for i in broken if i >= 0]] = True
        return inside

    def _side(self, works: tuple[int, ...], broken: tuple[int, ...], usual: float, *, newer: bool) -> Weights:
        """The evidence of the nearest tested commit on one side: the likelihood of its state if the commit is
        testable, divided by the likelihood if it is not. 1 if nothing was tested on that side.
        """
        to_works, to_broken = self._nearest(works, newer=newer), self._nearest(broken, newer=newer)
        same = REACH / (REACH + np.minimum(to_works, to_broken))  # still the same stretch
        if_works = (1 - usual + usual * same) / ((1 - usual) * (1 - same))
        if_broken = usual * (1 - same) / (usual + (1 - usual) * same)
        says = np.where(to_works < to_broken, if_works, if_broken)
        return np.where(np.isinf(np.minimum(to_works, to_broken)), 1.0, says)

    def _nearest(self, commits: tuple[int, ...], *, newer: bool) -> Weights:
        """Steps from every commit to the nearest of these among its descendants (`newer`) or ancestors."""
        nearest = np.full(len(self._history), np.inf)
        for i in commits:
            key = i, newer
            if key not in self._distances:
                self._distances[key] = self._walk(i, newer=newer)
            np.minimum(nearest, self._distances[key], out=nearest)
        return nearest

    def _walk(self, start: int, *, newer: bool) -> Weights:
        """Steps from `start` to each commit: its ancestors if `newer`, else its descendants."""
        parents = self._history.parents
        steps = np.full(len(parents), np.inf)
        if start < 0:
            edge = [] if newer else [i for i, row in enumerate(parents) if not row or min(row) < 0]
        else:
            edge = [n for n in (parents if newer else self._children)[start] if n >= 0]
        seen: set[int] = set()
        distance = 0
        while edge and distance < FURTHEST:
            distance += 1
            steps[edge] = distance
            seen.update(edge)
            edge = sorted(
                {n for i in edge for n in (parents if newer else self._children)[i] if n >= 0} - seen
            )
        return steps
