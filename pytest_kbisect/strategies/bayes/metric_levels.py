"""The likelihood of measured values if the levels of the metric are not known exactly.

Both levels are hypotheses, weighed together with the culprit, and so is a third level between them, on one
side of a second commit (see changes): a metric may become worse in two steps. The culprit's own step is at
least LEAST_STEP of the difference between the ends.
"""

from __future__ import annotations

from functools import cache
from math import erf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.evidence import level_fit
from pytest_kbisect.evidence.level_fit import LEVELS, PLACEMENT
from pytest_kbisect.strategies.bayes.run_model import Batch, Levels, Matrix, Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.contrast import Contrast

LEAST_STEP = 0.3
"""The least part of the difference between the ends that the culprit makes."""
_LARGEST = 12
"""Of two steps the culprit is the larger one: their odds are this power of the ratio of their sizes. One of
60 % is preferred to one of 40 % with 130:1; of two equal ones, either may be the answer."""
_HEAVY = 1.25
"""How much wider the mean of values with heavy tails spreads than that of normal ones: a median's does."""
_ODD = 0.005
_BINS = 11
"""Outcomes of a batch that are distinguished, less one."""
_LEAST_RUNS = 6
_SETTLED = 4.0
"""When runs leave this part of the variance that kernels have of their own, more do not help."""


class MetricLevels:
    """The hypotheses (level of bad kernels, level of good ones) and the likelihood of values.

    Without a `contrast` nothing is known yet, and all runs are equally likely.
    """

    def __init__(self, contrast: Contrast | None) -> None:
        self._contrast = contrast
        pairs = [
            (bad, good)
            for bad in range(len(LEVELS))
            for good in range(len(LEVELS))
            if LEVELS[bad] - LEVELS[good] > LEAST_STEP - 0.01
        ]
        self.bad_at: NDArray[np.intp] = np.array([bad for bad, _ in pairs])
        self.good_at: NDArray[np.intp] = np.array([good for _, good in pairs])
        size = np.array([LEVELS[bad] - LEVELS[good] for bad, good in pairs])
        own, rest = size**_LARGEST, np.abs(1 - size) ** _LARGEST
        self.preference: Matrix = np.log(own / (own + rest))
        self.log_prior: Matrix = self.preference - np.logaddexp.reduce(self.preference)
        self.steady: NDArray[np.bool_] = np.ones(len(pairs), dtype=bool)
        self._scale = max(contrast.scale, level_fit.LEAST_SCALE) if contrast and contrast.worse else np.inf

    def logs(self, values: Sequence[float]) -> Matrix:
        """Log-probability of the values of one kernel at each level."""
        if self._contrast is None or np.isinf(self._scale):
            return np.zeros(len(LEVELS))
        return level_fit.log_likelihoods(self._contrast.levels(values), self._scale)

    def seen(self, evidence: Evidence, commits: Sequence[int], *, credited: bool = False) -> Seen:  # noqa: ARG002
        """What the values of the kernels of these commits say."""
        facts = np.array([self.logs(evidence.values(commit)) for commit in commits])
        facts = facts.reshape(len(commits), len(LEVELS))
        levels = Levels(np.ones(len(LEVELS)), facts, np.eye(len(LEVELS)))
        return Seen(facts[:, self.bad_at], facts[:, self.good_at], levels, levels)

    def batch(self, waves: int, width: int) -> Batch:
        """The outcomes of a batch: into which of some bins the middle of its values falls."""
        bins = _outcomes(float(self._scale), waves * width)
        spent = np.full(len(self.bad_at), float(waves))
        return Batch(bins[self.bad_at], bins[self.good_at], spent, spent)

    def unseen(self, runs: int | None, *, has_bug: bool) -> Matrix:  # noqa: ARG002
        """A verdict on a metric rests on values, not on a number of runs."""
        return np.full(len(self.bad_at), 0.0 if has_bug else 1.0)

    def most_runs(self, most: int) -> int:
        """Runs after which what is left is the kernel's own deviation."""
        if np.isinf(self._scale):
            return most
        return int(min(most, max(_LEAST_RUNS, _SETTLED * (self._scale / PLACEMENT) ** 2)))


@cache
def _outcomes(scale: float, runs: int) -> Matrix:
    """The chance of each outcome of so many runs, by level."""
    if np.isinf(scale):
        return np.ones((len(LEVELS), 1))
    own = sqrt(_HEAVY**2 * scale**2 / runs + PLACEMENT**2)
    edges = 0.5 + max(own, 0.15) * (np.arange(_BINS) - (_BINS - 1) / 2)
    below = np.array([[(1 + erf((edge - level) / own / sqrt(2))) / 2 for edge in edges] for level in LEVELS])
    chances = np.diff(below, axis=1, prepend=0.0, append=1.0)
    mixed: Matrix = (1 - _ODD) * chances + _ODD / (_BINS + 1)
    return mixed


def chance_of_step(model: MetricLevels, values: Sequence[float], parent: Sequence[float]) -> float:
    """The probability that one kernel is worse than its parent by LEAST_STEP, by their values alone.

    Both levels are equally likely anywhere, before.
    """
    here, before = (model.logs(one) for one in (values, parent))
    joint = np.exp(here - here.max())[:, None] * np.exp(before - before.max())
    levels = np.array(LEVELS)
    step = levels[:, None] - levels > LEAST_STEP - 0.01
    return float(joint[step].sum() / joint.sum())
