"""What a strategy is: evidence in, the next experiment or the answer out. Pure and deterministic."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from pytest_kbisect.evidence.outcome import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_kbisect.evidence.by_kernel import Evidence, Prices
    from pytest_kbisect.evidence.known_verdict import KnownVerdict
    from pytest_kbisect.evidence.run_counts import RunCounts
    from pytest_kbisect.history.ancestry import Weights
    from pytest_kbisect.history.candidates import History


class AnswerKind(StrEnum):
    CULPRIT = "culprit"
    CANDIDATES = "candidates"
    NOT_REPRODUCED = "not-reproduced"
    BAD_AT_GOOD_END = "bad-at-good-end"
    NOT_FIXED = "not-fixed"
    BAD_AT_OLDEST = "bad-at-oldest"
    """No release is old enough to be good."""
    GOOD_RELEASE = "good-release"
    """A good end among the releases, where the search proper begins; never the end of a bisection."""
    UNTESTABLE = "untestable"


@dataclass(frozen=True, slots=True)
class Experiment:
    """Test one commit (index into the history or beside it, GOOD_END for A) with at most `runs` runs.

    `stop_at_crash`: the first crash that matches the reference ends the batch. `own`: run it even where
    another commit gave the same kernel. `reason` is a sentence for the person who watches.
    """

    commit: int
    runs: int
    stop_at_crash: bool = False
    reason: str = ""
    own: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a search. `candidates` are (index, probability), most likely first."""

    kind: AnswerKind
    culprit: int | None = None
    confidence: float = 0.0
    candidates: tuple[tuple[int, float], ...] = ()
    reason: str = ""


class Strategy(Protocol):
    """Decides from the evidence alone: the same evidence always gives the same decision.

    Subclass it. `decide` and `conclude` must be written; the other methods have defaults for a strategy that
    makes one experiment after another and knows no probabilities.
    """

    name: str
    confidence: float | None = None
    """Probability that an answer must reach. None: answers have no probability, and are not confirmed."""

    @abstractmethod
    def decide(self, evidence: Evidence) -> Experiment | Answer:
        """The next experiment, or the answer if the evidence suffices (or cannot)."""

    @abstractmethod
    def conclude(self, evidence: Evidence) -> Answer:
        """The answer so far, for a search that must stop early."""

    def batch(
        self, evidence: Evidence, count: int, running: Sequence[int] = ()
    ) -> tuple[Experiment, ...] | Answer:
        """Up to `count` experiments at different commits, to be made side by side.

        `running` are commits of experiments that have begun: those that the answer leaves out are cancelled.
        """
        decision = self.decide(evidence)
        return decision if isinstance(decision, Answer) else (decision,)

    def verdict(self, evidence: Evidence, commit: int) -> Verdict:
        """What git bisect would be told of a commit that was tested."""
        return verdict_of(evidence.counts(commit))

    def credible_set(self, evidence: Evidence) -> tuple[tuple[int, float], ...]:
        """The fewest commits that hold the culprit, with their probabilities, most likely first."""
        return self.conclude(evidence).candidates

    def likelihood(self, evidence: Evidence) -> Weights | None:
        """The probability of each commit of the history to be the culprit; None without probabilities."""
        return None

    def foresee(self, evidence: Evidence, experiment: Experiment) -> tuple[int, ...]:
        """Commits that are likely to be wanted after an experiment, likelier first, to be built meanwhile."""
        return ()

    def explain(self, evidence: Evidence, commit: int, sha: Callable[[int], str]) -> list[str]:
        """Log lines after an experiment at `commit`; `sha` gives the hash of a commit, GOOD_END included."""
        return []


@dataclass(frozen=True, slots=True)
class Problem:
    """What a strategy is asked to search, and how.

    `runs` is the number of runs of a commit if the strategy has no opinion; `confidence` the wanted
    probability of the answer. With `fix` the fix is looked for: the good end shows the bug. `trusted`: the
    user has named the good end. `prior` weighs the commits (any scale, by index); None: all alike. `prices`
    are guesses. `known` are verdicts of commits that the user has from elsewhere, each with its trust.
    """

    history: History
    runs: int = 10
    confidence: float = 0.95
    fix: bool = False
    trusted: bool = True
    prices: Prices | None = None
    prior: Weights | None = None
    known: tuple[KnownVerdict, ...] = ()


@dataclass(frozen=True, slots=True)
class StrategyKind:
    """A strategy that `--kbisect-strategy` can name, and what makes it for a problem.

    `probabilistic`: it knows how likely each commit is. Then it is made again with a prior once the crash was
    seen, may name several experiments at a time, has kernels built ahead, and weighs known verdicts.
    """

    name: str
    make: Callable[[Problem], Strategy]
    probabilistic: bool = False


def verdict_of(counts: RunCounts) -> Verdict:
    """Bad if a run showed the bug, good if one reached its code and did not."""
    if counts.matching:
        return Verdict.BAD
    return Verdict.GOOD if counts.ok else Verdict.SKIP


def no_result(evidence: Evidence, end: int, name: str) -> Answer:
    """The end that must crash was run, and nothing that was seen speaks of the bug."""
    made, usual = evidence.counts(end).total, evidence.usual_end(end)
    why = f", most often: {usual}" if usual else ""
    return Answer(AnswerKind.UNTESTABLE, reason=f"no run on the {name} gave a result ({made} made{why})")
