"""The last word: the culprit and its parents must have runs of their own, and enough of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.evidence.verdict import crash_chance, enough_runs
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.bayes.alone import MOST_RUNS, chance_of_bug
from pytest_kbisect.strategies.bayes.testable import ends_otherwise, hardly_speaks, is_dark
from pytest_kbisect.strategies.strategy import Experiment

if TYPE_CHECKING:
    from pytest_kbisect.evidence.by_kernel import Evidence

FAINT = 0.2
"""How often a bug that never fails to show may show at the culprit's parent, if something made it easier to
hit since. What fails to show at times depends on timing, and may be rarer there by that chance once more."""
MOST_OF_PARENT = 120
"""Runs of a parent in which a fainter bug is waited for, at most. With 60, a bug that shows in 5 % of the
parent's runs and in half of the culprit's was missed in 1 of 20 simulated searches."""
UNTESTED = 0.5
"""Confidence that is left where the culprit, or a parent, cannot be tested: it may be either of them."""


@dataclass(frozen=True)
class OwnOdds:
    """Probability that a commit is what the answer says, from its own runs alone, starting at even odds."""

    commit: int
    should_crash: bool
    probability: float


class Confirmation:
    """Tests culprit and parents again until they convince by their own runs, not by their neighbours'.

    What these runs show is evidence like any other: they decide nothing but which experiment comes next.
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
        parents = tuple(p for p in parents if p not in evidence.never)  # it is no fix of theirs
        self._claims = ((culprit, not fix), *((p, fix) for p in parents))

    def odds(self) -> tuple[OwnOdds, ...]:
        """Own odds of the culprit first, then of its parents."""
        return tuple(OwnOdds(i, crash, self._probability(i, should_crash=crash)) for i, crash in self._claims)

    def decide(self, runs: int = 10) -> Experiment | None:
        """The next experiment; None when all convince or no more runs would help.

        `runs` is the size of a batch, at least: one that is worth repeating grows.
        """
        for own in self.odds():
            counts = self._evidence.own_tally(own.commit)
            missing = 0 if own.should_crash else self._enough - counts.informative
            if (own.probability >= self._confidence and missing <= 0) or not self._can_tell(own.commit):
                continue
            what = "the culprit" if own.commit == self._claims[0][0] else "its parent"
            again = "again" if counts.total else "itself"
            reason = f"{what} {again}: {own.probability:.0%} by its own runs"
            # Whether it says anything at all is seen first.
            size = min(max(runs, missing, counts.total // 2), MOST_RUNS) if counts.informative else runs
            return Experiment(own.commit, size, reason=reason, own=True)
        return None

    @property
    def _enough(self) -> int:
        """Runs of a commit that should not crash, in which a bug harder to hit than reported shows itself."""
        chance = crash_chance(self._evidence.counts(self._evidence.reported))
        return enough_runs(FAINT * chance**2, MOST_OF_PARENT) if self._faint else enough_runs(chance)

    def _can_tell(self, commit: int) -> bool:
        """Whether more runs at a commit may say more."""
        counts = self._evidence.own_tally(commit)
        if (
            self._evidence.builds(commit) is False
            or counts.total >= MOST_RUNS
            or counts.credited > counts.informative
        ):
            return False
        return not (hardly_speaks(counts) or is_dark(counts, ends_otherwise(self._evidence)))

    def confidence(self, answer: float) -> float:
        """The answer's confidence, lowered where the culprit or a parent says nothing by its own runs."""
        all_counts = [self._evidence.own_tally(commit) for commit, _ in self._claims]
        heard = all(counts.informative or counts.credited for counts in all_counts)
        return answer if heard else min(answer, UNTESTED)

    def _probability(self, commit: int, *, should_crash: bool) -> float:
        """From the commit's own runs, with what the reported commit says of the crash chance."""
        counts = self._evidence.own_tally(commit)
        if commit == self._evidence.reported:
            return 1.0 if counts.matching and should_crash else 0.0
        clean = None if commit == self._end else self._evidence.own_tally(self._end)
        crash = chance_of_bug(counts, self._evidence.counts(self._evidence.reported), clean)
        return crash if should_crash else 1 - crash
