"""Chooses several experiments at once, for a machine that builds and runs several kernels in parallel.

With M builders, the M commits should be the most informative ones *together*, not M times the same half. On a
line of equally likely commits these are the cuts at 1/(M+1), 2/(M+1), and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.bayes.choice import WAVES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.history.ancestry import Weights
    from pytest_kbisect.strategies.bayes.run_model import Matrix
    from pytest_kbisect.strategies.bayes.state import State

ROUNDS = 3
"""How often each experiment is chosen again given the others. The choice settles in two rounds."""
MOST = 8
"""Experiments chosen together. Further ones are chosen one by one, each given eight others."""
WORTH = 0.4
"""A running experiment continues if its expected bits are at least this part of the best experiment's."""
LITTLE = 0.1
"""An additional experiment starts only if its expected bits exceed this part of the best one's."""


def spread(state: State, first: int, count: int, running: Sequence[int] = ()) -> tuple[int, ...]:
    """At most `count` different commits whose outcomes together are most informative about the culprit.

    First come the `running` ones that are still worthwhile, then `first`, the best by itself, if it is
    informative in addition to them. Each of the others is chosen given all the others, in turn, until nothing
    changes. An experiment is modelled as a noisy channel whose error rate is that of a batch.
    """
    error = _batch_error(state)
    if state.alternatives.fix:
        error = error[1], error[0]  # a commit that contains the culprit does not crash
    alone = _gains(state, [], error)
    kept = [commit for commit in running if alone[commit] >= WORTH * alone.max()][:count]
    chosen = list(kept)
    if first not in kept and len(kept) < count:
        beside = _gains(state, kept[-MOST:], error) if kept else alone
        if not kept or beside[first] >= WORTH * beside.max():
            chosen.append(first)
    least = LITTLE * float(alone.max())
    while len(chosen) < count:
        more = _best_given(state, chosen[-MOST:], chosen, error, least)
        if more is None:
            break
        chosen.append(more)
    for _ in range(ROUNDS if 1 < len(chosen) <= MOST else 0):
        before = list(chosen)
        for n in range(len(kept), len(chosen)):
            others = chosen[:n] + chosen[n + 1 :]
            better = _best_given(state, others, others, error)
            if better is not None:
                chosen[n] = better
        if chosen == before:
            break
    return tuple(chosen)


def _batch_error(state: State) -> tuple[float, float]:
    """Chances that a batch makes a bad commit look good, and a good one bad."""
    batch, chances = state.model.batch(WAVES[2], state.width), state.posterior.chances
    bad, good = chances @ batch.bad, chances @ batch.good
    looks_bad = bad > good
    return min(float(bad[~looks_bad].sum()), 0.45), min(float(good[looks_bad].sum()), 0.45)


def _best_given(
    state: State, others: list[int], taken: list[int], error: tuple[float, float], least: float = 0.0
) -> int | None:
    """The commit not in `taken` that adds most bits to the experiments at `others`, if more than `least`."""
    gain = _gains(state, others, error)
    order = np.argsort(-gain, kind="stable")
    for i in order[: len(taken) + 1].tolist():
        commit = i if i < len(gain) - 1 else GOOD_END
        if commit not in taken:
            return int(commit) if gain[i] > least else None
    return None


def _gains(state: State, others: list[int], error: tuple[float, float]) -> Weights:
    """The bits that each commit adds to the experiments at `others`. The good end is last."""
    partition, posterior, alternatives = state.partition, state.posterior, state.alternatives
    finer = partition.copy()
    for other in others:
        finer.split(other)
    # The posterior of a class is divided among its parts by their size.
    parents = [tuple(row[: len(partition.tests)]) for row in finer.inside.tolist()]
    known = {
        (tuple(row), weight): each
        for row, weight, each in zip(
            partition.inside.tolist(), partition.weights, posterior.each, strict=True
        )
    }
    each = np.array([known[row, weight] for row, weight in zip(parents, finer.weights, strict=True)])
    masses = np.append(each * finer.sizes, posterior.outside)
    inside = np.append(
        finer.inside[:, len(partition.tests) :],
        np.full((1, len(others)), alternatives.share[0, -1] > 0),
        axis=0,
    )
    cells = _outcomes(inside, error)  # classes x outcomes of the others
    share = finer.share
    share[:, -1] = alternatives.share[0, -1]
    gains: Weights = alternatives.testable * _added(share, masses, cells, error)
    return gains


def _outcomes(inside: Matrix, error: tuple[float, float]) -> Matrix:
    """The chance of every combination of outcomes of the other experiments, by class."""
    missed, fooled = error
    cells = np.ones((len(inside), 1))
    for column in inside.T:
        crash = np.where(column, 1 - missed, fooled)[:, None]
        cells = np.concatenate([cells * crash, cells * (1 - crash)], axis=1)
    return cells


def _added(share: Matrix, masses: Weights, cells: Matrix, error: tuple[float, float]) -> Weights:
    """By commit: the bits that its outcome adds to the others', I(culprit; outcome | others)."""
    missed, fooled = error
    weighted = masses[:, None] * cells
    total = weighted.sum(axis=0)
    bad = share @ weighted  # commits x combinations: mass in which this commit is bad
    crash = bad * (1 - missed) + (total - bad) * fooled
    tells = (_plogp(total) - _plogp(crash) - _plogp(total - crash)).sum(axis=1)
    certain = bad.sum(axis=1)
    lost = certain * _entropy(missed) + (masses.sum() - certain) * _entropy(fooled)
    added: Weights = np.maximum(tells - lost, 0.0)
    return added


def _plogp(values: Matrix) -> Matrix:
    safe = np.maximum(values, 1e-300)
    result: Matrix = safe * np.log2(safe)
    return result


def _entropy(chance: float) -> float:
    return float(-sum(_plogp(np.array([chance, 1 - chance]))))
