"""The commit that tells most about several searches together: against every choice there is."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from worlds import world

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.history.candidates import History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.joint import Asking, Batches, Prospects, choose, joins
from pytest_kbisect.strategies.strategy import Experiment


class Given(Prospects):
    """Bits and seconds as they are given."""

    def __init__(self, bits, seconds, built, *, build=100.0, session=5.0):
        self.bits, self.seconds = np.array(bits), np.array(seconds)
        self.built, self.build, self.session = np.array(built), build, session

    def batches(self, columns=None):
        columns = np.arange(self.bits.shape[1]) if columns is None else columns
        return Batches(tuple(range(1, len(self.bits) + 1)), self.bits[:, columns], self.seconds[:, columns])

    def experiment(self, column, length):
        return Experiment(column, length)


def rate(searches, sha, lengths, ready):
    """Bits per second of a session in which each search has a batch of this length, or none."""
    bits = seconds = 0.0
    for one, length in zip(searches, lengths, strict=True):
        if length is not None:
            column = one.shas.index(sha)
            bits += one.prospects.bits[length - 1, column]
            seconds += one.prospects.seconds[length - 1, column]
    return bits / (seconds + 5.0 + (0 if sha in ready else 100.0))


@pytest.mark.parametrize("seed", range(20))
def test_no_other_session_tells_more_per_second(seed):
    rng = random.Random(seed)
    names = [f"c{n}" for n in range(7)]
    searches = []
    for _ in range(3):
        shas = rng.sample(names, 5)
        bits = [[rng.choice([0, rng.random()]) for _ in shas] for _ in range(2)]
        seconds = [[rng.uniform(1, 60) for _ in shas] for _ in range(2)]
        built = [rng.random() < 0.2 for _ in shas]
        searches.append(Asking(Given(bits, seconds, built), shas))
    ready = {sha for one in searches for sha, b in zip(one.shas, one.prospects.built, strict=True) if b}
    best = max(
        rate(searches, sha, lengths, ready)
        for sha in names
        for lengths in itertools.product(*[(None, 1, 2) if sha in one.shas else (None,) for one in searches])
    )
    found = choose(searches)
    assert found is not None
    lengths = [found.picks[n].length if n in found.picks else None for n in range(3)]
    assert rate(searches, found.sha, lengths, ready) == pytest.approx(best) == pytest.approx(found.rate)
    barred = choose(searches, without=[found.sha])
    assert barred is None or barred.sha != found.sha


def test_none_is_worth_a_test():
    nothing = Asking(Given([[0.0, 0.0]], [[1.0, 1.0]], [False, False]), ["a", "b"])
    assert choose([nothing]) is None
    assert choose([]) is None


def test_a_search_joins_where_its_runs_alone_tell_enough():
    one = Asking(Given([[0.1, 0.5]], [[10.0, 10.0]], [False, False]), ["a", "b"])
    assert joins(one, "b", rate=0.04).column == 1
    assert joins(one, "b", rate=0.06) is None
    assert joins(one, "elsewhere", rate=0.0) is None


def test_a_commit_that_serves_two_is_preferred_to_the_middle_of_one():
    history = History.line([f"c{i:02}" for i in range(64)])
    searches = []
    for low in (0, 32):  # one suspects all commits, the other the newer half
        prior = (np.arange(64) >= low).astype(float)
        strategy = Bayes(history, prices=Prices(build=300, run=5, width=2, session=5), prior=prior)
        evidence = Evidence(history)
        evidence.add(63, world(50)(63, 3))
        searches.append(Asking(strategy.prospects(evidence), (*history.commits, "good")))
    both = choose(searches)
    assert set(both.picks) == {0, 1}
    assert 40 <= history.position[both.sha] <= 52
    assert abs(history.position[choose(searches[:1]).sha] - 31) <= 4


def test_there_are_no_prospects_before_the_bad_end_has_crashed():
    history = History.line(["a", "b"])
    assert Bayes(history).prospects(Evidence(history)) is None


def test_a_kernel_that_another_search_has_built_costs_nothing():
    history = History.line([f"c{i:02}" for i in range(64)])
    strategy, evidence = Bayes(history, prices=Prices(build=300, run=5)), Evidence(history)
    evidence.add(63, world(50)(63, 3))
    asking = Asking(strategy.prospects(evidence), (*history.commits, "good"))
    assert abs(history.position[choose([asking]).sha] - 31) <= 4
    assert choose([asking], built=["c40"]).sha == "c40"
