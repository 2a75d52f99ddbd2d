"""git bisect's own order with the usual verdict rules. The Bayesian search is measured against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.evidence.outcome import Verdict
from pytest_kbisect.evidence.verdict import crash_chance, is_flaky, judge, judge_reported
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.halving import Halving, Step, candidates, halve
from pytest_kbisect.strategies.strategy import (
    Answer,
    AnswerKind,
    Experiment,
    Problem,
    Strategy,
    StrategyKind,
    no_result,
    verdict_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.history.candidates import History

FIRST_RUNS = 20
"""Runs at the bad end, and at each commit once the bug has proved flaky (syzkaller: MaxNumTests)."""


@dataclass(frozen=True)
class Judged:
    """The verdicts so far, in the order in which commits were tested."""

    verdicts: dict[int, Verdict]
    flaky: bool

    def all(self, verdict: Verdict) -> tuple[int, ...]:
        return tuple(i for i, v in self.verdicts.items() if v is verdict and i != GOOD_END)


def _name(end: int) -> str:
    return "good end" if end == GOOD_END else "bad end"


class Classic(Strategy):
    """Tests B, then A, then halves the range as git bisect does, until one commit is left.

    With `fix` it tests A first, which crashes, then B, which should not. Good and bad are exchanged.
    """

    name = "classic"

    def __init__(self, history: History, runs: int = 10, *, fix: bool = False) -> None:
        self.history = history
        self.runs = runs
        self.fix = fix

    def judged(self, evidence: Evidence) -> Judged:
        """The verdict on every tested commit. Flaky: from the first bad commit that crashes in under half."""
        verdicts: dict[int, Verdict] = {}
        flaky = False
        end = evidence.reported
        chance = crash_chance(evidence.counts(end))
        for i in evidence.tried:
            counts = evidence.counts(i)
            verdicts[i] = judge_reported(counts) if i == end else judge(counts, flaky=flaky, chance=chance)
            flaky |= verdicts[i] is Verdict.BAD and is_flaky(counts)
        return Judged(verdicts, flaky)

    def decide(self, evidence: Evidence) -> Experiment | Answer:
        if not len(self.history):
            return Answer(AnswerKind.UNTESTABLE, reason="the range contains no commits")
        end, other = evidence.reported, self.history.bad_end if self.fix else GOOD_END
        judged = self.judged(evidence)
        runs = FIRST_RUNS if judged.flaky else self.runs
        if end not in judged.verdicts:
            return Experiment(
                end, FIRST_RUNS, reason=f"does the {evidence.wording.noun} reproduce on the {_name(end)}?"
            )
        if judged.verdicts[end] is not Verdict.BAD:
            return self._not_bad(evidence)
        if other not in judged.verdicts:
            return Experiment(other, runs, reason=f"is the {_name(other)} good?")
        if judged.verdicts[other] is Verdict.BAD:
            kind = AnswerKind.NOT_FIXED if self.fix else AnswerKind.BAD_AT_GOOD_END
            return Answer(kind, reason=f"the {_name(other)} {evidence.wording.has} too")
        if self.fix and judged.verdicts[other] is Verdict.SKIP:
            return Answer(AnswerKind.UNTESTABLE, reason=f"the {_name(other)} cannot be tested")
        step = self.step(judged)
        if step.next is not None:
            return Experiment(step.next, runs, reason=str(step))
        return self._answer(step, judged)

    def conclude(self, evidence: Evidence) -> Answer:
        """The commits that could still be the culprit, if the search must stop early."""
        decision = self.decide(evidence)
        if isinstance(decision, Answer):
            return decision
        judged = self.judged(evidence)
        end, other = evidence.reported, self.history.bad_end if self.fix else GOOD_END
        if not {end, other} <= judged.verdicts.keys():
            return Answer(AnswerKind.UNTESTABLE, reason="stopped before both ends were tested")
        left = tuple(np.flatnonzero(candidates(self.history, self._state(judged))).tolist())
        share = 1.0 / len(left) if left else 0.0
        reason = f"stopped early: {len(left)} commits could be the first {self._new} one"
        return Answer(AnswerKind.CANDIDATES, None, share, tuple((i, share) for i in left), reason)

    def verdict(self, evidence: Evidence, commit: int) -> Verdict:
        verdicts = self.judged(evidence).verdicts
        return verdicts[commit] if commit in verdicts else verdict_of(evidence.counts(commit))

    def explain(self, evidence: Evidence, commit: int, sha: Callable[[int], str]) -> list[str]:
        """The lines of git bisect for the verdict on this commit."""
        if commit < GOOD_END:
            return []
        judged = self.judged(evidence)
        reported = evidence.reported
        other = self.history.bad_end if self.fix else GOOD_END
        if commit == reported or judged.verdicts.get(reported) is not Verdict.BAD:
            return []
        words = f"# git bisect {_term(judged.verdicts[commit], fix=self.fix)} {sha(commit)}"
        if commit == other:
            if judged.verdicts[commit] is not Verdict.GOOD:
                return []
            words = f"# git bisect start {sha(self.history.bad_end)} {sha(GOOD_END)}"
        step = self.step(judged)
        if step.next is None:
            return [words]
        return [words, str(step), f"[{sha(step.next)}] {self.history.title(step.next)}", ""]

    def step(self, judged: Judged) -> Step:
        """The next step of git bisect after these verdicts."""
        return halve(self.history, self._state(judged))

    def _state(self, judged: Judged) -> Halving:
        new, old = (Verdict.GOOD, Verdict.BAD) if self.fix else (Verdict.BAD, Verdict.GOOD)
        # The oldest bad commit, not the last one marked: a verdict changes if another commit turns out to be
        # the same kernel.
        oldest = min(judged.all(new))
        return Halving(oldest, frozenset(judged.all(old)), frozenset(judged.all(Verdict.SKIP)))

    @property
    def _new(self) -> str:
        """The verdict on commits that contain the culprit."""
        return "good" if self.fix else "bad"

    def _not_bad(self, evidence: Evidence) -> Answer:
        end = _name(evidence.reported)
        if evidence.builds(evidence.reported) is False:
            return Answer(AnswerKind.UNTESTABLE, reason=f"the {end} does not build")
        counts = evidence.counts(evidence.reported)
        if not counts.informative:
            return no_result(evidence, evidence.reported, end)
        return Answer(
            AnswerKind.NOT_REPRODUCED,
            reason=f"{counts.matching} of {counts.total} runs {evidence.wording.had} on the {end}: nothing to bisect",
        )

    def _answer(self, step: Step, judged: Judged) -> Answer:
        if not step.left:
            return Answer(
                AnswerKind.CANDIDATES, reason="the verdicts contradict each other: no commit explains them"
            )
        if len(step.left) == 1:
            (culprit,) = step.left
            return Answer(
                AnswerKind.CULPRIT, culprit, 1.0, ((culprit, 1.0),), f"the first {self._new} commit"
            )
        share = 1.0 / len(step.left)
        reason = (
            f"only skipped commits left to test: {len(step.left)} commits could be the first {self._new} one"
        )
        if np.all([judged.verdicts.get(i) is Verdict.SKIP for i in step.left]):
            reason = "no commit could be tested"
        return Answer(AnswerKind.CANDIDATES, None, share, tuple((i, share) for i in step.left), reason)


def classic(problem: Problem) -> Classic:
    """The strategy for a problem."""
    return Classic(problem.history, problem.runs, fix=problem.fix)


def _term(verdict: Verdict, *, fix: bool) -> str:
    """The term for git. To git, commits with the culprit are "bad"; for a fix, these are the good ones."""
    if not fix or verdict is Verdict.SKIP:
        return verdict.value
    return "bad" if verdict is Verdict.GOOD else "good"


CLASSIC = StrategyKind("classic", classic)
