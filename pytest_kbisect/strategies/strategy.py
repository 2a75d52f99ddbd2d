"""The protocol of strategies: from evidence to the next experiment or the answer. Pure and deterministic."""

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
    from pytest_kbisect.strategies.joint import Prospects


class AnswerKind(StrEnum):
    CULPRIT = "culprit"
    CANDIDATES = "candidates"
    NOT_REPRODUCED = "not-reproduced"
    BAD_AT_GOOD_END = "bad-at-good-end"
    NOT_FIXED = "not-fixed"
    BAD_AT_OLDEST = "bad-at-oldest"
    """Even the oldest release is bad."""
    GOOD_RELEASE = "good-release"
    """A good end among the releases. The actual search starts from it; a bisection never ends with this."""
    UNTESTABLE = "untestable"


@dataclass(frozen=True, slots=True)
class Experiment:
    """Test one commit with at most `runs` runs. `commit` is an index of the history; GOOD_END means A.

    `stop_at_crash`: the first crash that matches the reference ends the batch. `own`: run it even if another
    commit gave the same kernel. `reason` is a sentence for the log.
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

    Subclass it. `decide` and `conclude` must be implemented. The other methods have defaults for a strategy
    that makes one experiment at a time and has no probabilities.
    """

    name: str
    confidence: float | None = None
    """The probability that an answer must reach. None: answers have no probability and are not confirmed."""

    @abstractmethod
    def decide(self, evidence: Evidence) -> Experiment | Answer:
        """The next experiment, or the answer if the evidence suffices or no experiment can add to it."""

    @abstractmethod
    def conclude(self, evidence: Evidence) -> Answer:
        """The answer so far, if the search must stop early."""

    def batch(
        self, evidence: Evidence, count: int, running: Sequence[int] = ()
    ) -> tuple[Experiment, ...] | Answer:
        """Up to `count` experiments at different commits, to be made in parallel.

        `running` are the commits of experiments in progress. Those that the result omits are cancelled.
        """
        decision = self.decide(evidence)
        return decision if isinstance(decision, Answer) else (decision,)

    def verdict(self, evidence: Evidence, commit: int) -> Verdict:
        """The verdict on a tested commit, as in git bisect."""
        return verdict_of(evidence.counts(commit))

    def credible_set(self, evidence: Evidence) -> tuple[tuple[int, float], ...]:
        """The smallest set of commits that contains the culprit, with probabilities, most likely first."""
        return self.conclude(evidence).candidates

    def likelihood(self, evidence: Evidence) -> Weights | None:
        """For each commit, the probability that it is the culprit. None without probabilities."""
        return None

    def prospects(self, evidence: Evidence) -> Prospects | None:
        """What each experiment would tell now, for a choice that several searches make together.

        None: only what `decide` returns is worthwhile.
        """
        return None

    def foresee(self, evidence: Evidence, experiment: Experiment) -> tuple[int, ...]:
        """Commits likely to be tested after an experiment, most likely first, to be built meanwhile."""
        return ()

    def explain(self, evidence: Evidence, commit: int, sha: Callable[[int], str]) -> list[str]:
        """Log lines after an experiment at `commit`. `sha` returns the hash of a commit or of GOOD_END."""
        return []


@dataclass(frozen=True, slots=True)
class Problem:
    """What a strategy must search for, and how.

    `runs` is the number of runs per commit, for strategies that do not choose it. `confidence` is the wanted
    probability of the answer. With `fix` the search is for the fix: the good end shows the bug. `trusted`:
    the user has named the good end. `prior` is the weight of each commit by index, on any scale; None: all
    equal. `prices` are guesses. `known` are verdicts that the user has from elsewhere, each with its trust.
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
    """A strategy that `--kbisect-strategy` can select. `make` creates it for a problem.

    `probabilistic`: it computes the probability of each commit. Such a strategy is created again with a prior
    once the crash was seen, may return several experiments at a time, has kernels built ahead, and weighs
    known verdicts.
    """

    name: str
    make: Callable[[Problem], Strategy]
    probabilistic: bool = False


def verdict_of(counts: RunCounts) -> Verdict:
    """Bad if a run showed the bug; good if a run reached the code and did not show it; else skip."""
    if counts.matching:
        return Verdict.BAD
    return Verdict.GOOD if counts.ok else Verdict.SKIP


def no_result(evidence: Evidence, end: int, name: str) -> Answer:
    """The answer if the end that must crash was run, but no run was evidence about the bug."""
    made, usual = evidence.counts(end).total, evidence.usual_end(end)
    why = f", most often: {usual}" if usual else ""
    return Answer(AnswerKind.UNTESTABLE, reason=f"no run on the {name} gave a result ({made} made{why})")
