"""The walk back to a good release: how many runs a release gets, and what is made of them."""

from __future__ import annotations

import pytest
from worlds import BOOT, CRASH, INFRA, OK, OTHER, drive, session

from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.evidence.reference import Reference
from pytest_kbisect.history.candidates import History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.release_tags import releases
from pytest_kbisect.strategies.release_walk import ReleaseWalk
from pytest_kbisect.strategies.strategy import AnswerKind

TAGS = releases(["v6.0", "v6.1", "v6.2", "v6.3"])


def walk(runs_of, reference=None):
    """`runs_of(i, number)` is the run of this number at release v6.i, 4 being the bad end."""
    history = History.line(["v6.0", "v6.1", "v6.2", "v6.3", "the bad end"])
    made = dict.fromkeys(range(len(history)), 0)

    def kernel(i, count):
        numbers = range(made[i], made[i] + count)
        made[i] += count
        return session([runs_of(i, number) for number in numbers], signature=f"s{i}")

    evidence = Evidence(history, reference=reference)
    answer, asked = drive(ReleaseWalk(history, TAGS, Bayes(history)), evidence, kernel)
    assert all(what.stop_at_crash for what in asked if what.commit < 4), "a crash tells, more of them little"
    return answer, made


def test_a_crash_of_another_bug_is_no_reason_to_pass_a_release():
    named = Reference(frozenset({CRASH.title}))
    answer, made = walk(
        lambda i, number: OTHER if number % 4 == 2 else CRASH if i >= 3 else OK, reference=named
    )
    assert (answer.kind, answer.culprit) == (AnswerKind.GOOD_RELEASE, 2)
    assert made[2] <= 20


def test_a_rare_crash_gets_the_runs_to_show_itself():
    """A run in thirty: where none of sixty crashed it may be chance."""
    answer, made = walk(lambda i, number: CRASH if i >= 1 and number % 30 == 29 else OK)
    assert (answer.kind, answer.culprit) == (AnswerKind.GOOD_RELEASE, 0)
    assert made[0] > 60


def test_a_single_crash_does_not_make_the_oldest_release_bad():
    answer, _ = walk(lambda i, number: CRASH if number % 8 == 3 and (i or number == 3) else OK)
    assert (answer.kind, answer.culprit) == (AnswerKind.GOOD_RELEASE, 0)


@pytest.mark.parametrize("run", [BOOT, INFRA])
def test_a_release_whose_guests_do_not_come_up_is_passed_soon(run):
    answer, made = walk(lambda i, _: CRASH if i == 4 else run if i >= 2 else OK)
    assert (answer.kind, answer.culprit) == (AnswerKind.GOOD_RELEASE, 1)
    assert made[2] <= 20
    assert made[3] <= 20
