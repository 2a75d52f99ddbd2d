"""Which of the reports of one kernel are the bug's: what comes together every time, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import OK, session

from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.evidence.failure import failure_of
from pytest_kbisect.evidence.outcome import Outcome, Report, Run
from pytest_kbisect.evidence.reference import Match, Reference, known_by, match_of
from pytest_kbisect.evidence.related import match_crashes
from pytest_kbisect.history.candidates import GOOD_END, History

HISTORY = History.line([f"c{i}" for i in range(40)])


def run(*names: str, whole: bool = True) -> Run:
    """A run that showed warnings in these functions, in order."""
    shown = tuple(
        Report(name, type="TEST" if name.startswith("test failed") else "WARNING", frame=name.split()[-1])
        for name in (name if " " in name else f"WARNING in {name}" for name in names)
    )
    if not shown:
        return OK
    first = shown[0]
    more = shown if len(shown) > 1 else ()
    return Run(
        Outcome.CRASHED,
        title=first.title,
        type=first.type,
        frame=first.frame,
        reports=more,
        whole=whole,
        seconds=1,
    )


def names(titles) -> set[str]:
    return {title.removeprefix("WARNING in ") for title in titles}


@pytest.mark.parametrize(
    ("runs", "principal", "joined", "followers", "otherwise", "independent"),
    [
        ([run("a")] * 3, "a", "", "", "", ""),
        ([run("a", "b")] * 3, "a", "b", "", "", ""),
        ([run("a", "b"), run("a")], "a", "", "b", "", ""),
        ([run("a", "b"), run("a", whole=False)], "a", "b", "", "", ""),  # cut short before b
        ([run("a", "b"), run("b"), run("a"), run("a")], "a", "", "", "", "b"),
        ([run("a"), run("a"), run("b")], "a", "", "", "b", ""),
        ([run("a", "test failed: assert c")] * 2, "a", "", "", "", ""),
        ([run("test failed: assert c")] * 2, "test failed: assert c", "", "", "", ""),
    ],
)
def test_what_comes_together(runs, principal, joined, followers, otherwise, independent) -> None:
    found = failure_of(runs)
    assert names([found.principal]) == {principal}
    assert names(found.joined) == set(joined)
    assert names(found.followers) == set(followers)
    assert names(found.otherwise) == set(otherwise)
    assert names(found.independent) == set(independent)


def seen(*runs: Run, expected: str = "") -> Evidence:
    evidence = Evidence(
        HISTORY,
        matcher=match_crashes,
        trusted=True,
        reference=Reference(frozenset({f"WARNING in {expected}"} if expected else ())),
    )
    evidence.add(HISTORY.bad_end, session(runs))
    return evidence


def test_a_run_is_bad_if_any_of_its_reports_is_the_bugs() -> None:
    evidence = seen(*[run("bar")] * 3)
    assert evidence.count([run("foo", "bar"), run("foo"), run("foo", "baz")]).matching == 1
    assert match_of(run("foo", "bar"), evidence.reference, match_crashes) is Match.MATCH
    assert evidence.known_by(run("foo", "bar")).title == "WARNING in bar"
    assert known_by(run("foo", "baz"), evidence.reference, match_crashes).title == "WARNING in foo"


def test_of_one_failure_each_report_is_the_bugs() -> None:
    evidence = seen(*[run("foo", "bar")] * 3)
    assert evidence.count([run("foo"), run("bar")]).matching == 2
    assert evidence.expected_titles == ("WARNING in bar", "WARNING in foo")


def test_what_is_independent_is_another_bug() -> None:
    evidence = seen(run("foo", "bar"), run("foo"), run("foo"), run("bar"))
    assert evidence.count([run("bar")]).unrelated == 1
    assert evidence.count([run("bar", "foo")]).matching == 1


def test_what_the_reproducer_names_is_the_bug_whatever_comes_with_it() -> None:
    evidence = seen(*[run("foo", "bar")] * 3, expected="bar")
    assert evidence.count([run("foo"), run("bar")]).matching == 1
    assert evidence.expected_titles == ("WARNING in bar",)


def test_what_both_ends_show_is_no_part_of_the_failure() -> None:
    evidence = seen(*[run("foo", "bar")] * 3)
    evidence.add(GOOD_END, session([run("foo")] * 3))
    assert evidence.count([run("foo")]).matching == 0
    assert evidence.count([run("foo", "bar")]).matching == 1
    assert evidence.failure.principal == "WARNING in bar"


def test_a_report_by_another_name_takes_none_of_its_neighbours_along() -> None:
    """A commit known to be bad shows the bug under another name, beside another bug."""
    evidence = seen(*[run("nr_insert")] * 3)
    evidence.add(20, session([run("nr_insert")] * 2))
    evidence.add(20, session([replace(run("foo", "nr_remove"), seconds=1)] * 2))
    assert "WARNING in nr_remove" in evidence.reference.titles
    assert "WARNING in foo" not in evidence.reference.titles


def test_a_report_like_the_bugs_that_comes_with_it_is_another_bugs() -> None:
    """A warning in the same subsystem may be the bug by another name, until one run shows both."""
    evidence = seen(*[run("nr_insert")] * 3)
    alone = replace(run("nr_remove"), whole=True)
    assert evidence.count([alone]).related == 1
    evidence.add(20, session([run("nr_remove", "nr_insert")]))
    assert evidence.count([alone]).unrelated == 1
    assert evidence.counts(20).matching == 1
    assert evidence.others == {"WARNING in nr_remove": "it came in the same run as the bug"}


def test_what_follows_the_bug_may_be_the_bug() -> None:
    evidence = seen(*[run("nr_insert")] * 3)
    evidence.add(20, session([run("nr_insert", "nr_remove")]))
    assert evidence.count([run("nr_remove")]).related == 1
