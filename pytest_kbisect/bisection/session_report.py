"""What the JUnit XML of one session says of its commit.

Nothing but the XML crosses from a session to the driver: a run's outcome, crash and kernel are in the
properties of its tests. A run that was asked for and is not there (its worker died) is a failure of
the host's side, and never good.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from pytest_kbisect import properties
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.evidence.outcome import UNREPORTED, CommitResult, Outcome, Report, Run
from pytest_kbisect.symptoms.build_failure import NAME as BUILD
from pytest_kbisect.symptoms.symptom import CRASH_NAME as CRASH

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from junitparser import TestCase

_REPORT_LIMIT = 20_000
"""Characters of a crash's text that are kept."""

# Where tests of the same run end differently (several reproducers at once), the worst one counts.
_WORST = (
    Outcome.FAILED,
    Outcome.CRASHED,
    Outcome.BUILD_FAILED,
    Outcome.BOOT_FAILED,
    Outcome.INFRA_FAILED,
    Outcome.SILENT,
    Outcome.OK,
)
_MISSING = Run(Outcome.INFRA_FAILED, title=UNREPORTED)

_BUILD = "build"
"""All of what the session did to have the kernel; its parts are told besides."""

_Properties = dict[str, list[str]]


def read(xml: Path, commit: str, *, runs: int, per_run: int, seconds: float) -> CommitResult:
    """What a session found at a commit in so many `seconds`.

    `runs` were asked for, each of `per_run` tests; 0 where the session was free to stop early.
    """
    return of_cases(cases(xml), commit, runs=runs, per_run=per_run, seconds=seconds)


def of_cases(
    cases: Iterable[TestCase], commit: str, *, runs: int, per_run: int, seconds: float
) -> CommitResult:
    """The same of some test cases."""
    groups: dict[int, list[tuple[Run, bool]]] = defaultdict(list)
    facts: dict[str, set[str]] = defaultdict(set)
    extra: list[Run] = []
    had: dict[str, dict[str, float]] = {}
    spans: list[tuple[float, float]] = []
    build_error = ""
    same_kernel = False
    for case in cases:
        given = given_of(case)
        if given.get(properties.USAGE):
            raise UsageError(given[properties.USAGE][0])
        for name in (properties.SIGNATURE, properties.COMPILER, properties.SOURCES, properties.HOST):
            facts[name].update(given.get(name, ()))
        _add_costs(had, given)
        if given.get(properties.SAME_KERNEL):
            same_kernel = True
            continue
        number = properties.run_number(given.get(properties.RUN, [""])[0], case.name or "")
        run = _run(case, given)
        if given.get(properties.BEGAN):
            began = float(given[properties.BEGAN][0])
            spans.append((began, began + run.seconds))
        if run.outcome is Outcome.BUILD_FAILED:
            build_error = run.message
        elif number is not None:
            groups[number].append((run, run.title in given.get(properties.EXPECTED, ())))
        elif run.outcome is not Outcome.OK:  # a test of the kernel alone
            extra.append(run)
    if not build_error and not same_kernel:
        for number in range(runs):
            if len(groups[number]) < per_run:
                groups[number].append((_MISSING, False))
    found = [_worst(group) for _, group in sorted(groups.items()) if group]
    if any(report.symptom == BUILD for run in found for report in run.shown):
        facts[properties.SIGNATURE].clear()  # of the other configurations; it does not stand for this commit
    by = {part: sum(costs[part] for costs in had.values()) for part in properties.KERNEL_PARTS}
    build_seconds = min(sum(costs[_BUILD] for costs in had.values()), seconds)
    guests = max((end for _, end in spans), default=0.0) - min((began for began, _ in spans), default=0.0)
    return CommitResult(
        commit,
        () if build_error else (*found, *extra),
        signature="+".join(sorted(facts[properties.SIGNATURE])),
        compiler="; ".join(sorted(facts[properties.COMPILER])),
        build_error=build_error,
        build_seconds=build_seconds,
        test_seconds=max(0.0, seconds - build_seconds),
        cached=not build_seconds,
        seconds_by=by
        | {"guests": guests, "overhead": max(0.0, seconds - build_seconds - by["wait"] - guests)},
        sources=os.pathsep.join(sorted(facts[properties.SOURCES])),
        host="+".join(sorted(facts[properties.HOST])),
    )


def _add_costs(had: dict[str, dict[str, float]], given: _Properties) -> None:
    """What having a kernel took, by configuration: in the worker that built it; the others waited."""
    configuration = given.get(properties.CONFIGURATION, [""])[0]
    names = properties.KERNEL_PARTS | {_BUILD: properties.BUILD_SECONDS}
    costs = {part: float(given.get(name, ["0"])[0] or 0) for part, name in names.items()}
    had[configuration] = max(had.get(configuration, costs), costs, key=lambda one: (one[_BUILD], one["wait"]))


def _worst(group: list[tuple[Run, bool]]) -> Run:
    """The end of a run of several tests: the worst, and of crashes the expected one.

    It has the reports of all, and has executed what any of them has.
    """
    worst = min(group, key=lambda end: (_WORST.index(end[0].outcome), not end[1]))[0]
    if len(group) == 1:
        return worst
    runs = [run for run, _ in group]
    # A test whose fixtures fail, too, is there twice.
    shown = tuple(dict.fromkeys(chain.from_iterable(run.shown for run in runs)))

    def functions(of: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(chain.from_iterable(getattr(run, of) for run in runs)))

    reached = functions("reached")
    return replace(
        worst,
        reports=shown if len(shown) > 1 else (),
        whole=worst.outcome.shows_symptom and all(run.whole or run.outcome is Outcome.OK for run in runs),
        reached=reached,
        unreached=tuple(name for name in functions("unreached") if name not in reached),
        inlined=functions("inlined"),
        absent=functions("absent"),
        idle=functions("idle"),
        code=functions("code"),
        cleared=functions("cleared"),
    )


def cases(xml: Path) -> list[TestCase]:
    """All test cases of an XML file. Raises HostError for one that is cut short."""
    from junitparser import JUnitXml, TestSuite

    try:
        document: Any = JUnitXml.fromfile(str(xml))
    except SyntaxError:  # both of Python's parser and of lxml's
        raise HostError(
            f"{xml} is cut short: is its disk full? Free some room, and give the same command again"
        ) from None
    suites = [document] if isinstance(document, TestSuite) else list(document)
    return [case for suite in suites for case in suite]


def given_of(case: Any) -> _Properties:
    """The properties of a test case."""
    from junitparser import Properties

    given: _Properties = defaultdict(list)
    for item in case.child(Properties) or ():
        given[str(item.name)].append(str(item.value or ""))
    return given


def _run(case: TestCase, given: _Properties) -> Run:
    """How a test ended."""
    from junitparser import Error, Failure, Skipped

    ends = [end for end in case.result if isinstance(end, Error | Failure | Skipped)]
    # pytest puts a place in front of a skip's text, and not of its message.
    words = "\n".join(
        str((end.message if isinstance(end, Skipped) else end.text) or end.message or "") for end in ends
    )

    def first(name: str) -> str:
        return given.get(name, [""])[0]

    title = first(properties.TITLE)
    if first(properties.OUTCOME):
        outcome = Outcome(first(properties.OUTCOME))
    elif any(isinstance(end, Failure) for end in ends):
        outcome = Outcome.CRASHED
    else:
        # No word of its own and not passed by the hooks: a worker that died, a broken fixture, a skip.
        outcome = Outcome.INFRA_FAILED
        title = title or words.partition("\n")[0]
    by = {part: float(first(name)) for part, name in properties.RUN_PARTS.items() if first(name)}
    reports = tuple(map(_report, given.get(properties.REPORT, ())))
    known_by = next((one for one in reports if one.title == title), None) or Report(
        title,
        tuple(given.get(properties.ALT_TITLE, ())),
        first(properties.CRASH_TYPE),
        first(properties.FRAME),
        words.removeprefix(title).lstrip("\n")[:_REPORT_LIMIT] if outcome.shows_symptom else "",
        first(properties.SYMPTOM) or CRASH,
        first(properties.SAID),
    )
    return Run(
        outcome,
        title=title,
        alt_titles=known_by.alt_titles,
        type=known_by.type,
        frame=known_by.frame,
        message=words[:2000],
        report=known_by.report,
        reports=reports if len(reports) > 1 else (),
        whole=bool(first(properties.WHOLE)),
        cut_short=first(properties.CUT_SHORT),
        seconds=sum(by.values()),
        seconds_by=by,
        reached=tuple(given.get(properties.REACHED, ())),
        unreached=tuple(given.get(properties.UNREACHED, ())),
        inlined=tuple(given.get(properties.INLINED, ())),
        absent=tuple(given.get(properties.ABSENT, ())),
        idle=tuple(given.get(properties.IDLE, ())),
        unwatched=first(properties.UNWATCHED),
        code=tuple(given.get(properties.CODE, ())),
        unrecorded=first(properties.UNRECORDED),
        symptom=known_by.symptom,
        said=known_by.said,
        cleared=tuple(given.get(properties.CLEARED, ())),
        **_measured(first(properties.METRIC)),
        configuration=first(properties.CONFIGURATION),
        signature=first(properties.SIGNATURE),
        host=first(properties.HOST),
        machine=first(properties.MACHINE),
    )


def _measured(given: str) -> dict[str, Any]:
    """What a run has measured, as a session has written it."""
    facts = json.loads(given) if given else {"metric": "", "values": ()}
    return {"metric": str(facts["metric"]), "values": tuple(map(float, facts["values"]))}


def _report(given: str) -> Report:
    """One report of a run, as a session has written it."""
    facts = json.loads(given)
    return Report(
        title=facts["title"],
        alt_titles=tuple(facts["alt_titles"]),
        type=facts["type"],
        frame=facts["frame"],
        report=facts["text"][:_REPORT_LIMIT],
        symptom=facts.get("symptom", CRASH),
        said=facts.get("said", ""),
    )
