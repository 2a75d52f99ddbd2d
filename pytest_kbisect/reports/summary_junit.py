"""`junit.xml` of several bisections: the suites of each test's own file, under its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kbisect.reports.junit import CONSOLES, clean, store
from pytest_kbisect.reports.summary import answer_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kbisect.reports.summary import OneAnswer, Summary


def write(path: Path, parts: Sequence[tuple[str, Path]], told: Summary) -> None:
    """Merge the files of the tests' bisections; one that ended by an error has a suite that says so."""
    from junitparser import JUnitXml

    document: Any = JUnitXml("pytest-kbisect")
    errors = {one.name: one for one in told.tests if one.result is None}
    for name, xml in parts:
        if name in errors or not xml.exists():
            document.add_testsuite(_error_suite(name, errors.get(name)))
            continue
        suites = list(JUnitXml.fromfile(str(xml)))
        _cut_consoles(suites, CONSOLES // len(parts))
        for suite in suites:
            suite.name = clean(f"{name}: {suite.name}")
            for case in suite:
                case.classname = f"{name}.{case.classname}"
            document.add_testsuite(suite)
    store(document, path)


def _cut_consoles(suites: Sequence[Any], room: int) -> None:
    """Keep the ends of consoles, so that all of them together have room."""
    cases = [case for suite in suites for case in suite if case.system_out]
    if sum(len(case.system_out) for case in cases) > room:
        for case in cases:
            case.system_out = case.system_out[-(room // len(cases)) :]


def _error_suite(name: str, one: OneAnswer | None) -> Any:
    from junitparser import Error, TestCase, TestSuite

    suite = TestSuite(clean(f"{name}: kbisect result"))
    case = TestCase("bisection", f"{name}.kbisect.result", 0.0)
    words = clean(answer_of(one) if one else "its junit.xml is missing")
    error = Error(words, "usage" if one else "missing")
    error.text = clean(one.error) if one else words
    case.result = [error]
    suite.add_testcase(case)
    return suite
