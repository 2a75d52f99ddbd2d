"""Verdicts from elsewhere: they save experiments where they are right, and are outvoted where not."""

from __future__ import annotations

import random

import numpy as np
import pytest
from graphs import random_parents
from worlds import CRASH, OK, drive, session, world

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.known_verdict import KnownVerdict
from pytest_kbisect.evidence.outcome import Verdict
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.strategy import AnswerKind

HISTORY = History.line([f"c{i:03}" for i in range(200)])
PRICES = Prices(build=300, run=60, width=10)


def said(commit: int, culprit: int, *, right: bool = True, **more) -> KnownVerdict:
    bad = (commit >= culprit) == right
    return KnownVerdict(commit, Verdict.BAD if bad else Verdict.GOOD, **more)


def builds(asked) -> int:
    return len({experiment.commit for experiment in asked})


@pytest.mark.parametrize("culprit", [3, 93, 198])
def test_right_ones_save_builds(culprit: int) -> None:
    known = [said(i, culprit) for i in (99, 49, 149, culprit - 2, culprit + 1)]
    answer, asked = drive(Bayes(HISTORY, prices=PRICES, known=known), Evidence(HISTORY), world(culprit))
    _, without = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), world(culprit))
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, culprit)
    assert builds(asked) < builds(without) - 1


@pytest.mark.parametrize("wrong", [[60], [150], [60, 61, 62], [150, 151]])
def test_wrong_ones_are_outvoted(wrong: list[int]) -> None:
    culprit = 93
    known = [said(i, culprit, right=False) for i in wrong] + [said(199, culprit)]
    answer, _ = drive(Bayes(HISTORY, prices=PRICES, known=known), Evidence(HISTORY), world(culprit))
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, culprit)
    assert answer.confidence >= 0.95


def test_a_few_good_runs_say_little_of_a_flaky_bug() -> None:
    """Once it is known how flaky it is."""
    evidence = Evidence(HISTORY)
    evidence.add(199, session([CRASH] * 4 + [OK] * 36, signature="end"))

    def before(known: KnownVerdict) -> float:
        """How likely the culprit is among the commits that it calls good."""
        return float(Bayes(HISTORY, known=[known]).likelihood(evidence)[:100].sum())

    plain = before(KnownVerdict(99, Verdict.GOOD))
    few, many = (before(KnownVerdict(99, Verdict.GOOD, runs)) for runs in (3, 60))
    assert plain == pytest.approx(0.1, abs=0.01), "one in ten is wrong"
    assert 0.4 < few < 0.5
    assert plain < many < 0.2
    bad = before(KnownVerdict(99, Verdict.BAD, 3))
    assert bad > 0.85, "that it was seen needs no more runs"
    believed = before(KnownVerdict(99, Verdict.GOOD, trust=0.99))
    assert believed == pytest.approx(0.01, abs=0.005)


def test_of_a_fix(history: History = HISTORY) -> None:
    culprit = 93
    evidence = Evidence(history, reported=GOOD_END)
    known = [KnownVerdict(50, Verdict.BAD), KnownVerdict(120, Verdict.GOOD)]
    evidence.add(GOOD_END, session([CRASH] * 4, signature="a"))
    likely = Bayes(history, fix=True, known=known).likelihood(evidence)
    assert likely[51:121].sum() > 0.75 * likely.sum()

    def kernel(i, runs):
        return session([OK if i >= culprit else CRASH] * runs, signature=f"s{i}")

    answer, _ = drive(
        Bayes(history, prices=PRICES, fix=True, known=known), Evidence(history, reported=GOOD_END), kernel
    )
    assert answer.culprit == culprit


def test_on_any_graph_they_are_as_good_as_their_trust() -> None:
    """Verdicts each of which is right with its trust: the answers are as sure as they say."""
    rng = random.Random(7)
    right = sure = 0.0
    for _ in range(60):
        parents = tuple(row or (GOOD_END,) for row in random_parents(rng, rng.randrange(20, 80)))
        history = History(tuple(f"{i:040x}" for i in range(len(parents))), parents)
        culprit = rng.choice(np.flatnonzero(history.suspects).tolist())
        places = rng.sample(range(len(history)), 6)
        known = []
        for i in places:
            bad = bool(history.ancestry.ancestors(i)[culprit]) == (rng.random() < 0.9)
            known.append(KnownVerdict(i, Verdict.BAD if bad else Verdict.GOOD, trust=0.9))

        def kernel(i, runs, history=history, culprit=culprit):
            bad = i >= 0 and history.ancestry.ancestors(i)[culprit]
            return session([CRASH if bad else OK] * runs, signature=f"s{i}")

        answer, _ = drive(Bayes(history, prices=PRICES, known=known), Evidence(history), kernel)
        right += answer.culprit == culprit
        sure += answer.confidence
    assert right >= sure - 3
