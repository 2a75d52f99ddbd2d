"""The last word: the culprit and its parents must convince by their own runs, not by their neighbours'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.bisection.bayes.crashchance import CrashChance
from pytest_kbisect.bisection.bayes.posterior import KIN, by_another_bug
from pytest_kbisect.bisection.bayes.testable import hardly_speaks
from pytest_kbisect.bisection.strategy import GOOD_END, Experiment

if TYPE_CHECKING:
    from pytest_kbisect.bisection.evidence import Evidence
    from pytest_kbisect.bisection.tally import Tally

MOST_RUNS = 200
"""Runs at one commit after which its own odds are left as they are, and lower the confidence."""


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
        self._model = CrashChance()
        parents = evidence.history.parents[culprit] or (GOOD_END,)
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
        bad, good = self._scores(tally)
        if tally.kin:
            if_kin = self._scores(tally.counting_kin())
            by_another = np.log1p(-KIN) + by_another_bug(tally)
            bad = np.logaddexp(np.log(KIN) + if_kin[0], by_another + bad)
            good = np.logaddexp(np.log(KIN) + if_kin[1], by_another + good)
        crash = float(1 / (1 + np.exp(np.clip(good - bad, -700, 700))))
        return crash if should_crash else 1 - crash

    def _scores(self, tally: Tally) -> tuple[float, float]:
        """Log-probability of these runs where the commit has the bug, and where it has not."""
        reported, _ = self._model.log_likelihood(self._evidence.tally(self._evidence.reported))
        bad, good = self._model.log_likelihood(tally)
        prior = self._model.log_prior + reported
        return float(np.logaddexp.reduce(prior + bad)), float(np.logaddexp.reduce(prior + good))
