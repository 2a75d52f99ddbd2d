"""One search over one range: asks the strategy, makes what it says, adds what was found to the evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_kbisect.bisection.bayes import Bayes
from pytest_kbisect.bisection.bayes.confirm import Confirmation
from pytest_kbisect.bisection.classic import Classic
from pytest_kbisect.bisection.outcome import Tested, Verdict
from pytest_kbisect.bisection.releases import enough_runs
from pytest_kbisect.bisection.remarks import remarks
from pytest_kbisect.bisection.strategy import GOOD_END, Answer, AnswerKind, Experiment
from pytest_kbisect.bisection.trials import Order, merged
from pytest_kbisect.bisection.verdict import crash_chance
from pytest_kbisect.bisection.witness import Witness, watched_functions, witness_of
from pytest_kbisect.reports import bisectlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kbisect.bisection.evidence import Evidence
    from pytest_kbisect.bisection.history import History
    from pytest_kbisect.bisection.strategy import Strategy
    from pytest_kbisect.bisection.trials import Trials
    from pytest_kbisect.reports.teller import Teller

SLICES = 100
"""Parts of the range for which the journal keeps how likely the culprit is there, for pictures."""
_SLIGHT = 1e-4
"""Chances this much smaller than the greatest are not drawn."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a search keeps to.

    `runs` is how often a commit is tested that no strategy asked for; `budget` the seconds it may take
    in all; `at_once` how many commits are tested side by side; `check_good`: nobody has said that the good end is good. `absent` says why the bug cannot be
    in a commit (a fix bisection must not take a commit older than the bug for a repaired one); `reweigh`
    is asked once, when the crash has been seen, for a strategy that makes use of what it looks like.
    """

    runs: int = 10
    budget: float | None = None
    at_once: int = 1
    fix: bool = False
    check_good: bool = False
    absent: Callable[[str, Evidence], str] | None = None
    reweigh: Callable[[Search], Strategy | None] | None = None
    phase: str = "search"


class Search:
    """What is known so far of a range. `good` is the hash of its good end; commits are indices."""

    def __init__(
        self,
        good: str,
        history: History,
        evidence: Evidence,
        strategy: Strategy,
        trials: Trials,
        teller: Teller,
        rules: Rules,
        *,
        names: Mapping[int, str] | None = None,
    ) -> None:
        """`names` are release tags by index, told before the commit they name is."""
        self.good = good
        self.history = history
        self.evidence = evidence
        self.strategy = strategy
        self.trials = trials
        self.rules = rules
        self.tested: dict[int, Tested] = {}
        """All that was found, by commit, in the order in which commits were first tried."""
        self._say = teller
        self._running: dict[int, Order] = {}
        self._names = names or {}
        self._weighed = rules.reweigh is None
        for tested in trials.made:
            if tested.commit == good or tested.commit in history.position:
                self._take(tested)

    def run(self) -> Answer:
        """Go on from what is known to the answer; the culprit's parents have been tested too then."""
        try:
            while True:
                decision = self._decide()
                if isinstance(decision, Answer):
                    return decision
                if self.rules.budget is not None and self.trials.spent >= self.rules.budget:
                    return self._cut_short()
                self._make(decision)
        finally:
            self.trials.stop()
            self._running.clear()

    # -- deciding ----------------------------------------------------------------------------------

    def _decide(self) -> tuple[Experiment, ...] | Answer:
        """What is to be made now, side by side, what is being made included; or the answer."""
        if not self._weighed and self.rules.reweigh and self.evidence.tally(self.evidence.reported).matching:
            self._weighed = True
            self.strategy = self.rules.reweigh(self) or self.strategy
        decision = self._asked()
        if not isinstance(decision, Answer):
            return self._good_end_first(decision)
        doubt = self._doubt(decision)
        if doubt is not None:
            return (doubt,)  # what it shows may change the answer
        confirmation = self.confirmation(decision)
        if confirmation is None:
            return decision
        return replace(decision, confidence=confirmation.confidence(decision.confidence))

    def _asked(self) -> tuple[Experiment, ...] | Answer:
        """What the strategy says."""
        if self.rules.at_once > 1 and isinstance(self.strategy, Bayes):
            return self.strategy.decide_many(self.evidence, self.rules.at_once, tuple(self._running))
        decision = self.strategy.decide(self.evidence)
        return decision if isinstance(decision, Answer) else (decision,)

    def _good_end_first(self, wanted: tuple[Experiment, ...]) -> tuple[Experiment, ...]:
        """A good end that nobody vouches for is tested as soon as the bad end has crashed."""
        reported = self.evidence.reported
        asked = {experiment.commit for experiment in wanted}
        if not self.rules.check_good or reported in {GOOD_END, *asked} or GOOD_END in {*asked, *self.tested}:
            return wanted
        runs = max(enough_runs(crash_chance(self.evidence.tally(reported))), 1)
        return (Experiment(GOOD_END, runs, reason="where the branches part: is it good?"),)

    def _doubt(self, answer: Answer) -> Experiment | None:
        """What to test before an answer is believed: the culprit's parent, and both till they convince."""
        parent = self.parent_of(answer.culprit)
        if answer.kind is AnswerKind.GOOD_RELEASE:
            return None
        confirmation = self.confirmation(answer)
        runs = self.rules.runs
        if confirmation is not None:
            runs = min(runs, enough_runs(crash_chance(self.evidence.tally(self.evidence.reported))))
        if parent is not None and parent not in self.tested:
            return Experiment(parent, runs, reason="the culprit's parent", own=confirmation is not None)
        return confirmation.decide(runs) if confirmation else None

    def confirmation(self, answer: Answer) -> Confirmation | None:
        """Only a strategy that weighs evidence has odds to be sure of."""
        if answer.culprit is None or not isinstance(self.strategy, Bayes):
            return None
        return Confirmation(
            self.evidence, answer.culprit, confidence=self.strategy.confidence, fix=self.rules.fix
        )

    def _cut_short(self) -> Answer:
        """The answer when the budget is spent."""
        answer = self.strategy.conclude(self.evidence)
        reason = f"the budget is spent: {answer.reason}"
        return replace(answer, reason=reason)

    # -- asking ------------------------------------------------------------------------------------

    def sha(self, index: int) -> str:
        return self.good if index == GOOD_END else self.history.commits[index]

    def title(self, index: int) -> str:
        return "(the good end)" if index == GOOD_END else self.history.title(index)

    def parent_of(self, culprit: int | None) -> int | None:
        """The first parent of a culprit; None where there is no culprit."""
        if culprit is None:
            return None
        parents = self.history.parents[culprit]
        return parents[0] if parents else GOOD_END

    def verdict(self, index: int) -> Verdict:
        """What git bisect would be told of a tested commit."""
        if isinstance(self.strategy, Classic):
            return self.strategy.judged(self.evidence).verdicts[index]
        tally = self.evidence.tally(index)
        if tally.kin and not tally.matching and isinstance(self.strategy, Bayes):
            chance = self.strategy.chance_of_bug(self.evidence, index)
            sure = self.strategy.confidence
            return Verdict.BAD if chance >= sure else Verdict.GOOD if chance <= 1 - sure else Verdict.SKIP
        if tally.matching:
            return Verdict.BAD
        return Verdict.GOOD if tally.ok else Verdict.SKIP

    @property
    def watched(self) -> tuple[str, ...]:
        """The functions of the crash, once it was seen: whether runs execute them is watched."""
        seen = self.tested.get(self.evidence.reported)
        crash = (
            next((run for run in seen.runs if self.evidence.count([run]).matching), None) if seen else None
        )
        return watched_functions(crash) if crash else ()

    def witness(self, index: int) -> Witness:
        """What the runs at a commit executed of the crash's functions."""
        tested = self.tested.get(index)
        return witness_of(self.watched, tested.runs) if tested else Witness()

    # -- experiments ---------------------------------------------------------------------------------

    def _make(self, wanted: tuple[Experiment, ...]) -> None:
        """Have these experiments made side by side, and no other, until one has ended.

        What has ended is in the journal before anything is made of it.
        """
        asked = {experiment.commit for experiment in wanted}
        for index in self._running.keys() - asked:
            self.trials.give_up(self._running.pop(index), "what was found since tells as much")
        for experiment in wanted:
            if experiment.commit not in self._running and not self._begin(experiment, len(wanted)):
                return
        for order, tested in self.trials.wait():
            del self._running[self._index(tested)]
            self._found(order, tested)

    def _begin(self, experiment: Experiment, at_once: int) -> bool:
        """Begin an experiment; not where the bug cannot be in its commit, which is all there is to find then."""
        order = self._order(experiment, at_once)
        if self.rules.absent is not None and experiment.commit != GOOD_END:
            absent = self.rules.absent(order.commit, self.evidence)
            if absent:
                self._found(order, Tested(order.commit, absent=absent))
                return False
        self._running[experiment.commit] = order
        if isinstance(self.strategy, Bayes) and self.evidence.tally(self.evidence.reported).matching:
            suspects = self.strategy.suspects(self.evidence)
            likely = [(self.sha(i), p) for i, p in suspects[:3]]
            bayes = self.strategy

            def foresee() -> str:
                return next((self.sha(i) for i in bayes.foresee(self.evidence, experiment)), "")

            self.trials.begin(order, left=len(suspects), likely=likely, foresee=foresee)
        elif isinstance(self.strategy, Classic) and len(self.tested) > 1:
            self.trials.begin(order, left=len(self.strategy.conclude(self.evidence).candidates) or None)
        else:
            self.trials.begin(order)
        return True

    def _found(self, order: Order, tested: Tested) -> None:
        """Take in and tell what an experiment found, once it is in the journal."""
        self._add(tested)
        self.trials.record(order, tested, position=self._index(tested), **self._belief())
        self._tell(tested)

    def _order(self, experiment: Experiment, at_once: int) -> Order:
        index = experiment.commit
        known = self.evidence.known_kernels - {self.evidence.signature(index)}
        return Order(
            self.sha(index),
            experiment.runs,
            experiment.reason,
            title=self.title(index),
            stop=tuple(sorted(self.evidence.reference.main)) if experiment.stop_at_crash else None,
            known=() if experiment.own else tuple(sorted(known)),
            watch=self.watched,
            strict=index == self.evidence.reported,
            phase=self.rules.phase,
            at_once=at_once,
        )

    def _take(self, tested: Tested) -> None:
        """Add what was found to the evidence, and tell it."""
        self._add(tested)
        self._tell(tested)

    def _add(self, tested: Tested) -> None:
        index = self._index(tested)
        self.evidence.add(index, tested)
        self.tested[index] = merged(self.tested[index], tested) if index in self.tested else tested

    def _tell(self, tested: Tested) -> None:
        index = self._index(tested)
        if index in self._names:
            self._say.line(f"testing release {self._names[index]}")
        self._say.lines(bisectlog.commit(tested, same_as=self._twin(tested, index)))
        if took := bisectlog.took([tested]):
            self._say.line(f"# took {took}")
        self._say.lines(remarks(self, index))

    def _index(self, tested: Tested) -> int:
        return GOOD_END if tested.commit == self.good else self.history.position[tested.commit]

    def _twin(self, tested: Tested, index: int) -> str:
        """The commit whose kernel this one shares, where it was not run again for that reason."""
        if tested.runs or tested.build_error:
            return ""
        twins = (
            i for i in self.evidence.tested if i != index and self.evidence.signature(i) == tested.signature
        )
        return next((self.sha(i) for i in twins), "")

    def _belief(self) -> dict[str, Any]:
        """How likely each commit is now, for those who look back: the likeliest, and slices of the range.

        The slices begin at position `start` and are `width` commits each.
        """
        if not isinstance(self.strategy, Bayes) or not self.evidence.tally(self.evidence.reported).matching:
            return {}
        each = self.strategy.likelihood(self.evidence)
        suspects = self.strategy.suspects(self.evidence)
        held = np.flatnonzero(each > _SLIGHT * each.max(initial=0.0))
        low, high = (int(held[0]), int(held[-1]) + 1) if len(held) else (0, len(each))
        width = max(1, -(-(high - low) // SLICES))
        slices = [each[at : min(at + width, high)] for at in range(low, high, width)]
        return {
            "belief": {
                "candidates": len(suspects),
                "top": [[self.sha(i), self.title(i), round(p, 4)] for i, p in suspects[:5]],
                "start": low,
                "width": width,
                "spread": [round(float(part.sum()), 4) for part in slices],
            }
        }
