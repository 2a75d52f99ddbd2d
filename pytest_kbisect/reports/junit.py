"""JUnit XML of a whole bisection: a suite for each tested commit, and one that states the result.

It validates against Jenkins' junit-10.xsd but for `<properties>` inside `<testcase>`, which pytest
writes too, which GitLab's and GitHub's readers ignore, and which carry the runs' facts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_kbisect import properties
from pytest_kbisect.atomic import replacing
from pytest_kbisect.reports import consoles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kbisect.reports.result import Result

_ONE_CONSOLE = 64 << 10
"""Bytes of a console's end kept as system-out; the whole one is in the bisection's folder."""
CONSOLES = 12 << 20
"""Bytes of all consoles together: GitLab refuses reports beyond 30 MB."""

# Characters that XML 1.0 cannot hold at all, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Text as XML can carry it."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def write(path: Path, commits: Sequence[tuple[dict[str, Any], Sequence[Path]]], result: Result) -> None:
    """Merge the XML files of each commit's sessions (folders), with what is told of it; add the result."""
    from junitparser import JUnitXml

    sessions = sum(len(folders) for _, folders in commits)
    runs = sum(int(record.get("runs") or 0) for record, _ in commits)
    limit = min(_ONE_CONSOLE, CONSOLES // max(runs, sessions, 1))
    document: Any = JUnitXml("pytest-kbisect")
    for record, folders in commits:
        document.add_testsuite(_commit_suite(record, folders, limit))
    document.add_testsuite(_result_suite(result))
    store(document, path)


def store(document: Any, path: Path) -> None:
    """Count a document's cases, and write it."""
    document.update_statistics()
    document._elem.attrib.pop("skipped", None)  # noqa: SLF001 - junit-10.xsd knows it of suites only
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        document.write(str(unfinished), pretty=True)


def _commit_suite(record: dict[str, Any], folders: Sequence[Path], limit: int) -> Any:
    from junitparser import JUnitXml, TestCase, TestSuite

    commit = record["commit"][:12]
    suite = TestSuite(clean(f"{commit} {record['title']}"))
    for name, value in record.items():
        if isinstance(value, str | int | float):
            suite.add_property(f"kbisect.{name}", clean(str(value)))
    written = [
        (n, folder / "junit.xml") for n, folder in enumerate(folders, 1) if (folder / "junit.xml").exists()
    ]
    for number, xml in written:
        cases = []
        for session in JUnitXml.fromfile(str(xml)):
            suite.timestamp = suite.timestamp or session.timestamp
            cases += list(session)
        for case in sorted(cases, key=_order):
            # Readers tell tests apart by class and name: a commit's second session has names of its own.
            case.classname = f"{commit if number == 1 else f'{commit}-{number}'}.{case.classname}"
            _add_console(case, xml.parent, limit)
            suite.add_testcase(case)
    if not written:  # the journal knows what was found, its files were removed
        suite.add_testcase(TestCase(f"verdict {record['verdict']}", commit, 0.0))
    return suite


def _order(case: Any) -> tuple[str, str, int]:
    """Reproducer by reproducer, and its runs as they are counted; workers end in any order."""
    name = case.name or ""
    number = properties.run_number("", name)
    return case.classname or "", properties.RUN_IN_NAME.sub("", name), -1 if number is None else number


def _add_console(case: Any, session: Path, limit: int) -> None:
    from junitparser import Properties

    for item in case.child(Properties) or ():
        if item.name == properties.CONSOLE and (
            text := consoles.end(consoles.kept(session, item.value or ""), limit)
        ):
            case.system_out = clean(text)


def _result_suite(result: Result) -> Any:
    from junitparser import Failure, TestCase, TestSuite

    suite = TestSuite("kbisect result")
    facts = {
        "kind": result.kind,
        "culprit": result.culprit,
        "title": result.title,
        "confidence": f"{result.confidence:.3f}",
        "crash": result.crash,
        "symptom": result.symptom,
        "culprit_signature": result.culprit_signature,
        "parent_signature": result.parent_signature,
    }
    for name, value in facts.items():
        suite.add_property(f"kbisect.{name}", clean(value))
    case = TestCase(
        f"first {'good' if result.fix else 'bad'} commit", "kbisect.result", result.seconds.get("total", 0.0)
    )
    words = f"{result.culprit} {result.title}" if result.culprit else result.reason
    case.system_out = clean(words)
    if not result.culprit:
        failure = Failure(clean(words), result.kind)
        failure.text = clean(
            "\n".join(f"{sha} {title} ({p:.0%})" for sha, title, p in result.candidates) or words
        )
        case.result = [failure]
    suite.add_testcase(case)
    return suite
