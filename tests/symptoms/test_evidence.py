"""Failures that are no crash, as evidence: which are the bug, which are not, and which say nothing."""

from __future__ import annotations

import pytest

from pytest_kbisect.evidence import journal
from pytest_kbisect.evidence.failure import failure_of
from pytest_kbisect.evidence.outcome import Outcome, Report, Run
from pytest_kbisect.evidence.reference import Match, Reference
from pytest_kbisect.evidence.related import match_crashes
from pytest_kbisect.evidence.run_counts import RunCounts, count_runs
from pytest_kbisect.evidence.witness import watched_functions


def report(title: str, symptom: str, *alt_titles: str) -> Report:
    return Report(title, alt_titles, symptom.upper(), report="RIP: 0010:foo+0x1/0x2\n", symptom=symptom)


def failed(*reports: Report, cleared: tuple[str, ...] = ()) -> Run:
    first = reports[0]
    outcome = Outcome.CRASHED if first.symptom in {"crash", "other"} else Outcome.FAILED
    return Run(
        outcome,
        first.title,
        first.alt_titles,
        first.type,
        reports=reports,
        symptom=first.symptom,
        cleared=cleared,
    )


SUBTEST = report("not ok: s.a", "subtest")
EXIT = report("r: exit status 3", "exit-status")
BOOT = report("boot panic: BUG: in foo", "boot")
BUILD = report("build: a.c: error: no x", "build", "build: b.c: error: no y")


@pytest.mark.parametrize(
    ("known", "shown", "match"),
    [
        (SUBTEST, SUBTEST, Match.MATCH),
        (SUBTEST, report("not ok: s.b", "subtest"), Match.UNRELATED),
        (EXIT, report("r: exit status 4", "exit-status"), Match.RELATED),
        (EXIT, report("r: not ended in time", "timeout"), Match.UNRELATED),
        (BOOT, report("boot hang: no word", "boot"), Match.RELATED),
        (BUILD, report("build: b.c: error: no y", "build"), Match.MATCH),
        (BUILD, report("build: c.c: error: no z", "build"), Match.UNRELATED),
        (EXIT, report("WARNING in foo", "other"), Match.UNRELATED),
        (EXIT, report("r: exit status 3", "other"), Match.UNRELATED),
        (SUBTEST, report("WARNING in foo", "crash"), Match.UNRELATED),
    ],
)
def test_a_failure_is_known_by_what_it_is(known: Report, shown: Report, match: Match) -> None:
    reference = Reference().grown([known])
    assert match_crashes(shown, reference) is match


def test_a_crash_that_is_not_looked_for_is_never_the_bug() -> None:
    crash = failed(report("WARNING in foo", "other"))
    assert match_crashes(crash, Reference()) is Match.UNRELATED
    assert not failure_of([crash] * 3).principal
    assert failure_of([crash, failed(EXIT)]).principal == EXIT.title
    assert count_runs([crash] * 3, Reference(), match_crashes) == RunCounts(unrelated=3)


def test_a_subtest_that_is_ok_clears_a_run_of_other_failures() -> None:
    reference = Reference().grown([SUBTEST])
    other = report("not ok: s.old", "subtest")
    runs = [
        failed(other, cleared=(SUBTEST.title,)),  # good
        failed(other),  # masked
        failed(other, SUBTEST),  # bad
        Run(Outcome.OK, cleared=(SUBTEST.title,)),  # good
        Run(Outcome.OK, cleared=("not ok: s.else",)),  # the subtest did not run
        Run(Outcome.SILENT, title="skipped"),
    ]
    counts = count_runs(runs, reference, match_crashes)
    assert counts == RunCounts(matching=1, ok=2, unrelated=1, silent=2)


def test_silent_runs_do_not_make_a_machine_that_fails() -> None:
    runs = [Run(Outcome.SILENT)] * 9 + [Run(Outcome.OK)]
    assert count_runs(runs, Reference().grown([EXIT]), match_crashes) == RunCounts(ok=1, silent=9)


def test_functions_are_watched_for_crashes_only() -> None:
    assert not watched_functions(BOOT)


def test_an_assertion_of_an_older_journal_has_its_identity() -> None:
    run = {"outcome": "crashed", "title": "test failed: assert 118.2 < 100", "type": "TEST", "report": "E"}
    runs = journal.tested_of(
        {"commit": "c0ffee", "runs": [run, {**run, "title": "test failed: assert 119.6 < 100"}]}
    ).runs
    assert {one.title for one in runs} == {"test failed: assert NUM < NUM"}
    assert [one.said for one in runs] == [
        "test failed: assert 118.2 < 100",
        "test failed: assert 119.6 < 100",
    ]
    assert runs[0].shown[0].symptom == "test"
    reference = Reference().grown(runs[0].shown)
    assert count_runs(runs, reference, match_crashes).matching == 2
