"""Several builders: rounds against log2(M + 1), and building ahead."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from worlds import world

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.history.candidates import History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.strategy import Answer

HISTORY = History.line([f"c{i:04}" for i in range(1000)])
PRICES = Prices(build=300, run=60, width=10)


def rounds(builders, culprit):
    evidence, strategy, kernel, count = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES), world(culprit), 0
    while True:
        what = strategy.batch(evidence, builders)
        if isinstance(what, Answer):
            assert what.culprit == culprit
            return count
        assert len({experiment.commit for experiment in what}) == len(what) <= builders
        for experiment in what:
            evidence.add(experiment.commit, kernel(experiment.commit, experiment.runs))
        count += 1


@pytest.mark.parametrize("builders", [1, 2, 3, 7])
def test_rounds_shrink_with_the_logarithm_of_builders(builders):
    """One round is the bad end's; one more may be wanted to be sure."""
    assert rounds(builders, 613) <= math.ceil(10 / math.log2(builders + 1)) + 2


def test_cuts_are_evenly_spread():
    evidence, strategy, kernel = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES), world(613)
    evidence.add(999, kernel(999, 10))
    commits = sorted(experiment.commit for experiment in strategy.batch(evidence, 3))
    assert commits == pytest.approx([250, 500, 750], abs=50)


def test_what_still_tells_much_is_gone_on_with():
    evidence, strategy, kernel = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES), world(613)
    evidence.add(999, kernel(999, 10))
    low, high = sorted(experiment.commit for experiment in strategy.batch(evidence, 2))
    evidence.add(low, kernel(low, 10))  # good
    assert high in {experiment.commit for experiment in strategy.batch(evidence, 2, running=[high])}
    evidence.add(high, kernel(high, 10))  # bad
    between = {experiment.commit for experiment in strategy.batch(evidence, 2, running=[low // 2])}
    assert low // 2 not in between
    assert all(low < commit < high for commit in between)


def seconds(builders, culprit):
    """What a bisection takes by the clock on a machine for so many builders, whoever ends first."""
    evidence, strategy, kernel = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES), world(culprit)
    now, running = 0.0, {}
    while True:
        what = strategy.batch(evidence, builders, tuple(running))
        if isinstance(what, Answer):
            assert what.culprit == culprit
            return now
        running = {e.commit: running.get(e.commit) or (now + 300 + 6 * e.runs, e.runs) for e in what}
        commit = min(running, key=lambda commit: running[commit][0])
        now, runs = running.pop(commit)
        evidence.add(commit, kernel(commit, runs))


def test_several_builders_take_less_time():
    alone, two, four = (sum(seconds(n, culprit) for culprit in (77, 613)) for n in (1, 2, 4))
    assert two < 0.75 * alone
    assert four < 0.62 * alone


def slow(culprit):
    """Kernels whose runs take as long as some builds."""
    kernel = world(culprit)

    def found(i, runs):
        seen = kernel(i, runs)
        return replace(seen, runs=tuple(replace(run, seconds=60.0) for run in seen.runs))

    return found


def test_builds_ahead_what_is_tested_next():
    evidence, strategy, kernel = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES), slow(613)
    evidence.add(999, kernel(999, 10))
    for _ in range(6):
        experiment = strategy.decide(evidence)
        ahead = strategy.foresee(evidence, experiment)
        assert len(ahead) <= 2
        evidence.add(experiment.commit, kernel(experiment.commit, experiment.runs))
        following = strategy.decide(evidence)
        assert following.commit in ahead or evidence.builds(following.commit)


def test_builds_nothing_ahead_where_the_runs_are_over_first():
    evidence, strategy, kernel = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES), world(613)
    evidence.add(999, kernel(999, 10))
    assert strategy.foresee(evidence, strategy.decide(evidence)) == ()
