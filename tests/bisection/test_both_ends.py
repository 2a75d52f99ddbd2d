"""A good end that the user names has not the bug: what crashes there as often as at the bad end is not it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from worlds import CRASH, OK, OTHER, drive, session

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.reference import Reference
from pytest_kbisect.evidence.related import match_crashes
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.strategy import AnswerKind

HISTORY = History.line([f"c{i}" for i in range(40)])
ALIKE = replace(CRASH, title="WARNING: suspicious RCU usage in foo")


def seen(at_bad, at_good, *, trusted=True, reference=None):
    evidence = Evidence(HISTORY, trusted=trusted, reference=reference, matcher=match_crashes)
    evidence.add(HISTORY.bad_end, session(at_bad))
    evidence.add(GOOD_END, session(at_good))
    return evidence


@pytest.mark.parametrize("noise", [OTHER, ALIKE])
def test_a_crash_of_both_ends_is_another_bug(noise):
    evidence = seen([CRASH] * 7 + [noise] * 3, [OK] * 7 + [noise] * 3)
    assert evidence.counts(GOOD_END).matching == evidence.counts(GOOD_END).related == 0
    assert evidence.counts(HISTORY.bad_end).matching == 7


def test_nor_does_it_matter_that_the_good_end_shows_it_more_often():
    evidence = seen([CRASH] * 8 + [OTHER] * 2, [OK] * 5 + [OTHER] * 25)
    assert evidence.counts(GOOD_END).matching == 0
    assert evidence.counts(HISTORY.bad_end).matching == 8


def test_what_the_good_end_contains_has_not_the_bug_either():
    """The parent of a commit that begins a branch older than the good end."""
    evidence = Evidence(HISTORY, trusted=True, matcher=match_crashes)
    evidence.add(HISTORY.bad_end, session([CRASH] * 7 + [OTHER] * 3))
    evidence.add(GOOD_END - 1, session([OK] * 7 + [OTHER] * 3))
    assert evidence.counts(GOOD_END - 1).matching == 0
    assert evidence.counts(HISTORY.bad_end).matching == 7


def test_not_where_nobody_vouches_for_the_good_end():
    evidence = seen([CRASH] * 7 + [OTHER] * 3, [OK] * 7 + [OTHER] * 3, trusted=False)
    assert evidence.counts(GOOD_END).matching == 3


def test_a_good_end_that_shows_all_there_is_has_the_bug():
    evidence = seen([CRASH] * 7 + [OTHER] * 3, [CRASH] * 7 + [OTHER] * 3)
    assert evidence.counts(GOOD_END).matching == 10


def test_a_crash_by_chance_does_not_make_the_bug_another():
    evidence = seen([CRASH] * 8 + [OTHER] * 2, [OK] * 19 + [CRASH])
    assert evidence.counts(HISTORY.bad_end).matching == 10


def test_the_title_that_the_reproducer_names_is_never_another_bug():
    named = Reference(frozenset({OTHER.title}))
    evidence = seen([CRASH] * 7 + [OTHER] * 3, [OK] * 7 + [OTHER] * 3, reference=named)
    assert evidence.counts(GOOD_END).matching == 3


def test_the_culprit_is_found_beside_a_bug_that_is_everywhere():
    def kernel(i, runs):
        return session([OTHER if n % 3 == 1 else CRASH if i >= 23 else OK for n in range(runs)], f"s{i}")

    evidence = Evidence(HISTORY, trusted=True)
    answer, _ = drive(Bayes(HISTORY, prices=Prices(build=300, run=60, width=10)), evidence, kernel)
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, 23)
