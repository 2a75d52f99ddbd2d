"""The last word: the culprit and its parents must convince by their own runs, not by their neighbours'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.bisection.bayes.alone import MOST_RUNS, chance_of_bug
from pytest_kbisect.bisection.bayes.testable import hardly_speaks
from pytest_kbisect.bisection.strategy import GOOD_END, Experiment

if TYPE_CHECKING:
    from pytest_kbisect.bisection.evidence import Evidence


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
            tally = self._evidence.own_tally(own.commit)
            if own.probability >= self._confidence or self._evidence.builds(own.commit) is False:
                continue
            if tally.total >= MOST_RUNS or tally.kin > tally.telling or hardly_speaks(tally):
                continue  # no more of the same would convince
            what = "the culprit" if own.commit == self._claims[0][0] else "its parent"
            again = "again" if tally.total else "itself"
            reason = f"{what} {again}: {own.probability:.0%} by its own runs"
            return Experiment(own.commit, runs, reason=reason, own=True)
        return None

    def confidence(self, answer: float) -> float:
        """The answer's confidence, lowered where own odds do not pass."""
        lowest = min(own.probability for own in self.odds())
        return answer if lowest >= self._confidence else min(answer, lowest)

    def _probability(self, commit: int, *, should_crash: bool) -> float:
        """From the commit's own runs, with what the reported commit says of the crash chance."""
        tally = self._evidence.own_tally(commit)
        if commit == self._evidence.reported:
            return 1.0 if tally.matching and should_crash else 0.0
        crash = chance_of_bug(tally, self._evidence.tally(self._evidence.reported))
        return crash if should_crash else 1 - crash
