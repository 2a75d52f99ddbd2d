"""Confirms an answer: the culprit and its parents need enough runs of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.evidence.verdict import crash_chance, enough_runs
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.bayes.alone import MOST_RUNS, chance_of_bug
from pytest_kbisect.strategies.bayes.metric_levels import MetricLevels, chance_of_step
from pytest_kbisect.strategies.bayes.testable import ends_otherwise, hardly_speaks, is_dark
from pytest_kbisect.strategies.strategy import Experiment

if TYPE_CHECKING:
    from pytest_kbisect.evidence.by_kernel import Evidence

FAINT = 0.2
"""The crash chance to allow for at the culprit's parent if the bug always shows at the reported commit, but
something made it easier to hit since. If the bug shows there with chance c, the chance is FAINT times c
squared: such a bug depends on timing, and may be rarer at the parent by the factor c once more."""
MOST_OF_PARENT = 120
"""At most this many runs of a parent are spent on a fainter bug. With 60, a bug that shows in 5 % of the
parent's runs and in half of the culprit's was missed in 1 of 20 simulated searches."""
LEAST_VALUES = 5
"""Values of a metric that culprit and parent must have: two odd ones of three mislead."""
UNTESTED = 0.5
"""The remaining confidence if the culprit or a parent cannot be tested: it may be either of them."""


@dataclass(frozen=True)
class OwnOdds:
    """Probability that the answer is right about a commit, from its own runs alone, starting at even odds."""

    commit: int
    should_crash: bool
    probability: float


class Confirmation:
    """Tests the culprit and its parents until their own runs, not those of their neighbours, are convincing.

    The results of these runs are evidence like any other. This class only decides which experiment is next.
    """

    def __init__(
        self,
        evidence: Evidence,
        culprit: int,
        *,
        confidence: float,
        fix: bool = False,
        faint: bool = True,
    ) -> None:
        """`faint`: look for a bug that is fainter at a parent, in more runs than a person would make."""
        self._evidence = evidence
        self._faint = faint
        self._confidence = confidence
        self._end = evidence.history.bad_end if fix else GOOD_END
        parents = evidence.history.parents[culprit] or (GOOD_END,)
        parents = tuple(p for p in parents if p not in evidence.never)  # those never had a bug to fix
        self._claims = ((culprit, not fix), *((p, fix) for p in parents))

    @property
    def parents(self) -> tuple[int, ...]:
        """The commits that must not crash (of a fix: that must)."""
        return tuple(commit for commit, _ in self._claims[1:])

    def odds(self) -> tuple[OwnOdds, ...]:
        """The own odds of the culprit, then those of its parents."""
        return tuple(OwnOdds(i, crash, self._probability(i, should_crash=crash)) for i, crash in self._claims)

    def decide(self, runs: int = 10) -> Experiment | None:
        """The next experiment; None if all commits are convincing or more runs would not help.

        `runs` is the minimum size of a batch. Repeated batches grow.
        """
        if self._evidence.measures:
            return self._next_measurement(runs)
        for own in self.odds():
            counts = self._evidence.own_counts(own.commit)
            missing = 0 if own.should_crash else self._enough - counts.informative
            if (own.probability >= self._confidence and missing <= 0) or not self._can_tell(own.commit):
                continue
            what = "the culprit" if own.commit == self._claims[0][0] else "its parent"
            again = "again" if counts.total else "itself"
            reason = f"{what} {again}: {own.probability:.0%} by its own runs"
            # The first batch is small: it shows whether the commit's runs are evidence at all.
            size = min(max(runs, missing, counts.total // 2), MOST_RUNS) if counts.informative else runs
            return Experiment(own.commit, size, reason=reason, own=True)
        return self._where_names_change(runs)

    def _where_names_change(self, runs: int) -> Experiment | None:
        """The next commit between the newest one that shows related crashes only and the bug itself.

        If the culprit shows the bug under another name only, then either the name changes in the range, from
        one commit to the next, or it is another bug: it goes away, and this one comes in later. Commits in
        between then show neither, and one of them is enough to say so. None if there is no such commit left.
        """
        history, culprit = self._evidence.history, self._claims[0][0]
        own = self._evidence.own_counts(culprit)
        if self._end != GOOD_END or own.matching or not own.credited:
            return None
        named, other = self._of_both_names(culprit)
        if not named or not other:
            return None
        newest = max(other)
        above = [inside for i in named if (inside := history.ancestry.ancestors(i))[newest]]
        between = np.logical_and.reduce([*above, ~history.ancestry.ancestors(newest), history.suspects])
        between[[i for i in (*self._evidence.tried, *named) if i >= 0]] = False
        (left,) = np.nonzero(between)
        for i in sorted(left.tolist(), key=lambda i: abs(i - float(np.median(left)))):
            if history.ancestry.ancestors(i)[newest]:
                why = "is there a commit between the related crashes and the bug that shows neither?"
                return Experiment(i, runs, stop_at_crash=True, reason=why)
        return None

    def _of_both_names(self, culprit: int) -> tuple[list[int], list[int]]:
        """The commits with the culprit that show the bug, and those that show related crashes only."""
        history = self._evidence.history
        named, other = [], []
        for i in self._evidence.built:
            counts = self._evidence.counts(i)
            if i < 0 or not history.ancestry.ancestors(i)[culprit]:
                continue
            if counts.matching:
                named.append(i)
            elif counts.credited:
                other.append(i)
        return named, other

    @property
    def _enough(self) -> int:
        """The number of runs that shows a bug that is harder to hit than reported, at a commit without it."""
        chance = crash_chance(self._evidence.counts(self._evidence.reported))
        return enough_runs(FAINT * chance**2, MOST_OF_PARENT) if self._faint else enough_runs(chance)

    def _can_tell(self, commit: int) -> bool:
        """Whether more runs at a commit may add evidence."""
        counts = self._evidence.own_counts(commit)
        if (
            self._evidence.builds(commit) is False
            or counts.total >= MOST_RUNS
            or counts.credited > counts.informative
        ):
            return False
        return not (hardly_speaks(counts) or is_dark(counts, ends_otherwise(self._evidence)))

    def confidence(self, answer: float) -> float:
        """The answer's confidence, lowered if the culprit or a parent has no evidence from its own runs."""
        all_counts = [self._evidence.own_counts(commit) for commit, _ in self._claims]
        heard = all(counts.informative or counts.credited for counts in all_counts)
        return answer if heard else min(answer, UNTESTED)

    def _probability(self, commit: int, *, should_crash: bool) -> float:
        """Computed from the commit's own runs, with the crash chance from the reported commit."""
        if self._evidence.measures:
            return self._step(commit)
        counts = self._evidence.own_counts(commit)
        if commit == self._evidence.reported:
            return 1.0 if counts.matching and should_crash else 0.0
        clean = None if commit == self._end else self._evidence.own_counts(self._end)
        crash = chance_of_bug(counts, self._evidence.counts(self._evidence.reported), clean)
        return crash if should_crash else 1 - crash

    # -- metrics -------------------------------------------------------------------------------------

    def _step(self, commit: int) -> float:
        """The probability of a step between the culprit and a parent, by default its least sure one."""
        culprit = self._claims[0][0]
        parents = self.parents if commit == culprit else (commit,)
        model = MetricLevels(self._evidence.contrast)

        def chance(parent: int) -> float:
            both = self._evidence.own_values(culprit), self._evidence.own_values(parent)
            worse, better = both if self._claims[0][1] else reversed(both)
            return chance_of_step(model, worse, better)

        return min(map(chance, parents), default=1.0)

    def _next_measurement(self, runs: int) -> Experiment | None:
        """More runs of the culprit or a parent, whichever has fewer, until the step between them is sure."""
        culprit = self._claims[0][0]
        most = MetricLevels(self._evidence.contrast).most_runs(MOST_RUNS)
        for parent in self.parents:
            sure = self._step(parent)
            made = {one: len(self._evidence.own_values(one)) for one in (culprit, parent)}
            if sure >= self._confidence and min(made.values()) >= LEAST_VALUES:
                continue
            for commit in sorted(made, key=lambda one: made[one]):
                if made[commit] < most and self._can_tell(commit):
                    what = "the culprit" if commit == culprit else "its parent"
                    reason = f"{what} {'again' if made[commit] else 'itself'}: a step between them is {sure:.0%} likely"
                    return Experiment(commit, max(runs, made[commit] // 2), reason=reason, own=True)
        return None
