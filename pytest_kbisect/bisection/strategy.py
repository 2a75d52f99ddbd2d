"""What a strategy is: evidence in, the next experiment or the answer out. Pure and deterministic."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_kbisect.bisection.evidence import Evidence

GOOD_END = -1
"""Index that stands for the good end A in histories, experiments and evidence."""


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
    """Decides from the evidence alone: the same evidence always gives the same decision."""

    name: str

    def decide(self, evidence: Evidence) -> Experiment | Answer:
        """The next experiment, or the answer when the evidence suffices (or cannot)."""
        ...

    def conclude(self, evidence: Evidence) -> Answer:
        """What is known so far, as an answer: where the search must stop early."""
        ...


def no_result(evidence: Evidence, end: int, name: str) -> Answer:
    """The end that must crash was run, and nothing that was seen speaks of the bug."""
    made, usual = evidence.tally(end).total, evidence.usual_end(end)
    why = f", most often: {usual}" if usual else ""
    return Answer(AnswerKind.UNTESTABLE, reason=f"no run on the {name} gave a result ({made} made{why})")
