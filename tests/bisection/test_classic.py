"""The classic strategy from outside: worlds in, answers out."""

from __future__ import annotations

import pytest
from worlds import CRASH, OK, OTHER, drive, session, world

from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.evidence.outcome import CommitResult as Found
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.strategies.classic import Classic
from pytest_kbisect.strategies.strategy import AnswerKind

HISTORY = History.line([f"c{i:02}" for i in range(40)])


@pytest.mark.parametrize("culprit", [0, 1, 17, 38, 39])
def test_finds_the_first_bad_commit(culprit):
    answer, asked = drive(Classic(HISTORY), Evidence(HISTORY), world(culprit))
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, culprit)
    assert [asked[0].commit, asked[0].runs, asked[1].commit] == [39, 20, GOOD_END]
    assert len(asked) <= 2 + 6


def test_only_skipped_commits_left():
    answer, _ = drive(Classic(HISTORY), Evidence(HISTORY), world(17, broken=(15, 16, 17)))
    assert answer.kind is AnswerKind.CANDIDATES
    assert {i for i, _ in answer.candidates} == {15, 16, 17, 18}


@pytest.mark.parametrize(
    ("culprit", "kind"),
    [(99, AnswerKind.NOT_REPRODUCED), (GOOD_END, AnswerKind.BAD_AT_GOOD_END)],
)
def test_ends_that_are_not_what_was_said(culprit, kind):
    answer, _ = drive(Classic(HISTORY), Evidence(HISTORY), world(culprit))
    assert answer.kind is kind


@pytest.mark.parametrize("kernel", [world(3, broken=(39,)), world(3, dead=(39,))])
def test_bad_end_that_cannot_be_tested(kernel):
    answer, asked = drive(Classic(HISTORY), Evidence(HISTORY), kernel)
    assert (answer.kind, len(asked)) == (AnswerKind.UNTESTABLE, 1)


def test_nothing_in_the_range():
    empty = History((), ())
    assert Classic(empty).decide(Evidence(empty)).kind is AnswerKind.UNTESTABLE


def test_unrelated_crashes_make_no_commit_bad():
    def kernel(i, runs):
        if i < 20 and i != GOOD_END:
            return session([OTHER] + [OK] * (runs - 1))
        return session([CRASH if i >= 20 else OK] * runs)

    answer, _ = drive(Classic(HISTORY), Evidence(HISTORY), kernel)
    assert answer.culprit == 20


def test_flaky_bug_is_given_more_runs():
    def kernel(i, runs):
        crashes = 0 if i < 20 else runs // 4
        return session([CRASH] * crashes + [OK] * (runs - crashes))

    answer, asked = drive(Classic(HISTORY), Evidence(HISTORY), kernel)
    assert answer.culprit == 20
    assert {experiment.runs for experiment in asked} == {20}


def test_a_kernel_seen_before_needs_no_runs():
    """The session builds, finds the signature known, and runs nothing."""
    evidence = Evidence(HISTORY)
    ran = []

    def kernel(i, runs):
        signature = f"s{i // 4}"
        if signature in evidence.known_kernels:
            return Found("", (), signature)
        ran.append(i)
        return session([CRASH if i >= 16 else OK] * runs, signature)

    answer, asked = drive(Classic(HISTORY), evidence, kernel)
    assert answer.culprit == 16
    assert len(ran) < len(asked)
    assert evidence.counts(16) == evidence.counts(19)
