"""Searches for a change of a metric, and what values say: of any distribution, and no run decides alone."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
import worlds

from pytest_kbisect.evidence import level_fit, measured
from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.contrast import Contrast
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run, Verdict
from pytest_kbisect.evidence.steps import Point, chain, steps
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.bayes.metric_levels import MetricLevels, chance_of_step
from pytest_kbisect.strategies.strategy import Answer, AnswerKind
from pytest_kbisect.symptoms.metric import NAME as METRIC

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import metrics

RNG = random.Random(1)


def sample(level: float, count: int, spread: float = 1.0) -> tuple[float, ...]:
    return tuple(RNG.gauss(level, spread) for _ in range(count))


def run(*values: float) -> Run:
    return Run(Outcome.OK, metric="ms higher", values=values, seconds=1)


# -- values --------------------------------------------------------------------------------------------------


def test_ranks_that_chance_explains():
    assert measured.rank_chance(range(10), range(10)) > 0.9
    assert measured.rank_chance(range(10), range(10, 20)) < 1e-3
    assert measured.rank_chance([5.0] * 10, [5.0] * 10) == 1.0


def test_few_values_need_a_gap():
    assert measured.difference((10.0, 10.1, 10.2), (9.0, 9.1, 9.05)).sure
    assert not measured.difference((10.0, 10.1, 10.2), (9.8, 9.9, 9.7)).sure
    assert not measured.difference((10.0, 10.1), (9.0, 9.1)).sure
    assert measured.difference((10.0,) * 3, (9.9,) * 3).sure  # an instruction clock has no noise


def test_equal_distributions_are_hardly_ever_told_apart():
    apart = sum(measured.difference(sample(0, 5), sample(0, 5)).sure for _ in range(2000))
    apart += sum(measured.difference(sample(0, 20), sample(0, 20)).sure for _ in range(1000))
    assert apart <= 6


def test_the_spread_ignores_outliers():
    values = (*sample(100, 50, 2), 300.0, 500.0)
    assert 1.3 < measured.spread([values, sample(50, 30, 2)]) < 2.9
    assert measured.spread([(1.0,), (2.0,)]) == 0


def test_an_interval_holds_the_median():
    held = 0
    for _ in range(500):
        low, high = measured.interval(sample(0, 15))
        held += low <= 0 <= high
    assert held > 0.93 * 500
    assert measured.interval((3.0, 1.0, 2.0)) == (1.0, 3.0)


def test_one_run_says_only_so_much():
    ratio = level_fit.log_ratio((50.0,), 0.05)
    assert abs(ratio) < 1
    assert level_fit.log_ratio((1.0,), 0.05) < 9
    assert level_fit.log_ratio((1.0,) * 50, 0.05) < 12  # nor does one kernel


def test_values_are_like_an_end_or_neither():
    contrast = Contrast((120.0, 121.0, 119.0), (100.0, 101.0, 99.0), higher=True, spread=1.0)
    assert contrast.worse
    assert contrast.verdict((119.5, 121.0)) is Verdict.BAD
    assert contrast.verdict((100.5, 98.0)) is Verdict.GOOD
    assert contrast.verdict((110.0, 110.0)) is Verdict.SKIP
    assert not Contrast(contrast.good, contrast.bad, higher=True, spread=1.0).worse
    assert Contrast(contrast.good, contrast.bad, higher=True, spread=1.0).better


# -- steps ---------------------------------------------------------------------------------------------------


def test_steps_are_found_between_the_commits_that_were_tested():
    levels = {-1: 100.0, 10: 100.0, 20: 110.0, 30: 110.0, 31: 130.0, 40: 130.0}
    found = steps([Point(i, sample(level, 12)) for i, level in levels.items()])
    assert [(step.low, step.high) for step in found] == [(10, 20), (30, 31)]
    assert [round(step.change / 10) for step in found] == [1, 2]


def test_no_step_is_made_of_noise():
    for _ in range(20):
        values = [Point(i, sample(100.0 if i < 5 else 120.0, 10, 5)) for i in range(-1, 10)]
        assert [(step.low, step.high) for step in steps(values)] == [(4, 5)]


def test_a_side_branch_makes_no_step():
    points = [Point(i, (float(i),)) for i in (-1, 0, 1, 2, 3)]
    parents = {0: -1, 1: 0, 2: 0, 3: 2}

    def contains(newer: int, older: int) -> bool:
        while newer in parents:
            newer = parents[newer]
            if newer == older:
                return True
        return False

    assert [point.index for point in chain(points, contains)] == [-1, 0, 2, 3]


# -- searches ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "noise"), [(30, 3), (10, 3), (5, 3), (30, 10)])
@pytest.mark.parametrize("seed", range(2))
def test_a_search_finds_the_step(shift, noise, seed):
    world = metrics.drawn(100, shift, noise, seed, placement=0.0, two=False)
    answer = metrics.trial(world)
    assert metrics.judged(answer, world.culprit) in {"right", "set holds"}
    if shift == 30 and noise == 3:
        assert (answer.culprit, answer.confidence >= 0.95) == (world.culprit, True)
        assert world.runs < 80


def test_two_equal_steps_are_both_candidates_or_one_is_the_answer():
    world = metrics.Benchmarks(60, 20, 10, 1, 0, second=45)
    world.level = lambda i: 100 + 10 * (i >= 20) + 10 * (i >= 45)  # type: ignore[method-assign]
    answer = metrics.trial(world)
    held = {answer.culprit, *(i for i, _ in answer.candidates)}
    assert held & {20, 45}


def ends(history: History, bad, good) -> Evidence:
    evidence = Evidence(history, trusted=True, looked_for=(METRIC,))
    evidence.add(history.bad_end, CommitResult("", tuple(map(run, bad)), "bad"))
    evidence.add(GOOD_END, CommitResult("", tuple(map(run, good)), "good"))
    return evidence


HISTORY = History.line([f"{i:040x}" for i in range(8)])


def test_runs_stop_when_the_ends_do_not_differ():
    strategy = Bayes(HISTORY, prices=Prices())
    evidence = Evidence(HISTORY, trusted=True, looked_for=(METRIC,))
    rng = random.Random(3)

    def kernel(i, runs):
        return worlds.session([run(rng.gauss(100, 5)) for _ in range(runs)], signature=f"s{i}")

    answer, asked = worlds.drive(strategy, evidence, kernel)
    assert answer.kind is AnswerKind.NOT_REPRODUCED
    assert "would have been seen" in answer.reason
    assert {one.commit for one in asked} == {GOOD_END, HISTORY.bad_end}
    assert len(evidence.values(GOOD_END)) == 200


def test_a_constant_metric_needs_no_more_runs():
    answer = Bayes(HISTORY).decide(ends(HISTORY, [7.0] * 5, [7.0] * 5))
    assert isinstance(answer, Answer)
    assert "is 7 in all 10 runs" in answer.reason


def test_the_wrong_direction_is_named():
    answer = Bayes(HISTORY).decide(ends(HISTORY, sample(100, 5), sample(120, 5)))
    assert isinstance(answer, Answer)
    assert answer.kind is AnswerKind.NOT_REPRODUCED
    assert "write metric ms lower" in answer.reason


def test_a_good_end_that_nobody_named_is_bad_already():
    strategy = Bayes(HISTORY, older=0.5)
    answer = strategy.decide(ends(HISTORY, sample(100, 200), sample(100, 200)))
    assert isinstance(answer, Answer)
    assert answer.kind is AnswerKind.BAD_AT_GOOD_END


def test_values_count_as_their_kernel_is():
    evidence = ends(HISTORY, sample(120, 8), sample(100, 8))
    assert evidence.counts(HISTORY.bad_end).matching == 8
    assert evidence.counts(GOOD_END).ok == 8
    evidence.add(3, CommitResult("", tuple(map(run, (110.0, 110.2, 109.9))), "middle"))
    assert evidence.counts(3).unclear == 3
    assert evidence.counts(3).informative == 3


def test_a_step_between_two_kernels():
    contrast = Contrast(sample(120, 8), sample(100, 8), higher=True, spread=1.0)
    model = MetricLevels(contrast)
    assert chance_of_step(model, sample(120, 4), sample(100, 4)) > 0.95
    assert chance_of_step(model, sample(120, 4), sample(119, 4)) < 0.05
    assert chance_of_step(model, sample(120, 4), ()) < 0.95
