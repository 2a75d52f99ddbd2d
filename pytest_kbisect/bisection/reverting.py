"""What it means for an answer that the bug goes, or stays, when the culprit is taken back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pytest_kbisect.evidence.outcome import CommitResult
    from pytest_kbisect.evidence.run_counts import RunCounts
    from pytest_kbisect.strategies.strategy import Answer

_FAILS_THOUGH_RIGHT = 0.1
"""Chance that the end still crashes without the right culprit: a second cause came in later."""
_FAILS_IF_WRONG = 0.98
"""Chance that it does without a commit that has nothing to do with the crash."""
_UNSEEN = 0.05
"""Chance of a bug that is there not to show itself in the runs, above which their being ok says nothing."""


@dataclass(frozen=True, slots=True)
class RevertCheck:
    """The end of the range with the culprit reverted.

    `outcome` is "passed" (no crash left; of a fix: the crash is back), "crashed" (the opposite),
    "conflict" (it cannot be reverted there), "not-built", "unclear" (too few runs gave a result for a
    crash as rare as this one) or "not-tried"; `why` says why it is none of the first two.
    """

    outcome: str = "not-tried"
    why: str = ""
    commit: str = ""
    crashed: int = 0
    total: int = 0

    @classmethod
    def of(cls, tested: CommitResult, counts: RunCounts, *, chance: float, fix: bool) -> Self:
        """What the test of the reverted commit came to; `chance` is that of a crash where the bug is."""
        if tested.build_error:
            return cls("not-built", tested.build_error.splitlines()[0], tested.commit)
        if not counts.informative:
            return cls("unclear", "no run gave a result", tested.commit, 0, counts.total)
        if counts.unclear:
            return cls(
                "unclear",
                "it measures neither what one end does nor the other",
                tested.commit,
                0,
                counts.total,
            )
        unseen = (1 - chance) ** counts.ok
        if not counts.matching and unseen > _UNSEEN:
            why = f"{counts.ok} runs without the crash say little: were it there, {unseen:.0%} of such tests had none"
            return cls("unclear", why, tested.commit, 0, counts.total)
        passed = bool(counts.matching) == fix
        return cls("passed" if passed else "crashed", "", tested.commit, counts.matching, counts.total)


def after_revert(answer: Answer, check: RevertCheck) -> Answer:
    """The answer with its confidence lowered where the check failed; one that passed adds nothing."""
    if check.outcome != "crashed":
        return answer
    right = answer.confidence * _FAILS_THOUGH_RIGHT
    wrong = (1 - answer.confidence) * _FAILS_IF_WRONG
    # A certain answer (git bisect's) is doubted too: one in a hundred of them is wrong.
    wrong = max(wrong, 0.01 * _FAILS_IF_WRONG)
    return replace(answer, confidence=right / (right + wrong))
