"""Everything known, as one probability a hypothesis: which commit, how likely it crashes, how much noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pytest_kbisect.bisection.crashchance import CrashChance, Matrix
    from pytest_kbisect.bisection.evidence import Evidence
    from pytest_kbisect.bisection.partition import Partition

SAME_KERNEL = 0.0002
"""How much less likely a culprit is that changes nothing in the image: of 36 such answers of syzbot none was right."""


@dataclass(frozen=True)
class Posterior:
    """`joint[k, h]`: probability of class k of the partition and hypothesis h together; sums to 1.

    The last row is no class: it stands for a bug older than the range, bad at the good end already.
    """

    joint: Matrix
    sizes: Matrix

    @cached_property
    def classes(self) -> Matrix:
        """Probability of each class, the bug that is older than the range last."""
        masses: Matrix = self.joint.sum(axis=1)
        return masses

    @property
    def older(self) -> float:
        """Probability that the good end is bad."""
        return float(self.classes[-1])

    @cached_property
    def each(self) -> Matrix:
        """Probability of each single commit, by class."""
        shares: Matrix = self.classes[:-1] / self.sizes
        return shares

    @cached_property
    def chances(self) -> Matrix:
        """Probability of each hypothesis of crash chance and noise."""
        marginal: Matrix = self.joint.sum(axis=0)
        return marginal


def infer(model: CrashChance, partition: Partition, evidence: Evidence, older: float) -> Posterior:
    """Weigh all hypotheses by all evidence; `older` is the prior of a bug older than the range."""
    sizes = partition.sizes.astype(float)
    prior = sizes * np.array(partition.weights)
    prior *= (1 - older) / prior.sum()
    score = np.log(np.append(prior, max(older, 1e-12)))[:, None] + model.log_prior[None, :]
    inside = partition.inside
    done: set[int] = set()
    for column, commit in enumerate(partition.tests):
        if commit in done:
            continue
        kernel = evidence.same_kernel(commit)
        columns = [
            column,
            *(c for c, other in enumerate(partition.tests) if other != commit and other in kernel),
        ]
        done.update(partition.tests[c] for c in columns)
        bad, good = model.log_likelihood(evidence.tally(commit))
        score[:-1] += np.where(inside[:, column, None], bad, good)
        score[-1] += bad
        differ = (inside[:, columns] != inside[:, column, None]).any(axis=1)
        score[:-1][differ] += np.log(SAME_KERNEL)
    score -= score.max()
    joint = np.exp(score)
    return Posterior(joint / joint.sum(), sizes)
