"""The search that knows its prices and its doubts: the default strategy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.bisection.bayes.choice import Options, best, best_of
from pytest_kbisect.bisection.bayes.crashchance import CrashChance
from pytest_kbisect.bisection.bayes.partition import Partition
from pytest_kbisect.bisection.bayes.posterior import by_kernel, infer
from pytest_kbisect.bisection.bayes.testable import (
    Testable,
    boot_failures,
    hardly_speaks,
    is_dead,
    is_mute,
    machine_fails,
    speaking,
)
from pytest_kbisect.bisection.bayes.together import spread
from pytest_kbisect.bisection.evidence import Prices
from pytest_kbisect.bisection.outcome import Outcome
from pytest_kbisect.bisection.releases import enough_runs
from pytest_kbisect.bisection.strategy import GOOD_END, Answer, AnswerKind, Experiment
from pytest_kbisect.bisection.verdict import crash_chance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.bisection.ancestry import Weights
    from pytest_kbisect.bisection.bayes.choice import Choice
    from pytest_kbisect.bisection.bayes.posterior import Posterior
    from pytest_kbisect.bisection.evidence import Evidence
    from pytest_kbisect.bisection.history import History
    from pytest_kbisect.bisection.tally import Tally

FIRST_CRASHES = 3
"""Crashes wanted at the bad end before anything else is built: they give the crash chance its scale."""
FIRST_RUNS = 200
"""Runs on the bad end after which the crash counts as not reproduced; at 2 % a run it shows in 98 %."""
OLDER = 0.01
"""Prior of a bug that is older than the range, although the user knows the good end to be good."""
UNFIXED = 0.35
"""Prior of a bug that is not repaired at the end of the range, although the user thinks it is."""
MOST_RUNS = 600
"""Runs that spoke, after which a kernel is not tested again: they say what it does, if not what it means."""
MANY_CRASHES = 12
"""Crashes of one kernel after which the next crash settles nothing: batches there are made whole."""
WRONG = 15
"""What a wrong answer costs, in bisections like this one: somebody looks for a fault where there is none."""
LEAST_BITS = 0.005
"""An experiment expected to tell less is not worth making: what is left cannot be told apart."""


@dataclass(frozen=True)
class State:
    """What the evidence comes to: the classes of suspects, their probabilities, what can be tested."""

    partition: Partition
    posterior: Posterior
    options: Options
    telling: float
    untestable: frozenset[int]


class Bayes:
    """Asks for the experiment with the most information per second until one commit is likely enough.

    `confidence` is what an answer must reach. With `fix` the repair is looked for: A crashes, B should
    not, and the evidence's `reported` commit is GOOD_END. `prior` gives each commit's weight
    (uniform without). `prices` are what builds and runs are thought to cost until they are measured,
    and how many runs go side by side.
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
    ) -> None:
        self.history = history
        self.confidence = confidence
        self.guess = prices or Prices()
        self.fix = fix
        weights = np.ones(len(history)) if prior is None else prior
        self._prior = np.where(history.suspects, weights, 0.0)
        self._model = CrashChance()
        self._testable = Testable(history)
        self._partition: Partition | None = None

    def decide(self, evidence: Evidence) -> Experiment | Answer:
        if not len(self.history):
            return Answer(AnswerKind.UNTESTABLE, reason="the range holds no commit")
        opening = self._opening(evidence)
        if opening is not None:
            return opening
        state = self.state(evidence)
        if self.fix and state.posterior.outside > 0.1 and self.history.bad_end in state.untestable:
            return Answer(
                AnswerKind.UNTESTABLE, reason="the bad end, which should be repaired, cannot be tested"
            )
        if machine_fails([evidence.tally(i) for i in evidence.order]):
            return self._unsure(state, "most runs fail for the test machine's reasons, not the kernel's: ")
        prices = evidence.prices(self.guess)
        width = max(1, round(prices.width * state.telling))
        answer = self._sure(state)
        choice = best(self._model, state.posterior, state.options, prices, width, LEAST_BITS)
        if choice is None:
            return answer or self._unsure(state)
        if answer is not None and not _pays(choice, answer, state.posterior, evidence.spent):
            return answer
        return self._experiment(choice, prices, state, evidence.tally(choice.commit))

    def conclude(self, evidence: Evidence) -> Answer:
        """What is known so far, as an answer: for a budget that has run out, or a user who has."""
        first = self._first(evidence) if len(self.history) else self.decide(evidence)
        if isinstance(first, Answer):
            return first
        if first is not None and not evidence.tally(evidence.reported).matching:
            return Answer(AnswerKind.UNTESTABLE, reason="stopped before the crash was seen")
        state = self.state(evidence)
        return self._sure(state) or self._unsure(state, "stopped early: ")

    def decide_many(
        self, evidence: Evidence, count: int, running: Sequence[int] = ()
    ) -> tuple[Experiment, ...] | Answer:
        """Up to `count` different experiments that are worth most together, for as many builders.

        `running` are commits of experiments that have begun: those among them that are worth going
        on with are among the answer. Fewer than `count` where fewer make sense: at the bad end
        first, or with few suspects left.
        """
        first = self.decide(evidence)
        if isinstance(first, Answer):
            return first
        if count < 2 or self._opening(evidence) is not None:
            return (first,)
        state = self.state(evidence)
        prices = evidence.prices(self.guess)
        width = max(1, round(prices.width * state.telling))
        commits = spread(
            *(self._model, state.partition, state.posterior, state.options, first.commit, count, width),
            running=running,
        )
        return tuple(
            first if i == first.commit else self._beside(first, i, evidence, state, prices, width)
            for i in commits
        )

    def _beside(
        self, first: Experiment, commit: int, evidence: Evidence, state: State, prices: Prices, width: int
    ) -> Experiment:
        """The experiment at a commit that is made beside the best one."""
        rows = np.array([commit if commit >= 0 else len(self.history)])
        choice = best_of(rows, self._model, state.posterior, state.options, prices, width, LEAST_BITS)
        reason = "worth most beside the others"
        if choice is None:
            return replace(first, commit=commit, reason=reason)
        return replace(self._experiment(choice, prices, state, evidence.tally(commit)), reason=reason)

    def foresee(self, evidence: Evidence, experiment: Experiment) -> tuple[int, ...]:
        """The commits likely to be wanted after this experiment, likelier first: to build while guests run.

        At most two: the next one if it crashes, the next one if it does not. None where the runs are over
        sooner than a build is: what is begun and not finished, or of the wrong commit, puts a warm folder
        further from what is wanted then (on two processors a search of certain crashes took 12 % longer).
        """
        prices = evidence.prices(self.guess)
        if experiment.runs / prices.width * prices.run < prices.build:
            return ()
        wanted: list[int] = []
        crashes = crash_chance(evidence.tally(evidence.reported)) * min(prices.width, experiment.runs)
        times = {Outcome.CRASHED: max(1, round(crashes)), Outcome.OK: experiment.runs}
        likely = self._chance_of(self.state(evidence), experiment.commit) >= 0.5
        for outcome in (Outcome.CRASHED, Outcome.OK) if likely else (Outcome.OK, Outcome.CRASHED):
            imagined = evidence.imagine(experiment.commit, outcome, times[outcome])
            following = self.decide(imagined)
            if isinstance(following, Experiment) and evidence.built(following.commit) is None:
                wanted.append(following.commit)
        return tuple(dict.fromkeys(wanted))

    def suspects(self, evidence: Evidence) -> tuple[tuple[int, float], ...]:
        """The fewest commits that hold the culprit with the wanted confidence, most likely first."""
        return self._candidates(self.state(evidence))

    def likelihood(self, evidence: Evidence) -> Weights:
        """Of each commit of the history, the probability that it is the culprit."""
        state = self.state(evidence)
        each = np.zeros(len(self.history))
        for k, probability in enumerate(state.posterior.each.tolist()):
            each[state.partition.members(k)] = probability
        return each

    def chance_of_bug(self, evidence: Evidence, commit: int) -> float:
        """The probability that a commit has the bug."""
        return self._chance_of(self.state(evidence), commit)

    def _chance_of(self, state: State, commit: int) -> float:
        """The probability that a commit has the bug."""
        chance: float = state.options.share[commit] @ state.posterior.classes
        return 1 - chance if self.fix else chance

    def _opening(self, evidence: Evidence) -> Experiment | Answer | None:
        """What comes before the search: the crash, and where a repair is looked for its end; then None."""
        first = self._first(evidence)
        if first is not None or not self.fix or evidence.built(self.history.bad_end) is not None:
            return first
        runs = enough_runs(crash_chance(evidence.tally(evidence.reported)))
        return Experiment(self.history.bad_end, runs, stop_at_crash=True, reason="is it repaired there?")

    def _first(self, evidence: Evidence) -> Experiment | Answer | None:
        """The bad end must crash before anything is worth building; None once it has."""
        end = evidence.reported
        name = "good end" if end == GOOD_END else "bad end"
        tally = evidence.tally(end)
        if evidence.built(end) is False:
            return Answer(AnswerKind.UNTESTABLE, reason=f"the {name} does not build")
        if is_dead(tally, boot_failures(evidence)):
            return Answer(
                AnswerKind.UNTESTABLE, reason=f"the {name} does not boot ({tally.boot_failed} times)"
            )
        if tally.matching >= FIRST_CRASHES:
            return None
        if tally.total < FIRST_RUNS and not is_mute(tally):
            # A crash that keeps them waiting is rare: the longer it did, the longer it may yet.
            least = max(self.guess.width, FIRST_CRASHES, 0 if tally.matching else tally.total)
            runs = min(least, FIRST_RUNS - tally.total)
            so_far = f" ({tally.matching} of {tally.total} runs so far)" if tally.total else ""
            return Experiment(end, runs, reason=f"how often does the {name} crash?{so_far}")
        if tally.matching:
            return None
        if not tally.telling:
            return Answer(
                AnswerKind.UNTESTABLE, reason=f"no run on the {name} came to a result ({tally.total} made)"
            )
        return Answer(
            AnswerKind.NOT_REPRODUCED,
            reason=f"0 of {tally.total} runs crashed on the {name}: nothing to bisect",
        )

    def state(self, evidence: Evidence) -> State:
        """What the evidence comes to."""
        failing = boot_failures(evidence)
        tallies = {i: evidence.tally(i) for i in evidence.tested}
        dead = [i for i, tally in tallies.items() if is_dead(tally, failing) or hardly_speaks(tally)]
        partition = self._classes(tuple(i for i, tally in tallies.items() if tally.telling or tally.kin))
        posterior = infer(self._model, partition, evidence, UNFIXED if self.fix else OLDER, fix=self.fix)
        works = tuple(i for i in evidence.tested if i not in dead)
        broken = (*(i for i in evidence.order if evidence.built(i) is False), *dead)
        built = np.zeros(len(self.history) + 1, dtype=bool)
        built[[i if i >= 0 else len(self.history) for i in works]] = True
        last = 0.0 if GOOD_END in broken else 1.0
        testable = np.append(self._testable.chances(works, broken), last)
        testable[[i for i in works if tallies[i].telling + tallies[i].kin >= MOST_RUNS]] = (
            0.0  # the good end is last, too
        )
        share = partition.share
        for first, *others in by_kernel(partition, evidence):
            # Its runs are weighed as the first commit's: those of another tell nothing else.
            share[[partition.tests[at] for at in others]] = share[partition.tests[first]]
        if self.fix:
            share[:, -1] = 0.0
        speaks = np.ones(len(self.history) + 1)
        speaks[list(works)] = [speaking(tallies[i], 1.0 - failing) for i in works]
        options = Options(share, testable, built, speaks, self.fix)
        return State(partition, posterior, options, 1.0 - failing, frozenset(broken))

    def _classes(self, tests: tuple[int, ...]) -> Partition:
        """The suspects told apart by these tests; the work of the last call is used where it can be."""
        known = self._partition
        if known is None or tuple(known.tests) != tests[: len(known.tests)]:
            known = Partition(self.history.ancestry, self._prior)
        for i in tests[len(known.tests) :]:
            known.split(i)
        self._partition = known
        return known

    def _sure(self, state: State) -> Answer | None:
        posterior = state.posterior
        if posterior.outside >= self.confidence and self.fix:
            return Answer(
                AnswerKind.NOT_FIXED, confidence=posterior.outside, reason="the bad end crashes still"
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
            self._candidates(state),
            "the first good commit" if self.fix else "the first bad commit",
        )

    def _unsure(self, state: State, why: str = "") -> Answer:
        candidates = self._candidates(state)
        return Answer(
            AnswerKind.CANDIDATES,
            None,
            min(1.0, sum(p for _, p in candidates)),
            candidates,
            f"{why}{len(candidates)} commits are not told apart by tests",
        )

    def _candidates(self, state: State) -> tuple[tuple[int, float], ...]:
        """The fewest commits that hold the culprit with the wanted confidence, most likely first."""
        found: list[tuple[int, float]] = []
        total = 0.0
        each = state.posterior.each
        for k in np.argsort(-each, kind="stable").tolist():
            for i in state.partition.members(k).tolist():
                if total >= self.confidence or each[k] <= 0:
                    return tuple(found)
                found.append((int(i), float(each[k])))
                total += float(each[k])
        return tuple(found)

    def _experiment(self, choice: Choice, prices: Prices, state: State, tally: Tally) -> Experiment:
        known = "built" if state.options.built[choice.commit] else "not built"
        reason = f"{choice.bits:.2f} bits expected ({known})"
        waves = max(1, round(choice.waves / state.options.speaks[choice.commit]))
        settles = tally.matching < MANY_CRASHES
        if not settles:
            # Evidence that fits no hypothesis well: a quarter more each time, or it would be asked for ever.
            waves = max(waves, tally.telling // (4 * prices.width))
        return Experiment(choice.commit, waves * prices.width, stop_at_crash=settles, reason=reason)


def _pays(choice: Choice, answer: Answer, posterior: Posterior, spent: float) -> bool:
    """Whether an experiment is worth its time, where there is an answer as sure as was asked for.

    It takes from the doubt the part that its bits are of all that is not known. Answers fewer of which
    are wrong are worth more time, by what a wrong one costs and `spent` (seconds) says a bisection takes.
    """
    saved = (1 - answer.confidence) * choice.rate / max(posterior.unknown, 1e-9)  # wrong answers a second
    return saved * (1 + WRONG) * spent > 1
