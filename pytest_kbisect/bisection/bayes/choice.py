"""The next experiment: the one that tells most about the culprit per second it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.bisection.strategy import GOOD_END

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_kbisect.bisection.ancestry import Weights
    from pytest_kbisect.bisection.bayes.crashchance import Matrix
    from pytest_kbisect.bisection.bayes.state import Alternatives, State

WAVES = (1, 2, 3, 5, 8, 13, 21, 34, 55)
"""Lengths of a batch that are considered. A batch ends with the first wave that crashes."""
FEW_WAVES = (1, 3, 13)
"""Those with which all commits are looked at."""
FINALISTS = 64
"""Commits, for each of these lengths, that are looked at with all of them."""
LEAST_BITS = 0.005
"""An experiment expected to tell less is not worth making: what is left cannot be told apart."""


@dataclass(frozen=True)
class Choice:
    """A batch at a commit, and what speaks for it: expected bits about the culprit, and bits a second."""

    commit: int
    waves: int
    bits: float
    rate: float


def best(state: State) -> Choice | None:
    """The experiment with the most information per second; None where none is worth making.

    All commits are weighed with few lengths of a batch, the best of them and all built ones with every
    length.
    """
    wanted = np.flatnonzero(state.alternatives.built)
    for waves in FEW_WAVES:
        rate, _ = _rates(state, state.alternatives, waves)
        wanted = np.union1d(wanted, np.argsort(-rate, kind="stable")[:FINALISTS])
    return best_of(wanted, state)


def best_of(rows: NDArray[np.intp], state: State) -> Choice | None:
    """The same of some commits only, given as rows of the alternatives (the good end is the last one)."""
    finalists = state.alternatives.of(rows)
    found: Choice | None = None
    for waves in WAVES:
        rate, expected = _rates(state, finalists, waves)
        i = int(np.argmax(rate))
        if rate[i] > 0 and (found is None or rate[i] > found.rate):
            commit = int(rows[i]) if rows[i] < len(state.alternatives.built) - 1 else GOOD_END
            found = Choice(commit, waves, float(expected[i]), float(rate[i]))
    return found


def _rates(state: State, alternatives: Alternatives, waves: int) -> tuple[Weights, Weights]:
    """By commit, for a batch of up to `waves` waves: expected bits a second, and expected bits.

    Where fewer than LEAST_BITS are expected there are 0 bits a second.
    """
    prices = state.prices
    bits, spent = _information(state, alternatives, waves)
    cost = np.where(alternatives.built, 0.0, prices.build)
    cost += alternatives.testable * (prices.session + spent * prices.run / alternatives.speaks)
    expected = alternatives.testable * bits
    # What is not worth a test any more costs nothing either.
    return np.where(expected >= LEAST_BITS, expected / np.maximum(cost, 1e-9), 0.0), expected


def _information(state: State, alternatives: Alternatives, waves: int) -> tuple[Weights, Weights]:
    """By commit: bits a batch is expected to tell about the culprit, and waves it is expected to take.

    Exact for the model: I(culprit; outcome) = H(outcome) - H(outcome | culprit), the crash chance
    and the noise averaged out.
    """
    posterior, batch = state.posterior, state.model.batch(waves, state.width)
    share = 1 - alternatives.share if alternatives.fix else alternatives.share  # where it crashes
    masses = posterior.classes
    bad, good = posterior.joint @ batch.bad, posterior.joint @ batch.good  # classes x outcomes
    known_bad, known_good = _entropy(bad, masses), _entropy(good, masses)
    outcome = share @ (bad - good) + good.sum(axis=0)
    bits = _entropy(outcome, np.ones(len(outcome))) - (share @ (known_bad - known_good) + known_good.sum())
    waves_bad, waves_good = posterior.joint @ batch.waves_bad, posterior.joint @ batch.waves_good
    spent = share @ (waves_bad - waves_good) + waves_good.sum()
    return np.maximum(bits, 0.0), spent


def _entropy(rows: Matrix, totals: Weights) -> Weights:
    """Entropy in bits of each row, times its total, where rows sum to `totals`."""
    rows = np.maximum(rows, 1e-300)
    totals = np.maximum(totals, 1e-300)
    bits: Weights = -(rows * np.log2(rows / totals[:, None])).sum(axis=1)
    return bits
