"""Hypotheses with a second commit that changes the crash chance or the noise.

A commit between the culprit and the bad end may make the bug easier to hit. Then older commits that have the
bug look good, and that commit looks like the culprit. Or an unrelated commit in the range may start or stop
crashes that look like the bug's. Both look the same in the runs: commits that never crash, then commits that
crash rarely, then commits that crash often. Only the priors and the chances themselves decide which of the
two steps is the culprit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_kbisect.history.ancestry import Flags, Weights
    from pytest_kbisect.strategies.bayes.run_model import Levels, Matrix, RunModel, Seen

EASIER = 0.2
"""Prior that a commit in the bad part permanently changes the crash chance."""
NOISIER = 0.1
"""Prior that the noise changes at a commit."""
_APART = 2
"""The levels before and after must differ by this many steps of the grid. Less is not a change."""


@dataclass(frozen=True)
class Runs:
    """What the runs of tested kernels t say (`seen`), and the kernels' kinds.

    `bad[k, t]`: t has the bug if the culprit is of class k. `near[s, t]`: if t is bad, it is on the culprit's
    side of a second commit of class s. `second[s]`: the prior of that class.
    """

    seen: Seen
    bad: Flags
    near: Flags
    second: Weights


@dataclass(frozen=True)
class Changes:
    """Log-probabilities of all runs if a second commit matters, by class of the culprit.

    The second axis of `near` is the hypothesis about the chances next to the culprit. That of `bad` and
    `good` is the hypothesis about the chances of bad and good kernels beyond the second commit. That of
    `easier` and `noisier` is the class of the second commit, for each kind of change. `mass` is the prior of
    all of this.
    """

    near: Matrix
    bad: Matrix
    good: Matrix
    easier: Matrix
    noisier: Matrix
    mass: Weights


def changes(model: RunModel, runs: Runs) -> Changes:
    """Weigh every second commit, for both kinds of change."""
    bad, good = runs.bad, ~runs.bad
    crash, noise = runs.seen.bad_levels, runs.seen.good_levels
    p, q = model.bad_at, model.good_at
    easier, noisier = _two(crash, runs, bad, runs.near), _two(noise, runs, good, ~runs.near)
    one_crash, one_noise = _one(crash, bad), _one(noise, good)
    log_easier, log_noisier = np.log(EASIER), np.log(NOISIER)

    def of_both(crashes: Matrix, noises: Matrix) -> Matrix:
        """By hypothesis, from the crash chances of an easier bug and the noises of a noisier range."""
        if_easier = log_easier + crashes[:, p] + one_noise[:, q]
        if_noisier = log_noisier + one_crash[:, p] + noises[:, q]
        return np.asarray(np.where(model.steady, np.logaddexp(if_easier, if_noisier), -np.inf))

    return Changes(
        near=of_both(easier.near, noisier.near) + model.preference,
        bad=of_both(easier.beyond, noisier.near),
        good=of_both(easier.near, noisier.beyond),
        easier=easier.second,
        noisier=noisier.second,
        mass=EASIER * easier.mass + NOISIER * noisier.mass,
    )


@dataclass(frozen=True)
class _Two:
    """Log-probability of runs by class of the culprit, and by value near it, beyond, or second commit."""

    near: Matrix
    beyond: Matrix
    second: Matrix
    mass: Weights


def _one(levels: Levels, wanted: Flags) -> Matrix:
    """Log-probability, by class and level, of the runs of the wanted kernels, if all have this level."""
    return np.asarray((wanted @ levels.facts) @ levels.logs + levels.log_prior)


def _two(levels: Levels, runs: Runs, wanted: Flags, near: Flags) -> _Two:
    """The same if kernels beyond a second commit have another level than those near the culprit.

    A second commit that separates no wanted kernels changes nothing yet and is omitted.
    """
    mask = wanted.astype(float)
    beyond = (~near).astype(float)
    parts = ((mask @ near.T) > 0) & ((mask @ beyond.T) > 0)  # culprits x second commits
    k, s = np.nonzero(parts)
    steps = np.arange(len(levels.weights))
    weights = np.outer(levels.weights, levels.weights)
    weights[np.abs(steps[:, None] - steps) < _APART] = 0.0
    weights /= weights.sum()
    prior = np.log(runs.second)[s][:, None]

    def logs(side: Matrix) -> Matrix:
        """Of the wanted kernels on one side, by pair of commits and level."""
        facts = [((mask * fact) @ side.T)[k, s] for fact in levels.facts.T]
        return np.asarray(np.stack(facts, axis=1) @ levels.logs)

    here, there = logs(near.astype(float)) + prior, logs(beyond)
    by_near = here + _log_product(there, weights)
    by_beyond = there + _log_product(here, weights)
    second = np.full(parts.shape, -np.inf)
    second[k, s] = np.logaddexp.reduce(by_near, axis=1)
    size = len(wanted)
    return _Two(_summed(by_near, k, size), _summed(by_beyond, k, size), second, parts @ runs.second)


def _log_product(rows: Matrix, weights: Matrix) -> Matrix:
    """log(exp(rows) @ weights) for symmetric weights."""
    most = rows.max(axis=1, keepdims=True, initial=-1e9)
    product: Matrix = most + np.log(np.exp(rows - most) @ weights + 1e-300)
    return product


def _summed(rows: Matrix, groups: NDArray[np.intp], size: int) -> Matrix:
    """Logarithms of the sums over the rows of each group; -inf for a group without rows."""
    sums = np.full((size, rows.shape[1]), -np.inf)
    np.logaddexp.at(sums, groups, rows)
    return sums
