"""Regions whose kernels boot and cannot show the bug: another crash is first, or its code not reached."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from worlds import CRASH, OK, OTHER, drive, session

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.outcome import Outcome, Run
from pytest_kbisect.history.candidates import History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.strategy import AnswerKind

HISTORY = History.line([f"c{i:03}" for i in range(200)])
SILENT = Run(Outcome.OK, message="silent", seconds=1)


class Watched(Evidence):
    """Evidence of which it is known whether runs reach the code."""

    def count(self, runs):
        made = list(runs)
        heard = [run for run in made if run.message != SILENT.message]
        return replace(super().count(heard), silent=len(made) - len(heard))


def dark(region, culprit, run):
    def kernel(i, runs):
        ends = run if i in region else CRASH if i >= culprit else OK
        return session([ends] * runs, signature=f"s{i}")

    return kernel


@pytest.mark.parametrize("width", [1, 2, 10])
@pytest.mark.parametrize("run", [OTHER, SILENT])
def test_a_dark_region_is_recognised_after_a_few_runs_and_left(run, width):
    region = range(70, 140)
    strategy = Bayes(HISTORY, prices=Prices(build=300, run=5, width=width))
    answer, asked = drive(strategy, Watched(HISTORY), dark(region, 170, run))
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, 170)
    inside = [experiment for experiment in asked if experiment.commit in region]
    assert len({experiment.commit for experiment in inside}) <= 3
    for commit in {experiment.commit for experiment in inside}:
        assert sum(one.commit == commit for one in inside) <= 2
        assert sum(one.runs for one in inside if one.commit == commit) <= max(6, width)


@pytest.mark.parametrize("run", [OTHER, SILENT])
@pytest.mark.parametrize("culprit", [75, 110, 140])
def test_a_region_that_hides_the_culprit_costs_little_more_than_a_search(run, culprit):
    """Its commits, and the one behind it, are equally likely: all of them are listed."""
    region = range(75, 140)
    strategy = Bayes(HISTORY, prices=Prices(build=300, run=60, width=10))
    answer, asked = drive(strategy, Watched(HISTORY), dark(region, culprit, run))
    assert answer.kind is AnswerKind.CANDIDATES
    assert {i for i, _ in answer.candidates} >= {*region, 140}
    assert len({experiment.commit for experiment in asked}) <= 14


def test_the_exact_edges_of_a_wide_dark_region_are_not_worth_their_builds():
    history, region = History.line([f"c{i:03}" for i in range(300)]), range(100, 190)
    strategy = Bayes(history, prices=Prices(build=300, run=60, width=10))
    answer, asked = drive(strategy, Watched(history), dark(region, 150, OTHER))
    assert {i for i, _ in answer.candidates} >= {*region, 190}
    assert len(answer.candidates) <= 1.2 * len(region)
    assert len({experiment.commit for experiment in asked}) <= 14


def test_of_equally_likely_commits_all_are_listed_or_none():
    evidence = Evidence(HISTORY)
    for i, run in ((199, CRASH), (60, OK), (100, CRASH)):
        evidence.add(i, session([run] * 10, signature=f"s{i}"))
    candidates = Bayes(HISTORY).conclude(evidence).candidates
    assert {i for i, _ in candidates} == set(range(61, 101))


def test_a_batch_where_others_said_nothing_is_longer_than_the_last():
    """Half of the runs are masked: they are no reason to start session after session of two runs."""
    rng = random.Random(5)

    def kernel(i, runs):
        bug = [CRASH if i >= 77 and rng.random() < 0.3 else OK for _ in range(runs)]
        made = [OTHER if i < 199 and rng.random() < 0.8 else run for run in bug]
        return session(made, signature=f"s{i}")

    answer, asked = drive(Bayes(HISTORY, prices=Prices(width=2)), Evidence(HISTORY), kernel)
    assert answer.culprit == 77
    commits = [experiment.commit for experiment in asked if experiment.commit != 199]
    assert max(map(commits.count, commits)) <= 8


def test_a_kernel_that_showed_the_bug_once_is_not_dark():
    evidence = Evidence(HISTORY)
    evidence.add(199, session([CRASH] * 10, signature="s199"))
    evidence.add(100, session([CRASH] + [OTHER] * 9, signature="s100"))
    strategy = Bayes(HISTORY)
    assert strategy.chance_of_bug(evidence, 100) > 0.9
