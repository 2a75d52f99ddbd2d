"""The protocol of run models: how likely runs are on kernels with and without the bug, by hypothesis.

A hypothesis states what runs do on a kernel that has the bug, and on one that does not: with which chance
they crash (`crashchance`), or what level of a metric they measure (`metric_levels`). The posterior weighs
it together with the culprit. What kernels of one kind do is one of some levels, which a second commit may
change (`changes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.evidence.by_kernel import Evidence

Matrix: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Batch:
    """The outcomes of a batch.

    `bad` and `good` are probabilities by hypothesis (rows) and outcome (columns; of a batch that stops
    after the first wave with a crash: no crash at all; 1, 2, 3 or more crashes in the last wave).
    `waves_bad` and `waves_good` are the expected numbers of waves by hypothesis.
    """

    bad: Matrix
    good: Matrix
    waves_bad: Matrix
    waves_good: Matrix


@dataclass(frozen=True)
class Levels:
    """What runs on kernels of one kind may do, and what the runs of tested kernels say of that.

    `weights` is the prior of each level. The log-probability of the runs of kernels at each level is
    `facts @ logs`: kernels x facts, facts x levels.
    """

    weights: Matrix
    facts: Matrix
    logs: Matrix

    @property
    def log_prior(self) -> Matrix:
        return np.asarray(np.log(self.weights / self.weights.sum()))


@dataclass(frozen=True)
class Seen:
    """The log-probability of the runs of tested kernels: kernels x hypotheses, if they are bad or good.

    `bad_levels` and `good_levels` are the same by level.
    """

    bad: Matrix
    good: Matrix
    bad_levels: Levels
    good_levels: Levels


class RunModel(Protocol):
    """Hypotheses h of what runs do; `bad_at[h]` and `good_at[h]` are its levels.

    `preference[h]` is how much likelier (log) h is than its levels are, if there is a second commit.
    `steady[h]`: h leaves no other room for changes, so that second commits are weighed with it.
    """

    log_prior: Matrix
    bad_at: NDArray[np.intp]
    good_at: NDArray[np.intp]
    steady: NDArray[np.bool_]
    preference: Matrix

    def seen(self, evidence: Evidence, commits: Sequence[int], *, credited: bool = False) -> Seen:
        """What the runs of the kernels of these commits say; `credited`: related crashes are the bug's."""
        ...

    def batch(self, waves: int, width: int) -> Batch:
        """The outcomes of at most `waves` waves of `width` informative runs."""
        ...

    def unseen(self, runs: int | None, *, has_bug: bool) -> Matrix:
        """By hypothesis, the chance that a kernel is called good after so many runs (None: not known)."""
        ...

    def most_runs(self, most: int) -> int:
        """Runs of one kernel after which more say nothing new: `most` at the most."""
        ...
