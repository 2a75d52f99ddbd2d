"""Crash chances and noise that change along the history, and what may be said of the culprit then."""

from __future__ import annotations

import numpy as np
import pytest
from worlds import CRASH, OK, session

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.strategy import AnswerKind

HISTORY = History.line([f"c{i:03}" for i in range(100)])


def seen(runs, **options):
    """Evidence of so many crashes in so many runs, by commit."""
    evidence = Evidence(HISTORY, **options)
    for i, (crashes, of) in runs.items():
        made = [CRASH] * crashes + [OK] * (of - crashes)
        evidence.add(i, session(made, signature=f"s{i}"))
    return evidence


def likelihood(evidence, **options):
    return Bayes(HISTORY, prices=Prices(width=10), **options).likelihood(evidence)


def test_where_the_bug_becomes_easier_to_hit_the_first_trace_is_a_suspect():
    """A twentieth of the runs from 31 on, where older commits never crash; half of them from 71 on."""
    evidence = seen(
        {99: (50, 100), 71: (10, 20), 70: (6, 100), 31: (5, 100), 30: (0, 100), GOOD_END: (0, 100)}
    )
    each = likelihood(evidence)
    assert each[31] > 0.3
    assert each[71] < 0.6


def test_what_may_be_noise_of_a_region_leaves_the_answer_open():
    evidence = seen(
        {99: (20, 100), 71: (20, 100), 70: (5, 100), 31: (5, 100), 30: (0, 100), GOOD_END: (0, 100)}
    )
    answer = Bayes(HISTORY, prices=Prices(width=10)).conclude(evidence)
    assert answer.kind is AnswerKind.CANDIDATES
    assert {31, 71} <= {i for i, _ in answer.candidates}


def test_noise_of_the_whole_range_stays_noise():
    evidence = seen({99: (20, 100), 71: (20, 100), 70: (5, 100), 30: (5, 100), GOOD_END: (5, 100)})
    each = likelihood(evidence)
    assert each[71] > 0.75
    assert each[31] < 0.01


def test_of_a_fix_the_last_trace_is_a_suspect():
    """The bug gets rare, then it is gone: either may be the fix."""
    runs = {GOOD_END: (50, 100), 30: (50, 100), 31: (6, 100), 70: (6, 100), 71: (0, 100), 99: (0, 100)}
    each = likelihood(seen(runs, reported=GOOD_END), fix=True)
    assert each[71] > 0.3
    assert each[31] < 0.6


@pytest.mark.parametrize("runs", [10, 60])
def test_the_more_runs_at_the_parent_the_less_may_be_hidden_behind_it(runs):
    few = likelihood(seen({99: (10, 10), 50: (10, 10), 49: (0, 10), 20: (0, 10)}))
    more = likelihood(seen({99: (10, 10), 50: (10, 10), 49: (0, 10 + runs), 20: (0, 10)}))
    assert 0.9 < few[50] < more[50]


def test_probabilities_are_probabilities():
    evidence = seen({99: (4, 10), 80: (1, 10), 60: (0, 30), 40: (2, 20), GOOD_END: (0, 10)})
    each = likelihood(evidence)
    assert np.all(each >= 0)
    assert 0.9 < each.sum() <= 1 + 1e-9
