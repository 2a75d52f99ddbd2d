"""The next experiment: the one that tells most about the culprit per second it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.bisection.strategy import GOOD_END

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_kbisect.bisection.ancestry import Flags, Weights
    from pytest_kbisect.bisection.bayes.crashchance import CrashChance, Matrix
    from pytest_kbisect.bisection.bayes.posterior import Posterior
    from pytest_kbisect.bisection.evidence import Prices

WAVES = (1, 2, 3, 5, 8, 13, 21, 34, 55)
"""Lengths of a batch that are considered. A batch ends with the first wave that crashes."""
FEW_WAVES = (1, 3, 13)
FINALISTS = 64


@dataclass(frozen=True)
class Choice:
    """A batch at a commit, and what speaks for it: expected bits about the culprit, and bits a second."""

    commit: int
    waves: int
    bits: float
    rate: float


@dataclass(frozen=True)
class Options:
    """What could be tested. Arrays by commit, the good end last.

    `share[i, k]` is the part of class k that i contains (the last column is for no culprit in
    the range: 1 where every commit crashes for being bad); `testable` chances; `built` kernels cost no
    build any more; of their runs the part `speaks` can be expected to be evidence, of those that come
    up; with `fix` commits that contain the culprit do not crash.
    """

    share: Matrix
    testable: Weights
    built: Flags
    speaks: Weights
    fix: bool = False

    def of(self, commits: NDArray[np.intp]) -> Options:
        """The same of some commits."""
        return Options(
            self.share[commits], self.testable[commits], self.built[commits], self.speaks[commits], self.fix
        )


def best(
    model: CrashChance, posterior: Posterior, options: Options, prices: Prices, width: int, least: float
) -> Choice | None:
    """The experiment with the most information per second; None where none is expected to tell `least` bits.

    `width` is the number of runs of a wave that can be expected to be evidence. All commits are
    weighed with few lengths of a batch, the best of them and all built ones with every length.
    """
    wanted = np.flatnonzero(options.built)
    for waves in FEW_WAVES:
        rate, _ = _rates(model, posterior, options, prices, width, least, waves)
        wanted = np.union1d(wanted, np.argsort(-rate, kind="stable")[:FINALISTS])
    return best_of(wanted, model, posterior, options, prices, width, least)


def best_of(
    wanted: NDArray[np.intp],
    model: CrashChance,
    posterior: Posterior,
    options: Options,
    prices: Prices,
    width: int,
    least: float,
) -> Choice | None:
    """The same of some commits only, in the order of the options' rows."""
    finalists = options.of(wanted)
    found: Choice | None = None
    for waves in WAVES:
        rate, expected = _rates(model, posterior, finalists, prices, width, least, waves)
        i = int(np.argmax(rate))
        if rate[i] > 0 and (found is None or rate[i] > found.rate):
            commit = int(wanted[i]) if wanted[i] < len(options.built) - 1 else GOOD_END
            found = Choice(commit, waves, float(expected[i]), float(rate[i]))
    return found


def _rates(
    model: CrashChance,
    posterior: Posterior,
    options: Options,
    prices: Prices,
    width: int,
    least: float,
    waves: int,
) -> tuple[Weights, Weights]:
    """By commit: expected bits a second of a batch of up to `waves` waves, 0 under `least`; expected bits."""
    bits, spent = information(model, posterior, options, waves, width)
    cost = np.where(options.built, 0.0, prices.build)
    cost += options.testable * (prices.session + spent * prices.run / options.speaks)
    expected = options.testable * bits
    # What is not worth a test any more costs nothing either.
    return np.where(expected >= least, expected / np.maximum(cost, 1e-9), 0.0), expected


def information(
    model: CrashChance, posterior: Posterior, options: Options, waves: int, width: int
) -> tuple[Weights, Weights]:
    """By commit: bits a batch is expected to tell about the culprit, and waves it is expected to take.

    Exact for the model: I(culprit; outcome) = H(outcome) - H(outcome | culprit), the crash chance
    and the noise averaged out.
    """
    plan = model.plan(waves, width)
    share = 1 - options.share if options.fix else options.share  # where it crashes
    masses = posterior.classes
    bad, good = posterior.joint @ plan.bad, posterior.joint @ plan.good  # classes x outcomes
    known_bad, known_good = _entropy(bad, masses), _entropy(good, masses)
    outcome = share @ (bad - good) + good.sum(axis=0)
    bits = _entropy(outcome, np.ones(len(outcome))) - (share @ (known_bad - known_good) + known_good.sum())
    waves_bad, waves_good = posterior.joint @ plan.waves_bad, posterior.joint @ plan.waves_good
    spent = share @ (waves_bad - waves_good) + waves_good.sum()
    return np.maximum(bits, 0.0), spent


def _entropy(rows: Matrix, totals: Weights) -> Weights:
    """Entropy in bits of each row, times its total, where rows sum to `totals`."""
    rows = np.maximum(rows, 1e-300)
    totals = np.maximum(totals, 1e-300)
    bits: Weights = -(rows * np.log2(rows / totals[:, None])).sum(axis=1)
    return bits
