"""The next experiment: the one that tells most about the culprit per second it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.bisection.strategy import GOOD_END

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
LATER = 0.75
"""What a bit counts that more runs tell of a kernel that is there, or will be: they can be made later too,
and what other commits show may have made them needless by then."""


@dataclass(frozen=True)
class Choice:
    """A batch at a commit, and what speaks for it: expected bits about the culprit, and expected seconds."""

    commit: int
    waves: int
    bits: float
    seconds: float

    @property
    def rate(self) -> float:
        """Bits a second."""
        return self.bits / self.seconds


def best(state: State) -> Choice | None:
    """The experiment with the most information per second; None where none is worth making.

    All commits are weighed with few lengths of a batch, the best of them and all built ones with every
    length.
    """
    wanted = np.flatnonzero(state.alternatives.built)
    for batch in _batches(state, state.alternatives, FEW_WAVES):
        wanted = np.union1d(wanted, np.argsort(-batch.worth, kind="stable")[:FINALISTS])
    return best_of(wanted, state)


def best_of(rows: NDArray[np.intp], state: State) -> Choice | None:
    """The same of some commits only, given as rows of the alternatives (the good end is the last one)."""
    found: Choice | None = None
    most = 0.0
    for batch in _batches(state, state.alternatives.of(rows), WAVES):
        i = int(np.argmax(batch.worth))
        if batch.worth[i] > most:
            most = float(batch.worth[i])
            commit = int(rows[i]) if rows[i] < len(state.alternatives.built) - 1 else GOOD_END
            found = Choice(commit, batch.waves, float(batch.bits[i]), float(batch.seconds[i]))
    return found


@dataclass(frozen=True)
class _Batch:
    """What batches of up to `waves` waves are expected to tell and to take, by commit.

    `worth` is bits a second, where those of a kernel's first wave count in full and all others as LATER; 0
    where fewer than LEAST_BITS are expected.
    """

    waves: int
    bits: Weights
    seconds: Weights
    worth: Weights


def _batches(state: State, alternatives: Alternatives, lengths: Sequence[int]) -> Iterator[_Batch]:
    """Batches of these lengths, by commit."""
    prices, testable, built = state.prices, alternatives.testable, alternatives.built
    one = _information(state, alternatives, 1)
    first = np.where(built, 0.0, one[0])
    for waves in lengths:
        told, spent = one if waves == 1 else _information(state, alternatives, waves)
        bits = testable * told
        seconds = np.where(built, 0.0, prices.build)
        seconds += testable * (prices.session + spent * prices.run / alternatives.speaks)
        # What is not worth a test any more costs nothing either.
        seconds = np.maximum(seconds, 1e-9)
        counted = testable * (first + LATER * np.maximum(told - first, 0.0))
        yield _Batch(waves, bits, seconds, np.where(bits >= LEAST_BITS, counted / seconds, 0.0))


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
