"""Experiments with configurations at one commit: does the bug show, as often as with the whole one?"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from pytest_kbisect.bisection.commit_request import CommitRequest
from pytest_kbisect.crash.kinds import kind_of
from pytest_kbisect.evidence.comparable import is_comparable, matching
from pytest_kbisect.evidence.reference import Reference
from pytest_kbisect.evidence.related import match_crashes
from pytest_kbisect.evidence.run_counts import RunCounts
from pytest_kbisect.evidence.verdict import crash_chance, enough_runs
from pytest_kbisect.reports import bisectlog

if TYPE_CHECKING:
    from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
    from pytest_kbisect.bisection.stages import Plan
    from pytest_kbisect.evidence.outcome import CommitResult
    from pytest_kbisect.reports.terminal import TerminalReporter

PHASE: Final = "configuration"
"""Of these experiments; and the journal's kind of note on what they came to."""
_WHOLE: Final = "whole"


class ConfigTries:
    """The experiments; those that the journal knows are not made again."""

    def __init__(self, commit: str, plan: Plan, runner: ExperimentRunner, say: TerminalReporter) -> None:
        self.commit = commit
        self._plan, self._runner, self._say = plan, runner, say
        self._stated = bool(plan.crash)
        self._reference = Reference(plan.crash)
        self._shown = self._runs = 0

    @property
    def crashes(self) -> frozenset[tuple[str, str]]:
        """Title and type of the reports that are known to be the bug's."""
        seen = {(example.title, example.type) for example in self._reference.examples}
        return frozenset(seen or {(title, kind_of(title)) for title in self._reference.titles})

    @property
    def spent(self) -> bool:
        """Whether the budget is spent."""
        return self._plan.budget is not None and self._runner.spent >= self._plan.budget

    def begin(self, text: str, reason: str) -> bool:
        """Try the first configuration (empty: the user's). What it shows is the bug; false for nothing."""
        tested = self._test(text, reason)
        own = self._reference.own(tested.runs, match_crashes)
        if not own:
            return False
        self._reference = self._reference.grown(own)
        self._shown = matching(tested.runs, self._reference, match_crashes, stated=self._stated)
        self._runs = len(tested.runs)
        return True

    def shows(self, text: str, reason: str) -> bool:
        """Try another configuration: whether it shows the same bug as often."""
        tested = self._test(text, reason)
        if not self._reference:
            return any(run.outcome.shows_symptom for run in tested.runs)
        shown = matching(tested.runs, self._reference, match_crashes, stated=self._stated)
        return is_comparable(shown, len(tested.runs), self._shown, self._runs)

    def executed(self) -> tuple[dict[str, set[str]], str]:
        """What a run that shows the bug executes: functions by object. Empty, and why, where nobody knows.

        What other runs executed stands for it where none did show it.
        """
        runs = enough_runs(crash_chance(RunCounts(matching=self._shown, ok=self._runs - self._shown)))
        tested = self._test("", "which code does a run that shows the bug execute?", code=True, runs=runs)
        best = [
            run for run in tested.runs if matching([run], self._reference, match_crashes, stated=self._stated)
        ]
        found: dict[str, set[str]] = {}
        for run in best or tested.runs:
            for line in run.code:
                path, *functions = line.split()
                found.setdefault(path, set()).update(functions)
        why = next((run.unrecorded for run in tested.runs if run.unrecorded), "no run was recorded")
        return found, "" if found else tested.build_error or why

    def _test(self, text: str, reason: str, *, code: bool = False, runs: int = 0) -> CommitResult:
        name = hashlib.sha256(text.encode()).hexdigest()[:16] if text else _WHOLE
        journal = self._runner.journal
        for record, tested in zip(journal.records, journal.tested, strict=True):
            same = record.get("phase") == PHASE and record.get("configuration") == name
            if same and tested.commit == self.commit and bool(record.get("code")) == code:
                return tested
        order = CommitRequest(
            self.commit,
            runs or self._plan.runs,
            reason,
            title="the end with the bug",
            stop=tuple(sorted(self._reference.main)) if code else None,
            expect=tuple(sorted(self._reference.main)),
            strict=not text,
            phase=PHASE,
            code=code,
            configuration=text,
        )
        tested = self._runner.test(order)
        self._runner.record(order, tested, configuration=name, code=code)
        self._say.line(f"# {reason}")
        self._say.lines(f"# {line}" for line in bisectlog.commit(tested))
        if took := bisectlog.took([tested]):
            self._say.line(f"# took {took}")
        return tested
