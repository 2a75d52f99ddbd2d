"""The default strategy: chooses the most informative experiment for its price, until it is sure enough."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.evidence.by_kernel import Prices
from pytest_kbisect.evidence.outcome import Outcome, Verdict
from pytest_kbisect.evidence.verdict import crash_chance, enough_runs
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.bayes.choice import best, best_of
from pytest_kbisect.strategies.bayes.state import Inference
from pytest_kbisect.strategies.bayes.testable import boot_failures, is_dead, is_mute, machine_fails
from pytest_kbisect.strategies.bayes.together import spread
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
    from collections.abc import Callable, Sequence

    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.known_verdict import KnownVerdict
    from pytest_kbisect.evidence.run_counts import RunCounts
    from pytest_kbisect.history.ancestry import Weights
    from pytest_kbisect.history.candidates import History
    from pytest_kbisect.strategies.bayes.choice import Choice
    from pytest_kbisect.strategies.bayes.posterior import Posterior
    from pytest_kbisect.strategies.bayes.state import State

FIRST_CRASHES = 3
"""Crashes required at the bad end before anything else is built: they set the scale of the crash chance."""
FIRST_RUNS = 200
"""After this many runs at the bad end the crash counts as not reproduced. At 2 % per run it shows in 98 %."""
OLDER = 0.005
"""Prior of a bug that is older than the range, although the user has named the good end."""
MAYBE_OLDER = 0.5
"""The same if the user has not: half of syzbot's bisections go back further than one release."""
UNFIXED = 0.35
"""Prior of a bug that is not fixed at the end of the range, although the user thinks so."""
MANY_CRASHES = 12
"""After this many crashes of one kernel the next one settles nothing: batches do not stop at a crash."""
WRONG = 15
"""The cost of a wrong answer, in bisections of this length: someone debugs a commit that is not at fault."""
ENOUGH = 0.3
"""If the doubt is below this part of the allowed doubt (1 - confidence), no run is made to reduce it."""


class Bayes(Strategy):
    """Chooses the experiment with the most information per second, until one commit is likely enough.

    `confidence` is the probability that an answer must reach. With `fix` the search is for the fix: A
    crashes, B should not, and the evidence's `reported` commit is GOOD_END. `prior` is the weight of each
    commit (default: uniform). `prices` are the assumed costs of builds and runs until they are measured, and
    the number of parallel runs. `older` is the prior of a bug that is older than the range. `known` are
    verdicts from elsewhere.
    """

    name = "bayes"

    def __init__(
        self,
        history: History,
        *,
        confidence: float = 0.95,
        prices: Prices | None = None,
        prior: Weights | None = None,
        fix: bool = False,
        older: float = OLDER,
        known: Sequence[KnownVerdict] = (),
    ) -> None:
        self.history = history
        self.confidence: float = confidence
        self.guess = prices or Prices()
        self.fix = fix
        weights = np.ones(len(history)) if prior is None else prior
        self._inference = Inference(
            history, prior=weights, outside=UNFIXED if fix else older, guess=self.guess, fix=fix, known=known
        )

    def decide(self, evidence: Evidence) -> Experiment | Answer:
        if not len(self.history):
            return Answer(AnswerKind.UNTESTABLE, reason="the range contains no commits")
        opening = self._opening(evidence)
        if opening is not None:
            return opening
        state = self._inference.state(evidence)
        if self.fix and state.posterior.outside > 0.1 and self.history.bad_end in state.untestable:
            return Answer(
                AnswerKind.UNTESTABLE, reason="the bad end, which should be fixed, cannot be tested"
            )
        if machine_fails([evidence.counts(i) for i in evidence.tried]):
            return self._unsure(state, "most runs fail because of the test machine, not the kernel: ")
        answer = self._sure(state, evidence)
        choice = best(state, 1 - self.confidence)
        if choice is None:
            return answer or self._unsure(state)
        if answer is not None and not self._pays(choice, answer, state.posterior, evidence.spent):
            return answer
        return self._experiment(choice, state, evidence.counts(choice.commit))

    def conclude(self, evidence: Evidence) -> Answer:
        """The answer so far, if the budget is used up or the user interrupts."""
        first = self._first(evidence) if len(self.history) else self.decide(evidence)
        if isinstance(first, Answer):
            return first
        if first is not None and not evidence.counts(evidence.reported).matching:
            return Answer(
                AnswerKind.UNTESTABLE, reason=f"stopped before the {evidence.wording.noun} was seen"
            )
        state = self._inference.state(evidence)
        return self._sure(state, evidence) or self._unsure(state, "stopped early: ")

    def batch(
        self, evidence: Evidence, count: int, running: Sequence[int] = ()
    ) -> tuple[Experiment, ...] | Answer:
        """Up to `count` experiments that are most informative together.

        Fewer if fewer make sense: at the bad end first, or with few suspects left.
        """
        first = self.decide(evidence)
        if isinstance(first, Answer):
            return first
        if count < 2 or self._opening(evidence) is not None:
            return (first,)
        state = self._inference.state(evidence)
        return tuple(
            first if i == first.commit else self._beside(first, i, evidence, state)
            for i in spread(state, first.commit, count, running)
        )

    def _beside(self, first: Experiment, commit: int, evidence: Evidence, state: State) -> Experiment:
        """The experiment at a commit that is tested in parallel with the best one."""
        choice = best_of(np.array([commit if commit >= 0 else len(self.history)]), state)
        reason = "most informative in addition to the others"
        if choice is None:
            return replace(first, commit=commit, reason=reason)
        return replace(self._experiment(choice, state, evidence.counts(commit)), reason=reason)

    def foresee(self, evidence: Evidence, experiment: Experiment) -> tuple[int, ...]:
        """The commits that will likely be tested next, most likely first. They are built while guests run.

        At most two: the next commit if this one crashes, and the next if it does not. None if the runs take
        less time than a build: an unfinished build, or a build of the wrong commit, moves the build folder
        further from the commit that is built next. With such builds, on two processors, a search with a
        certain crash took 12 % longer.
        """
        prices = evidence.prices(self.guess)
        if experiment.commit < GOOD_END or experiment.runs / prices.width * prices.run < prices.build:
            return ()
        wanted: list[int] = []
        crashes = crash_chance(evidence.counts(evidence.reported)) * min(prices.width, experiment.runs)
        times = {Outcome.CRASHED: max(1, round(crashes)), Outcome.OK: experiment.runs}
        likely = self.chance_of_bug(evidence, experiment.commit) >= 0.5
        for outcome in (Outcome.CRASHED, Outcome.OK) if likely else (Outcome.OK, Outcome.CRASHED):
            imagined = evidence.imagine(experiment.commit, outcome, times[outcome])
            following = self.decide(imagined)
            if isinstance(following, Experiment) and evidence.builds(following.commit) is None:
                wanted.append(following.commit)
        return tuple(dict.fromkeys(wanted))

    def verdict(self, evidence: Evidence, commit: int) -> Verdict:
        counts = evidence.counts(commit)
        if not counts.credited or counts.matching:
            return verdict_of(counts)
        chance = self.chance_of_bug(evidence, commit)
        sure = self.confidence
        return Verdict.BAD if chance >= sure else Verdict.GOOD if chance <= 1 - sure else Verdict.SKIP

    def explain(self, evidence: Evidence, commit: int, sha: Callable[[int], str]) -> list[str]:  # noqa: ARG002
        """A line with the credible set."""
        if not evidence.counts(evidence.reported).matching:
            return []
        held = self.credible_set(evidence)
        likely = ", ".join(f"{sha(i)[:12]} {p:.0%}" for i, p in held[:3])
        commits = f"{len(held)} commit{'s' if len(held) > 1 else ''}"
        return [f"# {100 * self.confidence:g}% credible set: {commits}: {likely}", ""]

    def credible_set(self, evidence: Evidence) -> tuple[tuple[int, float], ...]:
        """The smallest set of commits with the wanted probability of the culprit, most likely first."""
        return self._inference.state(evidence).suspects(self.confidence)

    def likelihood(self, evidence: Evidence) -> Weights:
        """For each commit of the history, the probability that it is the culprit."""
        return self._inference.state(evidence).each_commit()

    def chance_of_bug(self, evidence: Evidence, commit: int) -> float:
        """The probability that a commit has the bug."""
        return self._inference.state(evidence).chance_of_bug(commit)

    def _opening(self, evidence: Evidence) -> Experiment | Answer | None:
        """The next step before the search: reproduce the crash; for a fix, test whether the end is fixed."""
        first = self._first(evidence)
        if first is not None or not self.fix or evidence.builds(self.history.bad_end) is not None:
            return first
        runs = enough_runs(crash_chance(evidence.counts(evidence.reported)))
        return Experiment(self.history.bad_end, runs, stop_at_crash=True, reason="is it fixed there?")

    def _first(self, evidence: Evidence) -> Experiment | Answer | None:
        """The next step until the bad end crashes, before which no build is worthwhile. None once it has."""
        end = evidence.reported
        name = "good end" if end == GOOD_END else "bad end"
        counts = evidence.counts(end)
        if evidence.builds(end) is False:
            return Answer(AnswerKind.UNTESTABLE, reason=f"the {name} does not build")
        if is_dead(counts, boot_failures(evidence)):
            return Answer(
                AnswerKind.UNTESTABLE, reason=f"the {name} does not boot ({counts.boot_failed} times)"
            )
        if counts.matching >= FIRST_CRASHES:
            return None
        if counts.total < FIRST_RUNS and not is_mute(counts):
            # A crash that did not show in many runs is rare, so each batch is as long as all before it.
            least = max(self.guess.width, FIRST_CRASHES, 0 if counts.matching else counts.total)
            runs = min(least, FIRST_RUNS - counts.total)
            so_far = f" ({counts.matching} of {counts.total} runs so far)" if counts.total else ""
            return Experiment(
                end, runs, reason=f"how often does the {name} {evidence.wording.plain}?{so_far}"
            )
        if counts.matching:
            return None
        if not counts.informative:
            return no_result(evidence, end, name)
        return Answer(
            AnswerKind.NOT_REPRODUCED,
            reason=f"0 of {counts.total} runs {evidence.wording.had} on the {name}: nothing to bisect",
        )

    def _pays(self, choice: Choice, answer: Answer, posterior: Posterior, spent: float) -> bool:
        """Whether an experiment is worth its time although an answer has reached the wanted confidence.

        The experiment reduces the doubt in proportion to its share of all missing bits. Fewer wrong answers
        are worth time: WRONG times the length of a bisection, which `spent` (seconds) estimates. If the doubt
        is a small part of the allowed doubt, no experiment is worth its time.
        """
        doubt = 1 - answer.confidence
        if doubt <= ENOUGH * (1 - self.confidence):
            return False
        saved = doubt * choice.rate / max(posterior.unknown, 1e-9)  # wrong answers avoided per second
        return saved * (1 + WRONG) * spent > 1

    def _sure(self, state: State, evidence: Evidence) -> Answer | None:
        has = evidence.wording.has
        posterior = state.posterior
        if posterior.outside >= self.confidence and self.fix:
            return Answer(
                AnswerKind.NOT_FIXED, confidence=posterior.outside, reason=f"the bad end still {has}"
            )
        if posterior.outside >= self.confidence:
            return Answer(
                AnswerKind.BAD_AT_GOOD_END, confidence=posterior.outside, reason=f"the good end {has} too"
            )
        k = int(np.argmax(posterior.each))
        if posterior.each[k] < self.confidence:
            return None
        culprit = int(state.partition.members(k)[0])
        chance = float(posterior.each[k])
        return Answer(
            AnswerKind.CULPRIT,
            culprit,
            chance,
            state.suspects(self.confidence),
            "the first good commit" if self.fix else "the first bad commit",
        )

    def _unsure(self, state: State, why: str = "") -> Answer:
        candidates = state.suspects(self.confidence)
        return Answer(
            AnswerKind.CANDIDATES,
            None,
            min(1.0, sum(p for _, p in candidates)),
            candidates,
            f"{why}{len(candidates)} commits cannot be distinguished by tests",
        )

    def _experiment(self, choice: Choice, state: State, counts: RunCounts) -> Experiment:
        known = "built" if state.alternatives.built[choice.commit] else "not built"
        reason = f"{choice.bits:.2f} bits expected ({known})"
        waves = max(1, round(choice.waves / state.alternatives.speaks[choice.commit]))
        # Runs that had another outcome so far may have it again, so a batch must be longer than all of them.
        waves = max(waves, (counts.booted - counts.informative) // state.prices.width)
        settles = counts.matching < MANY_CRASHES
        if not settles:
            # The evidence fits no hypothesis well: a quarter more runs each time, so that the search ends.
            waves = max(waves, counts.informative // (4 * state.prices.width))
        return Experiment(choice.commit, waves * state.prices.width, stop_at_crash=settles, reason=reason)


def bayes(problem: Problem) -> Bayes:
    """The strategy for a problem."""
    return Bayes(
        problem.history,
        confidence=problem.confidence,
        prices=problem.prices,
        prior=problem.prior,
        fix=problem.fix,
        older=OLDER if problem.trusted else MAYBE_OLDER,
        known=problem.known,
    )


BAYES = StrategyKind("bayes", bayes, probabilistic=True)
