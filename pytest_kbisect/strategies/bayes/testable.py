"""How likely a commit is to build and boot, from those that did and did not; and what its runs are good for.

Breakage comes in stretches: from the commit that broke the build to the one that repaired it. How
long a stretch is nobody knows, so the chance to be still inside falls slowly with the distance
(a power law): near a broken commit it pays to jump, and the further the jump, the safer. Commits that
work come in stretches too.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.run_counts import RunCounts
    from pytest_kbisect.history.ancestry import Weights
    from pytest_kbisect.history.candidates import History

BREAKAGE = 0.03
"""Chance of a commit to be untestable, where nothing is known of its neighbours."""
REACH = 4.0
"""Distance, in commits, at which half of the stretches have ended."""
FURTHEST = 1000
"""Distance beyond which one commit says nothing of another."""
_DEAD = 0.05
"""Chance that a kernel which fails to boot once can never boot, before anything else is known."""
_DARK = 0.05
"""Chance that no run of a kernel can show the bug (a fatal crash of another bug comes first, or the
reproducer does not reach the code), before anything else is known."""
_OTHERWISE = 0.1
"""Share of such runs where kernels show the bug in others, at least: three in a row are thought no chance."""
_DOUBT = 0.02
"""Chance that a kernel is given up which only had bad luck."""
_MUTE = 20
"""Runs after which a kernel that says nothing is thought never to, whatever the reason."""


def is_dead(counts: RunCounts, boot_failures: float) -> bool:
    """Whether a kernel that was never seen up is not worth another boot.

    `boot_failures` is the share of failed boots among kernels that do come up. Nothing but failed
    boots is explained by chance less and less the more there are of them.
    """
    if counts.booted or not counts.boot_failed:
        return False
    by_chance = (1 - _DEAD) * max(boot_failures, 0.02) ** counts.boot_failed
    return by_chance < _DOUBT * _DEAD


def is_dark(counts: RunCounts, otherwise: float) -> bool:
    """Whether a kernel that boots and never said anything of the bug is not worth another run.

    `otherwise` is the share of runs that end in another bug's crash, or do not reach the code, among
    kernels that do say something. Nothing but such runs is explained by chance less and less.
    """
    said_nothing = counts.unrelated + counts.silent
    if counts.informative or counts.credited or not said_nothing:
        return False
    by_chance = (1 - _DARK) * max(otherwise, _OTHERWISE) ** said_nothing
    return by_chance < _DOUBT * _DARK


def is_mute(counts: RunCounts) -> bool:
    """Whether a kernel was tried often and no run of it said anything of the bug.

    Runs that cannot be made there, or somebody else's crash every time: more of them say no more.
    """
    return not counts.informative and counts.total >= _MUTE


def hardly_speaks(counts: RunCounts) -> bool:
    """Whether so few runs of a kernel say anything of the bug that more of them are not worth their time.

    Where nineteen of twenty end otherwise, those few are a selection besides.
    """
    return counts.total >= _MUTE and _MUTE * counts.informative < counts.total


def speaking(counts: RunCounts, usual: float) -> float:
    """The part of a kernel's runs that is evidence, over what is `usual`; 1 where that is most of them."""
    share = counts.informative / (usual * counts.total) if counts.total >= _MUTE else 1.0
    return share if share < 0.5 else 1.0


def machine_fails(all_counts: Sequence[RunCounts]) -> bool:
    """Whether the test machine, not the kernels, is what fails: most runs of the last two commits tried."""
    return len(all_counts) > 1 and all(
        counts.total >= _MUTE and 2 * counts.infra_failed > counts.total for counts in all_counts[-2:]
    )


def boot_failures(evidence: Evidence) -> float:
    """The share of failed boots among kernels that were seen up at least once."""
    all_counts = [evidence.counts(i) for i in evidence.built]
    alive = [t for t in all_counts if t.booted]
    failed = sum(t.boot_failed for t in alive)
    return failed / max(1, failed + sum(t.booted for t in alive))


def ends_otherwise(evidence: Evidence) -> float:
    """The share of runs that were masked or silent, among kernels that said something of the bug."""
    all_counts = [counts for i in evidence.built if (counts := evidence.counts(i)).informative]
    otherwise = sum(counts.unrelated + counts.silent for counts in all_counts)
    return otherwise / max(1, otherwise + sum(counts.informative for counts in all_counts))


class Testable:
    """Chances to be testable for all commits of a history; distances are kept between calls.

    A commit is likelier to be in the state of its nearest tested ancestors and descendants the nearer
    they are; between two broken ones nearly all are broken, and next to one that works the next does too.
    """

    __test__ = False  # not pytest's

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
        """By commit, given those that could be tested and those that could not (1 and 0)."""
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

    def _side(self, works: tuple[int, ...], broken: tuple[int, ...], usual: float, *, newer: bool) -> Weights:
        """What the nearest tested commit on one side says: the likelihood of its state where the commit
        is testable, over that where it is not. 1 where nothing was tested on that side.
        """
        to_works, to_broken = self._nearest(works, newer=newer), self._nearest(broken, newer=newer)
        same = REACH / (REACH + np.minimum(to_works, to_broken))  # still the same stretch
        if_works = (1 - usual + usual * same) / ((1 - usual) * (1 - same))
        if_broken = usual * (1 - same) / (usual + (1 - usual) * same)
        says = np.where(to_works < to_broken, if_works, if_broken)
        return np.where(np.isinf(np.minimum(to_works, to_broken)), 1.0, says)

    def _nearest(self, commits: tuple[int, ...], *, newer: bool) -> Weights:
        """Steps from every commit to the nearest of these among its descendants, or its ancestors."""
        nearest = np.full(len(self._history), np.inf)
        for i in commits:
            key = i, newer
            if key not in self._distances:
                self._distances[key] = self._walk(i, newer=newer)
            np.minimum(nearest, self._distances[key], out=nearest)
        return nearest

    def _walk(self, start: int, *, newer: bool) -> Weights:
        """Steps to each commit from `start`: its ancestors where `newer`, else its descendants."""
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
