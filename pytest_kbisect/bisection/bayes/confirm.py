"""The last word: the culprit and its parents must convince by their own runs, not by their neighbours'."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING

from pytest_kbisect.bisection.bayes.alone import MOST_RUNS, chance_of_bug
from pytest_kbisect.bisection.bayes.crashchance import DRIFTING
from pytest_kbisect.bisection.bayes.testable import hardly_speaks
from pytest_kbisect.bisection.strategy import GOOD_END, Experiment
from pytest_kbisect.bisection.tally import Tally, likelier_apart
from pytest_kbisect.bisection.verdict import crash_chance, enough_runs

if TYPE_CHECKING:
    from pytest_kbisect.bisection.evidence import Evidence

MANY = 60
"""Runs of a commit that should crash, after which noise is looked for where its own odds do not pass."""


@dataclass(frozen=True)
class OwnOdds:
    """Probability that a commit is what the answer says, from its own runs alone, starting at even odds."""

    commit: int
    should_crash: bool
    probability: float


class Confirmation:
    """Tests culprit and parents again until their own odds pass; then says what is left of the confidence."""

    def __init__(self, evidence: Evidence, culprit: int, *, confidence: float, fix: bool = False) -> None:
        self._evidence = evidence
        self._confidence = confidence
        self._end = evidence.history.bad_end if fix else GOOD_END
        self._spared = tuple(
            i
            for i in evidence.tried
            if i not in {GOOD_END, self._end, *evidence.never}
            and bool(evidence.history.ancestry.ancestors(i)[culprit]) is fix
        )
        parents = evidence.history.parents[culprit] or (GOOD_END,)
        parents = tuple(p for p in parents if p not in evidence.never)  # it is no fix of theirs
        self._claims = ((culprit, not fix), *((p, fix) for p in parents))

    def odds(self) -> tuple[OwnOdds, ...]:
        """Own odds of the culprit first, then of its parents."""
        return tuple(OwnOdds(i, crash, self._probability(i, should_crash=crash)) for i, crash in self._claims)

    def decide(self, runs: int = 10) -> Experiment | None:
        """The next experiment; None when all odds pass or no more runs would help.

        `runs` is the size of a batch.
        """
        for own in self.odds():
            if own.probability < self._confidence and (again := self._again(own, runs)) is not None:
                return again
        return self._look_for_noise(runs)

    def _again(self, own: OwnOdds, runs: int) -> Experiment | None:
        """More runs of a commit whose own do not convince, or of the end without the bug where its few
        crashes may be noise; None where neither would help.
        """
        tally, at_end = self._evidence.own_tally(own.commit), self._evidence.own_tally(self._end).total
        if tally.kin > tally.telling or not self._can_tell(own.commit):
            return None
        what = "the culprit" if own.commit == self._claims[0][0] else "its parent"
        rare = own.should_crash and tally.matching > 0 and tally.total >= MANY
        if rare and tally.total > at_end and self._can_tell(self._end):
            seen = f"{tally.matching} of {tally.total} runs"
            reason = f"{what} crashed in {seen}: does the end without the bug?"
            return Experiment(self._end, max(runs, tally.total - at_end), reason=reason, own=True)
        again = "again" if tally.total else "itself"
        reason = f"{what} {again}: {own.probability:.0%} by its own runs"
        return Experiment(own.commit, runs, reason=reason, own=True)

    def _look_for_noise(self, runs: int) -> Experiment | None:
        """What shows whether the end that has not the bug crashes as often as others said not to have it.

        Runs are made there and at the one of them that crashed most, in turn.
        """
        if self.noise() >= self._confidence:
            return None
        crashed = max(self._spared, key=lambda i: (self._evidence.own_tally(i).matching, i))
        runs = max(runs, enough_runs(crash_chance(self._crashed())))
        for commit in sorted((self._end, crashed), key=lambda i: self._evidence.own_tally(i).total):
            if self._can_tell(commit):
                reason = "commits without the culprit crashed: does the end without it, too?"
                return Experiment(commit, runs, reason=reason, own=True)
        return None

    def _can_tell(self, commit: int) -> bool:
        """Whether more runs at a commit may say more."""
        tally = self._evidence.own_tally(commit)
        builds = self._evidence.builds(commit) is not False
        return builds and tally.total < MOST_RUNS and not hardly_speaks(tally)

    def noise(self) -> float:
        """Probability that crashes of commits which have not the bug are no fainter traces of it.

        Then the end that is known not to have it crashes as often.
        """
        here, end = self._crashed(), self._evidence.own_tally(self._end)
        if here.matching * end.telling <= end.matching * here.telling and (end.telling or not here.matching):
            return 1.0
        apart = likelier_apart((here.matching, here.ok), (end.matching, end.ok))
        return (1 - DRIFTING) / (1 - DRIFTING + DRIFTING * exp(min(apart, 700.0)))

    def _crashed(self) -> Tally:
        """All own runs of commits that have not the bug, as the answer says."""
        own = [self._evidence.own_tally(i) for i in self._spared]
        return Tally(sum(tally.matching for tally in own), sum(tally.ok for tally in own))

    def confidence(self, answer: float) -> float:
        """The answer's confidence, lowered where own odds do not pass."""
        lowest = min(self.noise(), *(own.probability for own in self.odds()))
        return answer if lowest >= self._confidence else min(answer, lowest)

    def _probability(self, commit: int, *, should_crash: bool) -> float:
        """From the commit's own runs, with what the reported commit says of the crash chance."""
        tally = self._evidence.own_tally(commit)
        if commit == self._evidence.reported:
            return 1.0 if tally.matching and should_crash else 0.0
        clean = None if commit == self._end else self._evidence.own_tally(self._end)
        crash = chance_of_bug(tally, self._evidence.tally(self._evidence.reported), clean)
        return crash if should_crash else 1 - crash
