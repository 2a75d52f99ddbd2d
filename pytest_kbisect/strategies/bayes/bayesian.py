"""The default strategy: asks for the experiment that tells most for its price, until it is sure enough."""

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
"""Crashes wanted at the bad end before anything else is built: they give the crash chance its scale."""
FIRST_RUNS = 200
"""Runs on the bad end after which the crash counts as not reproduced; at 2 % a run it shows in 98 %."""
OLDER = 0.005
"""Prior of a bug that is older than the range, although the user knows the good end to be good."""
MAYBE_OLDER = 0.5
"""The same where nobody knows that: half of syzbot's bisections go back further than one release."""
UNFIXED = 0.35
"""Prior of a bug that is not fixed at the end of the range, although the user thinks it is."""
MANY_CRASHES = 12
"""Crashes of one kernel after which the next crash settles nothing: batches there are made whole."""
WRONG = 15
"""What a wrong answer costs, in bisections like this one: somebody looks for a fault where there is none."""
ENOUGH = 0.3
"""The part of the doubt that is allowed (1 - confidence) below which no run is made against the rest."""


class Bayes(Strategy):
    """Asks for the experiment with the most information per second until one commit is likely enough.

    `confidence` is what an answer must reach. With `fix` the fix is looked for: A crashes, B should
    not, and the evidence's `reported` commit is GOOD_END. `prior` gives each commit's weight
    (uniform without). `prices` are what builds and runs are thought to cost until they are measured,
    and how many runs go side by side. `older` is the prior of a bug that is older than the range. `known` are
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
            return Answer(AnswerKind.UNTESTABLE, reason="the range holds no commit")
        opening = self._opening(evidence)
        if opening is not None:
            return opening
        state = self._inference.state(evidence)
        if self.fix and state.posterior.outside > 0.1 and self.history.bad_end in state.untestable:
            return Answer(
                AnswerKind.UNTESTABLE, reason="the bad end, which should be fixed, cannot be tested"
            )
        if machine_fails([evidence.counts(i) for i in evidence.tried]):
            return self._unsure(state, "most runs fail because of the test machine, not of the kernel: ")
        answer = self._sure(state)
        choice = best(state)
        if choice is None:
            return answer or self._unsure(state)
        if answer is not None and not self._pays(choice, answer, state.posterior, evidence.spent):
            return answer
        return self._experiment(choice, state, evidence.counts(choice.commit))

    def conclude(self, evidence: Evidence) -> Answer:
        """What is known so far, as an answer: for a budget that has run out, or a user who has."""
        first = self._first(evidence) if len(self.history) else self.decide(evidence)
        if isinstance(first, Answer):
            return first
        if first is not None and not evidence.counts(evidence.reported).matching:
            return Answer(AnswerKind.UNTESTABLE, reason="stopped before the crash was seen")
        state = self._inference.state(evidence)
        return self._sure(state) or self._unsure(state, "stopped early: ")

    def batch(
        self, evidence: Evidence, count: int, running: Sequence[int] = ()
    ) -> tuple[Experiment, ...] | Answer:
        """Up to `count` experiments that are worth most together.

        Fewer where fewer make sense: at the bad end first, or with few suspects left.
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
        """The experiment at a commit that is made beside the best one."""
        choice = best_of(np.array([commit if commit >= 0 else len(self.history)]), state)
        reason = "worth most next to the others"
        if choice is None:
            return replace(first, commit=commit, reason=reason)
        return replace(self._experiment(choice, state, evidence.counts(commit)), reason=reason)

    def foresee(self, evidence: Evidence, experiment: Experiment) -> tuple[int, ...]:
        """The commits likely to be wanted after this experiment, likelier first: to build while guests run.

        At most two: the next one if it crashes, the next one if it does not. None where the runs are over
        sooner than a build is: what is begun and not finished, or of the wrong commit, puts a warm folder
        further from what is wanted then (on two processors a search of certain crashes took 12 % longer).
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
        """The credible set."""
        if not evidence.counts(evidence.reported).matching:
            return []
        held = self.credible_set(evidence)
        likely = ", ".join(f"{sha(i)[:12]} {p:.0%}" for i, p in held[:3])
        commits = f"{len(held)} commit{'s' if len(held) > 1 else ''}"
        return [f"# {100 * self.confidence:g}% credible set: {commits}: {likely}", ""]

    def credible_set(self, evidence: Evidence) -> tuple[tuple[int, float], ...]:
        """The fewest commits that hold the culprit with the wanted confidence, most likely first."""
        return self._inference.state(evidence).suspects(self.confidence)

    def likelihood(self, evidence: Evidence) -> Weights:
        """Of each commit of the history, the probability that it is the culprit."""
        return self._inference.state(evidence).each_commit()

    def chance_of_bug(self, evidence: Evidence, commit: int) -> float:
        """The probability that a commit has the bug."""
        return self._inference.state(evidence).chance_of_bug(commit)

    def _opening(self, evidence: Evidence) -> Experiment | Answer | None:
        """What comes before the search: the crash, and for a fix, whether the end is fixed; then None."""
        first = self._first(evidence)
        if first is not None or not self.fix or evidence.builds(self.history.bad_end) is not None:
            return first
        runs = enough_runs(crash_chance(evidence.counts(evidence.reported)))
        return Experiment(self.history.bad_end, runs, stop_at_crash=True, reason="is it fixed there?")

    def _first(self, evidence: Evidence) -> Experiment | Answer | None:
        """The bad end must crash before anything is worth building; None once it has."""
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
            # A crash that keeps them waiting is rare: the longer it did, the longer it may yet.
            least = max(self.guess.width, FIRST_CRASHES, 0 if counts.matching else counts.total)
            runs = min(least, FIRST_RUNS - counts.total)
            so_far = f" ({counts.matching} of {counts.total} runs so far)" if counts.total else ""
            return Experiment(end, runs, reason=f"how often does the {name} crash?{so_far}")
        if counts.matching:
            return None
        if not counts.informative:
            return no_result(evidence, end, name)
        return Answer(
            AnswerKind.NOT_REPRODUCED,
            reason=f"0 of {counts.total} runs crashed on the {name}: nothing to bisect",
        )

    def _pays(self, choice: Choice, answer: Answer, posterior: Posterior, spent: float) -> bool:
        """Whether an experiment is worth its time, where there is an answer as sure as was asked for.

        It takes from the doubt the part that its bits are of all that is not known. Answers fewer of which
        are wrong are worth more time, by what a wrong one costs and `spent` (seconds) says a bisection takes.
        Where the doubt is a small part of what is allowed, none is.
        """
        doubt = 1 - answer.confidence
        if doubt <= ENOUGH * (1 - self.confidence):
            return False
        saved = doubt * choice.rate / max(posterior.unknown, 1e-9)  # wrong answers a second
        return saved * (1 + WRONG) * spent > 1

    def _sure(self, state: State) -> Answer | None:
        posterior = state.posterior
        if posterior.outside >= self.confidence and self.fix:
            return Answer(
                AnswerKind.NOT_FIXED, confidence=posterior.outside, reason="the bad end still crashes"
            )
        if posterior.outside >= self.confidence:
            return Answer(
                AnswerKind.BAD_AT_GOOD_END, confidence=posterior.outside, reason="the good end crashes too"
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
            f"{why}{len(candidates)} commits cannot be told apart by tests",
        )

    def _experiment(self, choice: Choice, state: State, counts: RunCounts) -> Experiment:
        known = "built" if state.alternatives.built[choice.commit] else "not built"
        reason = f"{choice.bits:.2f} bits expected ({known})"
        waves = max(1, round(choice.waves / state.alternatives.speaks[choice.commit]))
        # What ended otherwise so far may do so again: a batch that is to tell more than the last is longer.
        waves = max(waves, (counts.booted - counts.informative) // state.prices.width)
        settles = counts.matching < MANY_CRASHES
        if not settles:
            # Evidence that fits no hypothesis well: a quarter more each time, or it would be asked for ever.
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
