"""One search over one range: asks the strategy, has the lab test what it says, writes the journal."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_kbisect.bisection.bayes import Bayes
from pytest_kbisect.bisection.classic import Classic
from pytest_kbisect.bisection.confirm import Confirmation
from pytest_kbisect.bisection.outcome import Verdict
from pytest_kbisect.bisection.strategy import GOOD_END, Answer, Experiment
from pytest_kbisect.reports import bisectlog

if TYPE_CHECKING:
    from pytest_kbisect.bisection.evidence import Evidence
    from pytest_kbisect.bisection.history import History
    from pytest_kbisect.bisection.journal import Journal
    from pytest_kbisect.bisection.lab import Lab
    from pytest_kbisect.bisection.outcome import Tested
    from pytest_kbisect.bisection.strategy import Strategy
    from pytest_kbisect.reports.teller import Teller


class Search:
    """What is known so far of a range. `good` is the hash of its good end; commits are indices."""

    def __init__(
        self,
        good: str,
        history: History,
        evidence: Evidence,
        strategy: Strategy,
        *,
        lab: Lab,
        journal: Journal,
        teller: Teller,
        per_run: int,
        runs: int,
    ) -> None:
        """`per_run` tests make one run; `runs` is how often a commit is tested that no strategy asked for."""
        self.good = good
        self.history = history
        self.evidence = evidence
        self.strategy = strategy
        self.tested: dict[int, Tested] = {}
        """All that was found, by commit, in the order in which commits were first tried."""
        self.sessions: Counter[int] = Counter()
        """How many sessions each commit had."""
        self._lab = lab
        self._journal = journal
        self._say = teller
        self._per_run = per_run
        self._runs = runs
        self._notes: set[str] = set()

    def run(self) -> Answer:
        """Go on from the journal's state to the answer; the culprit's parent has been tested too then."""
        for tested in self._journal.tested:
            self._take(tested)
        while True:
            decision = self.strategy.decide(self.evidence)
            if isinstance(decision, Experiment):
                self._make(decision)
                continue
            doubt = self._doubt(decision)
            if doubt is None:
                return self._confirmed(decision)
            self._make(doubt)  # what it shows may change the answer

    def _doubt(self, answer: Answer) -> Experiment | None:
        """What to test before an answer is believed: the culprit's parent, and both till they convince."""
        parent = self.parent_of(answer.culprit)
        if parent is not None and parent not in self.tested:
            return Experiment(parent, self._runs, reason="the culprit's parent")
        confirmation = self._confirmation(answer)
        return confirmation.decide(self._runs) if confirmation else None

    def _confirmed(self, answer: Answer) -> Answer:
        confirmation = self._confirmation(answer)
        if confirmation is None:
            return answer
        return replace(answer, confidence=confirmation.confidence(answer.confidence))

    def _confirmation(self, answer: Answer) -> Confirmation | None:
        """Only a strategy that weighs evidence has odds to be sure of."""
        if answer.culprit is None or not isinstance(self.strategy, Bayes):
            return None
        return Confirmation(self.evidence, answer.culprit, confidence=self.strategy.confidence)

    def sha(self, index: int) -> str:
        return self.good if index == GOOD_END else self.history.commits[index]

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
        if tally.matching:
            return Verdict.BAD
        return Verdict.GOOD if tally.ok else Verdict.SKIP

    # -- one experiment ----------------------------------------------------------------------------

    def _make(self, experiment: Experiment) -> None:
        """Make an experiment; it is in the journal before anything is made of it."""
        index = experiment.commit
        title = "(the good end)" if index == GOOD_END else self.history.title(index)
        self._say.line(f"-> {self.sha(index)[:12]} {title}: {experiment.reason}", log=False)
        own = self.evidence.signature(index)
        known = {self.evidence.signature(i) for i in self.evidence.tested} - {own, ""}
        tested = self._lab.test(
            self.sha(index),
            experiment.runs,
            per_run=self._per_run,
            stop_at_crash=experiment.stop_at_crash,
            known=sorted(known),
            strict=index == self.history.bad_end,
            number=self.sessions[index] + 1,
            say=self._hear,
        )
        self._journal.add(tested, runs_asked=experiment.runs, reason=experiment.reason)
        self._take(tested)

    def _hear(self, words: str) -> None:
        """What a session says while it runs; its notes (TCG, no ccache) are told once a bisection."""
        if words not in self._notes:
            self._say.line(f"   {words}", log=False)
        if words.startswith("note: "):
            self._notes.add(words)

    def _take(self, tested: Tested) -> None:
        """Add what was found to the evidence, and tell it."""
        index = GOOD_END if tested.commit == self.good else self.history.position[tested.commit]
        twin = self._twin(tested, index)
        self.sessions[index] += 1
        self.evidence.add(index, tested)
        self.tested[index] = _merged(self.tested[index], tested) if index in self.tested else tested
        self._say.lines(bisectlog.commit(tested, same_as=twin))
        self._say.lines(self._made_of_it(index))

    def _twin(self, tested: Tested, index: int) -> str:
        """The commit whose kernel this one shares, where it was not run again for that reason."""
        if tested.runs or tested.build_error:
            return ""
        twins = (
            i for i in self.evidence.tested if i != index and self.evidence.signature(i) == tested.signature
        )
        return next((self.sha(i) for i in twins), "")

    def _made_of_it(self, index: int) -> list[str]:
        """What the strategy makes of the latest experiment."""
        if isinstance(self.strategy, Classic):
            return self._git_words(self.strategy, index)
        if isinstance(self.strategy, Bayes) and self.evidence.tally(self.history.bad_end).matching:
            suspects = self.strategy.suspects(self.evidence)
            likely = ", ".join(f"{self.sha(i)[:12]} {p:.0%}" for i, p in suspects[:3])
            return [f"# {len(suspects)} candidates hold {self.strategy.confidence:.0%}: {likely}", ""]
        return []

    def _git_words(self, classic: Classic, index: int) -> list[str]:
        """What git bisect would say to the verdict on this commit."""
        verdicts = classic.judged(self.evidence).verdicts
        bad_end = self.history.bad_end
        if index == bad_end or verdicts.get(bad_end) is not Verdict.BAD:
            return []
        words = f"# git bisect {verdicts[index].value} {self.sha(index)}"
        if index == GOOD_END:
            if verdicts[index] is not Verdict.GOOD:
                return []
            words = f"# git bisect start {self.sha(bad_end)} {self.good}"
        step = classic.step(classic.judged(self.evidence))
        if step.next is None:
            return [words]
        return [words, str(step), f"[{self.sha(step.next)}] {self.history.title(step.next)}", ""]


def _merged(before: Tested, after: Tested) -> Tested:
    """Two sessions at one commit as one."""
    return replace(
        after,
        runs=before.runs + after.runs,
        build_seconds=before.build_seconds + after.build_seconds,
        test_seconds=before.test_seconds + after.test_seconds,
        cached=before.cached and after.cached,
    )
