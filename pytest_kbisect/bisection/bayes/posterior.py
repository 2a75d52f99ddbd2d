"""Everything known, as one probability a hypothesis: which commit, how likely it crashes, how much noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.bisection.tally import chance_of

if TYPE_CHECKING:
    from pytest_kbisect.bisection.ancestry import Flags
    from pytest_kbisect.bisection.bayes.crashchance import CrashChance, Matrix
    from pytest_kbisect.bisection.bayes.partition import Partition
    from pytest_kbisect.bisection.evidence import Evidence
    from pytest_kbisect.bisection.tally import Tally

KIN = 0.8
"""Chance that related crashes, where they outnumber strangers, are the bug's: so in 8 of 12 bisections of
syzbot, in all 8 of which next to nothing else was seen; that much the counts of runs themselves tell."""
SAME_KERNEL = 0.0002
"""How much less likely a culprit is that changes nothing in the image.

Of 36 such answers of syzbot none was right.
"""


@dataclass(frozen=True)
class Posterior:
    """`joint[k, h]`: probability of class k of the partition and hypothesis h together; sums to 1.

    The last row is no class: it stands for no culprit in the range. The bug is older, and all commits
    crash; or it is not fixed yet, and all commits crash.
    """

    joint: Matrix
    sizes: Matrix

    @cached_property
    def classes(self) -> Matrix:
        """Probability of each class, no culprit in the range last."""
        masses: Matrix = np.minimum(self.joint.sum(axis=1), 1.0)  # rounded, a sum may be more
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
    def unknown(self) -> float:
        """Bits that are missing to know the culprit."""
        each, sizes = np.append(self.each, self.outside), np.append(self.sizes, 1.0)
        return float(-(sizes * each * np.log2(np.maximum(each, 1e-300))).sum())

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

    Related crashes are the bug under another name, or another bug that says nothing of it: which, is one more
    thing that is not known, and the same for all commits.
    """
    sizes = partition.sizes.astype(float)
    prior = sizes * np.array(partition.weights)
    prior *= (1 - outside) / prior.sum()
    start = np.log(np.append(prior, max(outside, 1e-12)))[:, None] + model.log_prior[None, :]
    score = start.copy()
    kin = any(evidence.tally(commit).kin for commit in partition.tests)
    score_if_kin = start.copy() if kin else None
    strange = 0.0
    inside = partition.inside
    for columns in by_kernel(partition, evidence):
        first = columns[0]
        crashes = inside[:, first, None] != fix
        differ = (inside[:, columns] != inside[:, first, None]).any(axis=1)
        tally = evidence.tally(partition.tests[first])
        _weigh(score, model, tally, crashes, differ)
        if score_if_kin is not None:
            _weigh(score_if_kin, model, tally.counting_kin(), crashes, differ)
            strange += by_another_bug(tally)
    if score_if_kin is not None:
        score = np.logaddexp(np.log(KIN) + score_if_kin, np.log1p(-KIN) + strange + score)
    score -= score.max()
    joint = np.exp(score)
    return Posterior(joint / joint.sum(), sizes)


def by_kernel(partition: Partition, evidence: Evidence) -> list[list[int]]:
    """The places of the partition's tests, those of one kernel together: the first stands for all."""
    kernels: list[list[int]] = []
    done: set[int] = set()
    for place, commit in enumerate(partition.tests):
        if commit in done:
            continue
        kernel = {commit, *evidence.same_kernel(commit)}
        kernels.append([at for at, other in enumerate(partition.tests) if at >= place and other in kernel])
        done |= kernel
    return kernels


def _weigh(score: Matrix, model: CrashChance, tally: Tally, crashes: Flags, differ: Flags) -> None:
    """Add the log-probability of one kernel's runs, by class and hypothesis.

    `crashes[k, 0]`: in class k the kernel has the bug;
    `differ[k]`: one of its commits would have it, another not.
    """
    bad, good = model.log_likelihood(tally)
    score[:-1] += np.where(crashes, bad, good)
    score[-1] += bad
    score[:-1][differ] += np.log(SAME_KERNEL)


def by_another_bug(tally: Tally) -> float:
    """Log-probability of the related crashes where another bug makes them, with a chance that may be any."""
    return chance_of(tally.kin, tally.ok + tally.matching) if tally.kin else 0.0
