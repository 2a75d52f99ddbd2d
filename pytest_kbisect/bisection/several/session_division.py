"""A session with tests of several bisections, divided: what each test found, and its part of the folder."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from pytest_kbisect import properties
from pytest_kbisect.bisection.session_report import cases, given_of, of_cases
from pytest_kbisect.errors import HostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from junitparser import TestCase

    from pytest_kbisect.evidence.outcome import CommitResult

_XML = "junit.xml"
_RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session was asked of a test: `runs`, each of `per_run` cases; 0 if it was free to stop early."""

    runs: int
    per_run: int


def read_each(
    xml: Path, commit: str, wanted: Mapping[str, Wanted], seconds: float
) -> dict[str, CommitResult | UsageError]:
    """What a session of so many `seconds` found for each test, by its id; or the error that ended the test.

    The build is everybody's: each has its time. That of the tests is divided by what their runs took. Raises
    HostError if the host has ended the session.
    """
    own: dict[str, list[TestCase]] = defaultdict(list)
    usable: list[TestCase] = []
    for case in cases(xml):
        given = given_of(case)
        if given.get(properties.STOPPED):
            raise HostError(given[properties.USAGE][0])
        if not given.get(properties.USAGE):
            usable.append(case)
        if not given.get(properties.UNNEEDED):
            own[given.get(properties.TEST, [""])[0]].append(case)
    whole = of_cases(usable, commit, runs=0, per_run=0, seconds=seconds)
    found: dict[str, CommitResult | UsageError] = {}
    for test, asked in wanted.items():
        try:
            found[test] = of_cases(own[test], commit, runs=asked.runs, per_run=asked.per_run, seconds=seconds)
        except UsageError as error:
            found[test] = error
    spent = {test: _run_seconds(one) for test, one in found.items()}
    total = sum(spent.values())
    for test, one in found.items():
        if not isinstance(one, UsageError):
            share = spent[test] / total if total else 1 / len(found)
            found[test] = _with_share(one, whole, share)
    return found


def _run_seconds(found: CommitResult | UsageError) -> float:
    return 0.0 if isinstance(found, UsageError) else sum(run.seconds for run in found.runs)


def _with_share(found: CommitResult, whole: CommitResult, share: float) -> CommitResult:
    """What one test found, with the time of the build and its part of the rest."""
    tested = whole.test_seconds * share
    guests = min(found.seconds_by.get("guests", 0.0), tested)
    build = {
        part: seconds for part, seconds in whole.seconds_by.items() if part not in {"guests", "overhead"}
    }
    return replace(
        found,
        build_seconds=whole.build_seconds,
        test_seconds=tested,
        cached=whole.cached,
        sources=found.sources or whole.sources,
        seconds_by={**build, "guests": guests, "overhead": tested - guests},
    )


def divide(session: Path, test: str, part: Path) -> None:
    """Make `part` the folder of the session as one test's bisection sees it: its XML, and the consoles."""
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tree = ET.parse(session / _XML)
    for suite in tree.getroot().iter("testsuite"):
        for case in list(suite.findall("testcase")):
            given = {item.get("name"): item.get("value") for item in case.iter("property")}
            if given.get(properties.TEST) != test or given.get(properties.UNNEEDED):
                suite.remove(case)
        _count(suite)
    tree.write(part / _XML, encoding="utf-8", xml_declaration=True)
    if (session / _RUNS).is_dir():
        (part / _RUNS).symlink_to(os.path.relpath(session / _RUNS, part))


def _count(suite: ET.Element) -> None:
    left = suite.findall("testcase")
    suite.set("tests", str(len(left)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in left)))
