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

    The last row is no class: it stands for no culprit in the range. The bug is older, and all commits
    crash; or it is not repaired yet, and all commits crash.
    """

    joint: Matrix
    sizes: Matrix

    @cached_property
    def classes(self) -> Matrix:
        """Probability of each class, no culprit in the range last."""
        masses: Matrix = self.joint.sum(axis=1)
        return masses

    @property
    def outside(self) -> float:
        """Probability that both ends crash."""
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


def infer(
    model: CrashChance, partition: Partition, evidence: Evidence, outside: float, *, fix: bool = False
) -> Posterior:
    """Weigh all hypotheses by all evidence.

    `outside` is the prior of there being no culprit in the range: every commit crashes. With `fix`
    commits that contain the culprit are the ones that do not crash.
    """
    sizes = partition.sizes.astype(float)
    prior = sizes * np.array(partition.weights)
    prior *= (1 - outside) / prior.sum()
    score = np.log(np.append(prior, max(outside, 1e-12)))[:, None] + model.log_prior[None, :]
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
        score[:-1] += np.where(inside[:, column, None] != fix, bad, good)
        score[-1] += bad
        differ = (inside[:, columns] != inside[:, column, None]).any(axis=1)
        score[:-1][differ] += np.log(SAME_KERNEL)
    score -= score.max()
    joint = np.exp(score)
    return Posterior(joint / joint.sum(), sizes)
