"""`--kbisect-each`: every selected test has a bisection of its own; kernels and sessions are shared."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import layout, options
from pytest_kbisect.bisection import known_log, workplace
from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
from pytest_kbisect.bisection.several import shared_sessions
from pytest_kbisect.bisection.several.shared_sessions import Member, OutOfTimeError, SharedSessions
from pytest_kbisect.bisection.several.turns import Turn
from pytest_kbisect.bisection.several.wishes import AskingLauncher, choosing_together
from pytest_kbisect.bisection.stages import Bisection
from pytest_kbisect.enrichment import attempt
from pytest_kbisect.errors import ExitCode, KbisectError, UsageError
from pytest_kbisect.evidence.journal import Journal
from pytest_kbisect.evidence.outcome import Verdict
from pytest_kbisect.reports import summary, summary_folder
from pytest_kbisect.reports.section import SectionReporter
from pytest_kbisect.reports.summary import OneAnswer, Summary
from pytest_kbisect.reports.terminal import ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pytest

    from pytest_kbisect.bisection.commit_request import Share
    from pytest_kbisect.bisection.known_log import Known
    from pytest_kbisect.bisection.launcher import SelectedTest, Selection, SessionLauncher
    from pytest_kbisect.bisection.several.wishes import Ask
    from pytest_kbisect.bisection.stages import Finding, Plan
    from pytest_kbisect.evidence.outcome import CommitResult
    from pytest_kbisect.kernel.compiler_choice import Choice
    from pytest_kbisect.kernel.tree import LinuxTree
    from pytest_kbisect.reports.result import Result
    from pytest_kbisect.reports.terminal import TerminalReporter

WORST = (
    ExitCode.INTERNAL,
    ExitCode.USAGE,
    ExitCode.BAD_AT_GOOD_END,
    ExitCode.NOT_REPRODUCED,
    ExitCode.INCONCLUSIVE,
    ExitCode.FOUND,
)
"""Exit codes of a test's bisection, the worst first: that of the worst is the exit code of all."""
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all tests have in common, and what the driver does for each of them.

    `plans` gives the plan of a selection and its known verdicts. `conclude` stores and prints an answer, and
    gives the result with its exit code: of a selection, finding, folder and reporter.
    """

    config: pytest.Config
    selection: Selection
    plan: Plan
    tree: LinuxTree
    compiler: Choice
    launcher: SessionLauncher
    journal: Journal
    reporter: TerminalReporter
    folder: Path
    share: Share | None
    plans: Callable[[Selection, tuple[Known, ...]], Plan]
    conclude: Callable[[Selection, Finding, Path, SectionReporter], tuple[Result, int]]
    observe: Callable[[CommitResult], None]
    command: tuple[str, ...]
    known: Mapping[str, tuple[Known, ...]]


# -- what must be right --------------------------------------------------------------------------------------


def names_of(selection: Selection) -> dict[str, SelectedTest]:
    """The selected tests by short names of their own. Raises UsageError for one that makes no runs."""
    found: dict[str, SelectedTest] = {}
    for one in selection.each:
        if not one.facts["per_run"]:
            raise UsageError(
                f"--kbisect-each: {one.test} uses a kernel and makes no runs: use the fixture vm in it, or deselect it"
            )
        path, _, test = one.test.partition("::")
        stem = Path(path).stem
        words = test if test == stem else f"{stem}-{test}"
        name = _PLAIN.sub("-", words).strip("-.")[:60] or "test"
        number = Counter(re.sub(r"\.\d+$", "", other) for other in found)[name]
        found[f"{name}.{number + 1}" if number else name] = one
    return found


def known(
    config: pytest.Config, tree: LinuxTree, names: Sequence[str], fix: bool
) -> dict[str, tuple[Known, ...]]:
    """The verdicts that the user has, by test: LOG is of all of them, TEST=LOG of one.

    Raises UsageError for what cannot be used: a verdict good or bad is of one bug.
    """
    paths: dict[str, list[Path]] = {name: [] for name in names}
    common: list[Path] = []
    for path in options.value(config, "known"):
        folder, test, log = _split(path)
        if log and test in paths:
            paths[test].append(folder / log)
        elif log and not path.exists():
            raise UsageError(
                f"--kbisect-known: {test}={log}: {test} is none of the tests: name one of {', '.join(names)}"
            )
        else:
            common.append(path)
    shared = known_log.read(common, tree, fix=fix)
    for one in shared:
        if one.verdict is not Verdict.SKIP and len(paths) > 1:
            raise UsageError(
                f"--kbisect-known: {one}: with --kbisect-each, good and bad are said of one test: write TEST=LOG, TEST "
                f"is one of {', '.join(names)}"
            )
    return {name: (*shared, *known_log.read(own, tree, fix=fix)) for name, own in paths.items()}


def _split(path: Path) -> tuple[Path, str, str]:
    """Folder, test and log of a path that was written as TEST=LOG; no log if it was not."""
    found = re.match(r"((?:.*/)?)([^/=]+)=(.+)", str(path))
    return (Path(found[1]), found[2], found[3]) if found else (path, "", "")


# -- all of them ---------------------------------------------------------------------------------------------


class _Runner(ExperimentRunner):
    """Asks for experiments; the time is that of all sessions, as the budget is."""

    total: Callable[[], float]

    @property
    def spent(self) -> float:
        """Seconds of all sessions so far."""
        return self.total()


@dataclass(frozen=True, slots=True)
class _Part:
    """One test: its name, its selection, its folder and its reporter."""

    name: str
    selection: Selection
    folder: Path
    reporter: SectionReporter


def bisect(work: Work) -> int:
    """Bisect each test; the exit code is that of the worst answer."""
    tests = names_of(work.selection)
    parts = {name: _part(work, name, one) for name, one in tests.items()}
    members = [_member(work, parts[name], one) for name, one in tests.items()]
    shared = SharedSessions(
        members,
        work.launcher,
        work.journal,
        work.reporter,
        room=work.plan.room or (lambda: work.plan.at_once),
        share=work.share,
        budget=work.plan.budget,
    )
    answers: dict[str, OneAnswer] = {}
    for member in shared.run():
        answers[member.name] = _answer(work, parts[member.name], member)
        _log(work, parts)
    ended = [answers[name] for name in parts]
    code = min((one.exit_code for one in ended), key=WORST.index)
    if all(one.error for one in ended):
        raise UsageError(ended[0].error)
    _report(work, ended, code)
    return code


def _part(work: Work, name: str, one: SelectedTest) -> _Part:
    folder = work.folder / layout.EACH / name
    folder.mkdir(parents=True, exist_ok=True)
    reporter = SectionReporter(work.reporter, name)
    reporter.open(folder / layout.LOG)
    return _Part(name, one.of(work.selection), folder, reporter)


def _member(work: Work, part: _Part, one: SelectedTest) -> Member:
    plan = work.plans(part.selection, work.known[part.name])
    plan = replace(plan, at_once=1, room=None, width=work.plan.width)
    subject = workplace.subject_of(work.config, part.selection, plan, work.compiler)
    turn = turn_of(
        plan,
        work.tree,
        Journal(part.folder / layout.JOURNAL, subject),
        part.reporter,
        per_run=part.selection.per_run,
        spent=partial(shared_sessions.spent, work.journal),
        observe=work.observe,
    )
    return Member(part.name, one.test, one.configurations, part.selection.per_run, part.folder, turn)


def turn_of(
    plan: Plan,
    tree: LinuxTree,
    journal: Journal,
    reporter: SectionReporter,
    *,
    per_run: int,
    spent: Callable[[], float],
    observe: Callable[[CommitResult], None] = lambda _: None,
) -> Turn[Finding]:
    """One of several bisections, not started yet; `spent` gives the seconds of all sessions."""
    good = plan.ends.good or f"the good end of {journal.path}"

    def body(ask: Ask) -> Finding:
        asking = replace(plan, strategy=choosing_together(plan.strategy, ask, good))
        runner = _Runner(AskingLauncher(ask), journal, reporter, per_run=per_run, observe=observe)
        runner.total = spent
        try:
            return Bisection(asking, tree, runner, reporter).run()
        except OutOfTimeError:  # from the journal it comes to the answer so far
            reporter.restart()
            return Bisection(asking, tree, runner, reporter).run()
        finally:
            reporter.speak()

    return Turn(body)


def _answer(work: Work, part: _Part, member: Member) -> OneAnswer:
    """What a bisection has come to, stored and printed at once. An error of one does not end the others."""
    error, finding = member.turn.error, member.turn.result
    folder = str(part.folder.relative_to(work.folder))
    if isinstance(error, KbisectError) and error.exit_code is ExitCode.USAGE:
        part.reporter.line(f"error: {error}", level=ANSWER)
        return OneAnswer(
            name=member.name, test=member.test, folder=folder, exit_code=ExitCode.USAGE, error=str(error)
        )
    if error is not None:
        raise error
    assert finding is not None
    final, code = work.conclude(part.selection, finding, part.folder, part.reporter)
    return OneAnswer(
        name=member.name, test=member.test, folder=folder, exit_code=ExitCode(code), result=final
    )


def _log(work: Work, parts: Mapping[str, _Part]) -> None:
    """Write the common log anew: a section for each test."""
    sections = [(name, part.folder) for name, part in parts.items()]
    write = partial(summary_folder.write_log, work.folder, sections, work.compiler.words)
    attempt(f"{layout.LOG} was not written", write, None, work.reporter.note)


def _report(work: Work, answers: Sequence[OneAnswer], code: int) -> None:
    """Store and print the answers together, and write the common reports."""
    ends = next((one.result.range for one in answers if one.result), ("", work.plan.ends.bad))
    told = Summary(
        range=(work.plan.ends.good or ends[0], work.plan.ends.bad),
        fix=work.plan.fix,
        exit_code=code,
        tests=tuple(answers),
        sessions=tuple(work.journal.notes(shared_sessions.SESSION)),
        total=shared_sessions.spent(work.journal),
        command=work.command,
    )
    write = partial(summary.write, told, work.folder / layout.RESULT)
    attempt(f"{layout.RESULT} was not written", write, None, work.reporter.note)
    work.reporter.lines(summary.words(told), level=ANSWER)
    none: list[str] = []
    reports = partial(summary_folder.write, work.folder, also=workplace.asked_junit(work.config))
    for trouble in attempt("no common reports were written", reports, none, work.reporter.note):
        work.reporter.note(trouble)
