"""A reproducer that names its crash: other crashes do not become the bug that is looked for."""

from __future__ import annotations

from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.evidence.outcome import CommitResult as Session
from pytest_kbisect.evidence.outcome import Outcome, Run
from pytest_kbisect.evidence.reference import Reference
from pytest_kbisect.history.candidates import History

LINE = History.line(["a" * 40, "b" * 40])


def crashed(title: str) -> Run:
    return Run(Outcome.CRASHED, title=title)


def test_another_crash_on_the_bad_end_is_unrelated() -> None:
    evidence = Evidence(LINE, reference=Reference(frozenset({"WARNING in foo"})))
    evidence.add(1, Session("b" * 40, (crashed("INFO: task hung in bar"),) * 3, signature="s"))
    assert evidence.counts(1).matching == 0
    assert evidence.counts(1).unrelated == 3


def test_its_own_crash_brings_its_other_names() -> None:
    evidence = Evidence(LINE, reference=Reference(frozenset({"WARNING in foo"})))
    known = Run(Outcome.CRASHED, title="WARNING in foo", alt_titles=("WARNING in __foo",))
    evidence.add(1, Session("b" * 40, (known, crashed("INFO: task hung in bar")), signature="s"))
    evidence.add(
        0, Session("a" * 40, (crashed("WARNING in __foo"), crashed("INFO: task hung in bar")), signature="t")
    )
    assert evidence.counts(0).matching == 1
    assert evidence.counts(0).unrelated == 1


def test_without_a_name_whatever_the_bad_end_shows_is_the_bug() -> None:
    evidence = Evidence(LINE)
    evidence.add(1, Session("b" * 40, (crashed("INFO: task hung in bar"),), signature="s"))
    assert evidence.counts(1).matching == 1
