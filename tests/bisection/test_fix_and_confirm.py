"""Looking for the repair, budgets, and the confirmation of an answer."""

from __future__ import annotations

import pytest
from worlds import BOOT, CRASH, OK, OTHER, drive, session, world

from pytest_kbisect.bisection.reverting import RevertCheck
from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.reference import Reference
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.bayes.confirm import Confirmation
from pytest_kbisect.strategies.classic import Classic
from pytest_kbisect.strategies.strategy import Answer, AnswerKind

HISTORY = History.line([f"c{i:03}" for i in range(100)])
PRICES = Prices(build=300, run=60, width=10)


def repaired(at):
    def kernel(i, runs):
        return session([OK if i >= at else CRASH] * runs, signature=f"s{i}")

    return kernel


@pytest.mark.parametrize("strategy", [Bayes(HISTORY, prices=PRICES, fix=True), Classic(HISTORY, fix=True)])
@pytest.mark.parametrize("at", [0, 1, 42, 99])
def test_finds_the_repair(strategy, at):
    answer, asked = drive(strategy, Evidence(HISTORY, reported=GOOD_END), repaired(at))
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, at)
    assert asked[0].commit == GOOD_END
    assert len({experiment.commit for experiment in asked}) <= 10


@pytest.mark.parametrize("strategy", [Bayes(HISTORY, prices=PRICES, fix=True), Classic(HISTORY, fix=True)])
def test_not_repaired(strategy):
    answer, asked = drive(strategy, Evidence(HISTORY, reported=GOOD_END), repaired(1000))
    assert answer.kind is AnswerKind.NOT_FIXED
    assert any(experiment.commit == HISTORY.bad_end for experiment in asked)


@pytest.mark.parametrize("strategy", [Bayes(HISTORY, prices=PRICES, fix=True), Classic(HISTORY, fix=True)])
def test_end_that_should_be_repaired_cannot_be_tested(strategy):
    def kernel(i, runs):
        return session([BOOT if i >= 50 else CRASH] * runs, signature=f"s{i}")

    answer, asked = drive(strategy, Evidence(HISTORY, reported=GOOD_END), kernel)
    assert answer.kind is AnswerKind.UNTESTABLE
    tested = {experiment.commit for experiment in asked}
    assert {GOOD_END, HISTORY.bad_end} <= tested
    assert len(tested) <= 8


@pytest.mark.parametrize("strategy", [Bayes(HISTORY, prices=PRICES, fix=True), Classic(HISTORY, fix=True)])
def test_nothing_to_repair(strategy):
    answer, _ = drive(strategy, Evidence(HISTORY, reported=GOOD_END), repaired(GOOD_END))
    assert answer.kind is AnswerKind.NOT_REPRODUCED


def test_a_budget_that_ends_first_gets_what_is_known():
    evidence, strategy, kernel = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES), world(42)
    assert strategy.conclude(evidence).kind is AnswerKind.UNTESTABLE
    sizes = []
    for _ in range(30):
        what = strategy.decide(evidence)
        if isinstance(what, Answer):
            break
        evidence.add(what.commit, kernel(what.commit, what.runs))
        known = strategy.conclude(evidence)
        assert 42 in {i for i, _ in known.candidates}
        sizes.append(len(known.candidates))
    assert sizes[0] > 90
    assert sizes[-1] <= 2
    assert strategy.conclude(evidence) == what


def test_culprit_and_parent_are_tested_until_their_own_runs_convince():
    evidence, kernel = Evidence(HISTORY), world(42)
    evidence.add(99, kernel(99, 10))
    confirmation = Confirmation(evidence, 42, confidence=0.95)
    asked = []
    while (what := confirmation.decide(runs=5)) is not None:
        asked.append(what.commit)
        evidence.add(what.commit, kernel(what.commit, what.runs))
    assert set(asked) == {41, 42}
    assert all(own.probability >= 0.95 for own in confirmation.odds())
    assert confirmation.confidence(0.97) == 0.97


def test_the_parent_of_a_certain_crash_is_run_more_often_than_once():
    """The bug may have been there before, and much harder to hit: a few runs would not have shown it."""
    evidence, kernel = Evidence(HISTORY), world(42)
    for i in (99, 42, 41):
        evidence.add(i, kernel(i, 10))
    confirmation = Confirmation(evidence, 42, confidence=0.95)
    assert all(own.probability >= 0.95 for own in confirmation.odds())
    while (what := confirmation.decide(runs=5)) is not None:
        assert what.commit == 41
        evidence.add(what.commit, kernel(what.commit, what.runs))
    ran = evidence.own_counts(41).total
    assert (1 - 0.25) ** ran < 0.02
    assert ran <= 60


def test_what_a_confirmation_finds_is_evidence_and_may_change_the_answer():
    """A parent that crashes after all: the answer is the strategy's, from all runs."""
    evidence, strategy = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES)
    for i, crashes, runs in ((99, 10, 10), (42, 10, 10), (41, 0, 10), (20, 0, 10), (GOOD_END, 0, 10)):
        evidence.add(i, session([CRASH] * crashes + [OK] * (runs - crashes), signature=f"s{i}"))
    before = strategy.conclude(evidence)
    assert before.culprit == 42
    evidence.add(41, session([CRASH] * 6 + [OK] * 24, signature="s41"))
    after = strategy.conclude(evidence)
    assert after.culprit is None
    assert {i for i, _ in after.candidates} >= set(range(21, 42))


def test_a_parent_whose_runs_say_nothing_is_left_alone():
    """Somebody else's crash in each of them: two hundred would say no more than the first ones."""
    evidence, kernel = Evidence(HISTORY), world(42)
    for i in (99, 42):
        evidence.add(i, kernel(i, 10))
    confirmation = Confirmation(evidence, 42, confidence=0.95)
    asked = 0
    while (what := confirmation.decide(runs=4)) is not None:
        assert what.commit == 41
        asked += what.runs
        evidence.add(41, session([OTHER] * what.runs, signature="s41"))
    assert asked == 4
    assert confirmation.confidence(0.97) == pytest.approx(0.5)


def test_first_commit_is_confirmed_against_the_good_end():
    evidence = Evidence(HISTORY)
    evidence.add(99, world(0)(99, 10))
    assert [own.commit for own in Confirmation(evidence, 0, confidence=0.95).odds()] == [0, GOOD_END]


@pytest.mark.parametrize(
    ("fix", "runs", "chance", "outcome"),
    [
        (False, [OK] * 7, 0.5, "passed"),
        (False, [OK] * 60, 0.02, "unclear"),
        (False, [OK] * 60 + [CRASH], 0.02, "crashed"),
        (True, [OK] * 60, 0.02, "unclear"),
        (True, [OK] * 7, 0.5, "crashed"),
        (True, [OK, CRASH], 0.02, "passed"),
        (False, [OTHER] * 5 + [OK] * 2, 0.5, "unclear"),
        (False, [BOOT] * 5, 0.5, "unclear"),
    ],
)
def test_what_a_revert_shows(fix, runs, chance, outcome):
    """Runs without the crash show that it is gone only if it would have come."""
    evidence = Evidence(HISTORY, reference=Reference(frozenset({CRASH.title})))
    check = RevertCheck.of(session(runs), evidence.count(runs), chance=chance, fix=fix)
    assert check.outcome == outcome
    assert bool(check.why) == (outcome == "unclear")
