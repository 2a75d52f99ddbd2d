"""One search over one range: asks the strategy, makes what it says, adds what was found to the evidence."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_kbisect.bisection import merges
from pytest_kbisect.bisection.commit_request import CommitRequest
from pytest_kbisect.bisection.remarks import remarks
from pytest_kbisect.bisection.search_state import SearchState
from pytest_kbisect.errors import UsageError
from pytest_kbisect.evidence.by_host import hosts_of
from pytest_kbisect.evidence.outcome import UNKNOWN, Outcome
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.reports import bisectlog
from pytest_kbisect.strategies.bayes.confirm import Confirmation
from pytest_kbisect.strategies.strategy import Answer, AnswerKind, Experiment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.outcome import CommitResult, Run
    from pytest_kbisect.history.candidates import History
    from pytest_kbisect.reports.terminal import TerminalReporter
    from pytest_kbisect.strategies.strategy import Strategy

_WHICH_FUNCTIONS = "which functions does a run that crashes execute, and an idle guest not?"
_ENOUGH_TO_KNOW = 3
"""Runs that have nothing of what is asked for, after which none will."""
OWN_RUNS = 40
"""Own runs of the bad end without a crash, after which one of a commit of the same signature is believed."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a search keeps to.

    `runs` is how often a commit is tested that no strategy asked for; `budget` the seconds it may take in
    all; `at_once` how many commits are tested side by side, or what `room` gives if that changes;
    `check_good`: nobody has said that the good end is good. `absent` tells of a commit that the bug cannot be
    in, and may have a session made to find out (a fix bisection must not take a commit older than the bug for
    a fixed one); `reweigh` is asked once, when the crash has been seen, for a strategy that makes use of what
    it looks like. `at_leisure`: a person makes the runs, who is asked once for all that a commit needs, and
    not for the last bit of it.
    """

    runs: int = 10
    budget: float | None = None
    at_once: int = 1
    room: Callable[[], int] | None = None
    fix: bool = False
    check_good: bool = False
    absent: Callable[[str, Evidence], CommitResult | None] | None = None
    reweigh: Callable[[Search], Strategy | None] | None = None
    phase: str = "search"
    at_leisure: bool = False


class Search(SearchState):
    """Finds out more of a range, until there is an answer."""

    def __init__(
        self,
        good: str,
        history: History,
        evidence: Evidence,
        strategy: Strategy,
        runner: ExperimentRunner,
        reporter: TerminalReporter,
        rules: Rules,
        *,
        names: Mapping[int, str] | None = None,
    ) -> None:
        """`names` are release tags by index, told before the commit they name is."""
        super().__init__(good, history, evidence, strategy)
        self.runner = runner
        self.rules = rules
        self._say = reporter
        self._names = names or {}
        self._weighed = rules.reweigh is None
        self._host_for: dict[int, str] = {}
        # What was found since in a search does not change how the walk that led to it went.
        for tested in (
            runner.of_phase("range")
            if rules.phase == "range"
            else runner.of_phase("range", "search", merges.PHASE)
        ):
            if tested.commit == good or history.index(tested.commit) is not None:
                self._take(tested)

    def run(self) -> Answer:
        """Go on from what is known to the answer; the culprit's parents have been tested too then."""
        try:
            while True:
                decision = self._decide()
                if isinstance(decision, Answer):
                    return decision
                if self.rules.budget is not None and self.runner.spent >= self.rules.budget:
                    return self._cut_short()
                self._make(decision)
        finally:
            self.runner.stop()

    # -- deciding ----------------------------------------------------------------------------------

    def _decide(self) -> tuple[Experiment, ...] | Answer:
        """What is to be made now, side by side, what is being made included; or the answer.

        Raises UsageError where nothing that the reproducer asks for is in any run of the reported commit.
        """
        runs = self.evidence.runs(self.evidence.reported)
        if len(runs) >= _ENOUGH_TO_KNOW and all(
            run.outcome is Outcome.SILENT and run.type == UNKNOWN for run in runs
        ):
            raise UsageError(runs[0].title)
        if not self._weighed and self.rules.reweigh and self.evidence.counts(self.evidence.reported).matching:
            self._weighed = True
            self.strategy = self.rules.reweigh(self) or self.strategy
        if self.evidence.counts(self.evidence.reported).matching:
            first = self._which_report_it_is() or self._watch_the_crash()
            if first is not None:
                return (first,)
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

    def _watch_the_crash(self) -> Experiment | None:
        """One more crash where it was reported, to know which functions show that a run came to it.

        Asked once: where a run cannot be watched, or does not crash, runs are believed as they are.
        """
        reported = self.evidence.reported
        reason = f"{_WHICH_FUNCTIONS} ({', '.join(self.stack)})"
        asked = (record.get("reason") for record in self.runner.journal.records)
        if not self.stack or reason in asked:
            return None
        runs = self.evidence.runs_to_see
        return Experiment(reported, runs, stop_at_crash=True, reason=reason, own=True)

    def _which_report_it_is(self) -> Experiment | None:
        """The good end, where the bad one shows several reports: one that it shows, too, is another bug's."""
        asks = self.evidence.trusted and self.evidence.failure.several and self.rules.phase == "search"
        if not asks or GOOD_END in self.found:
            return None
        runs = self.evidence.runs_to_see
        return Experiment(GOOD_END, runs, reason="which of the reports does the good end show, too?")

    def _asked(self) -> tuple[Experiment, ...] | Answer:
        """What the strategy says."""
        at_once = self.rules.at_once if self.rules.room is None else self.rules.room()
        return self.strategy.batch(self.evidence, at_once, tuple(self._pending()))

    def _good_end_first(self, wanted: tuple[Experiment, ...]) -> tuple[Experiment, ...]:
        """A good end that nobody vouches for is tested as soon as the bad end has crashed.

        The end without the bug is tested as soon as runs anywhere do not reach the bug's code: if those of
        this end do not either, silence is no reason to doubt a commit.
        """
        reported = self.evidence.reported
        asked = {experiment.commit for experiment in wanted}
        end = self.clean_end
        if reported in asked or end in {*asked, *self.found} or self.rules.phase != "search":
            return wanted
        if self.rules.check_good and not self.rules.fix:
            reason = "where the branches part: is it good?"
        elif self.evidence.path and any(self.evidence.counts(i).silent for i in self.evidence.tried):
            reason = f"does the end without the bug execute {self.evidence.path[0]}?"
        else:
            return wanted
        runs = max(self.evidence.runs_to_see, 1)
        return (Experiment(end, runs, reason=reason),)

    def _doubt(self, answer: Answer) -> Experiment | None:
        """What to test before an answer is believed: the culprit's parent, and both till they convince."""
        if answer.kind is AnswerKind.GOOD_RELEASE:
            return None
        if answer.kind is AnswerKind.NOT_FIXED:
            return self._crash_of_the_end()
        parent = self.parent_of(answer.culprit)
        confirmation = self.confirmation(answer)
        runs = self.rules.runs
        if confirmation is not None:
            runs = min(runs, self.evidence.runs_to_see)
        doubt = confirmation.decide(runs) if confirmation else None
        if parent is not None and parent not in self.found:
            doubt = Experiment(parent, runs, reason="the culprit's parent", own=confirmation is not None)
        if confirmation is None or answer.culprit is None:
            return doubt
        return self._on_one_host(doubt, answer.culprit, confirmation.parents, runs)

    def _on_one_host(
        self, doubt: Experiment | None, culprit: int, parents: tuple[int, ...], runs: int
    ) -> Experiment | None:
        """Have culprit and parents tested on one host: what differs between them must not be the host.

        `doubt` is what is tested anyway, and then where that is best. Otherwise one more experiment, asked
        for once: the host may be gone.
        """
        self._host_for.clear()
        hosts = hosts_of(self._own_runs(culprit), self.evidence.count)
        if not hosts:
            return doubt
        first = next(iter(hosts))
        if doubt is not None:
            self._host_for[doubt.commit] = first
            return doubt
        asked = {record.get("reason") for record in self.runner.journal.records}
        for parent in parents:
            there = hosts_of(self._own_runs(parent), self.evidence.count)
            if not there or not hosts.keys().isdisjoint(there):
                continue
            reason = f"the culprit's parent on {first}, where the culprit was tested"
            if reason not in asked:
                self._host_for[parent] = first
                return Experiment(parent, max(runs, *there.values()), reason=reason, own=True)
        return None

    def _own_runs(self, index: int) -> tuple[Run, ...]:
        tested = self.found.get(index)
        return tested.runs if tested else ()

    def _crash_of_the_end(self) -> Experiment | None:
        """The end said to crash still, where only others of its signature did: it may not be their kernel."""
        own = self.evidence.own_counts(self.history.bad_end)
        if own.matching or own.total >= OWN_RUNS:
            return None
        return Experiment(
            self.history.bad_end,
            self.rules.runs,
            reason=f"not fixed: does the {self.evidence.wording.noun} show in runs of its own?",
            own=True,
        )

    def confirmation(self, answer: Answer) -> Confirmation | None:
        """What confirms an answer; None for that of a strategy without probabilities."""
        confidence = self.strategy.confidence
        if answer.culprit is None or confidence is None:
            return None
        return Confirmation(
            self.evidence,
            answer.culprit,
            confidence=confidence,
            fix=self.rules.fix,
            faint=not self.rules.at_leisure,
        )

    def _cut_short(self) -> Answer:
        """The answer when the budget is spent."""
        answer = self.strategy.conclude(self.evidence)
        reason = f"the budget is spent: {answer.reason}"
        return replace(answer, reason=reason)

    # -- experiments ---------------------------------------------------------------------------------

    def _make(self, wanted: tuple[Experiment, ...]) -> None:
        """Have these experiments made side by side, and no other, until one has ended.

        What has ended is in the journal before it is told and before anything else is begun.
        """
        asked = {experiment.commit for experiment in wanted}
        pending = self._pending()
        for index in pending.keys() - asked:
            self.runner.give_up(pending[index], "later results make it unnecessary")
        for experiment in wanted:
            if experiment.commit not in pending and not self._begin(experiment, len(wanted)):
                return
        for order, tested in self.runner.wait():
            self._found(order, tested)

    def _pending(self) -> dict[int, CommitRequest]:
        """What is being made, or has ended and is not taken in yet, by commit."""
        return {self.index(order.commit): order for order in self.runner.pending}

    def _begin(self, experiment: Experiment, at_once: int) -> bool:
        """Begin an experiment, unless the bug cannot be in its commit, which is all there is to find then."""
        order = self._order(experiment, at_once)
        if self.rules.absent is not None and experiment.commit >= 0 and experiment.commit not in self.found:
            absent = self.rules.absent(order.commit, self.evidence)
            if absent is not None:
                self._found(order, absent)
                return False
        strategy = self.strategy
        crashed = self.evidence.counts(self.evidence.reported).matching
        held = strategy.credible_set(self.evidence) if crashed else ()
        weighs = strategy.confidence is not None

        def foresee() -> str:
            wanted = strategy.foresee(self.evidence, experiment) if held else ()
            return next(map(self.sha, wanted), "")

        self.runner.begin(
            order,
            left=len(held) or None,
            likely=[(self.sha(i), p) for i, p in held[:3]] if weighs else [],
            foresee=foresee,
        )
        return True

    def _found(self, order: CommitRequest, tested: CommitResult) -> None:
        """Take in what an experiment found, write it down with what is believed now, and tell it."""
        self.add(tested)
        self.runner.record(order, tested, position=max(self.index(tested.commit), GOOD_END), **self.belief())
        self._tell(tested)

    def _order(self, experiment: Experiment, at_once: int) -> CommitRequest:
        index = experiment.commit
        idle = experiment.reason.startswith(_WHICH_FUNCTIONS)
        known = self.evidence.known_kernels - {self.evidence.signature(index)}
        runs, stops = experiment.runs, experiment.stop_at_crash and not self.rules.at_leisure
        if self.rules.at_leisure and self.evidence.counts(self.evidence.reported).matching:
            runs = max(runs, self.evidence.runs_to_see)
        return CommitRequest(
            self.sha(index),
            runs,
            experiment.reason,
            title=self.title(index),
            stop=tuple(sorted(self.evidence.reference.main)) if stops else None,
            known=() if experiment.own else tuple(sorted(known)),
            expect=self.evidence.expected_titles,
            watch=self.stack if idle else self.evidence.path,
            idle=idle,
            strict=index == self.evidence.reported,
            phase=self.rules.phase,
            at_once=at_once,
            host=self._host_for.get(index, ""),
        )

    def _take(self, tested: CommitResult) -> None:
        """Add what was found to the evidence, and tell it."""
        self.add(tested)
        self._tell(tested)

    def _tell(self, tested: CommitResult) -> None:
        index = self.index(tested.commit)
        if index in self._names:
            self._say.line(f"testing release {self._names[index]}")
        if tested.host and tested.host != platform.node():
            machine = next((run.machine for run in tested.runs if run.machine), "")
            self._say.line(f"# on {tested.host}" + (f" ({machine})" if machine else ""))
        known = replace(tested, runs=tuple(map(self.evidence.known_by, tested.runs)))
        self._say.lines(bisectlog.commit(known, same_as=self.twin(tested, index)))
        if took := bisectlog.took([tested]):
            self._say.line(f"# took {took}")
        self._say.lines(remarks(self, index))
