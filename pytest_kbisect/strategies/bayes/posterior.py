"""The joint probability of all hypotheses: the culprit, the crash chance and the noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from pytest_kbisect.evidence.run_counts import chance_of
from pytest_kbisect.strategies.bayes.changes import Changes, Runs, changes
from pytest_kbisect.strategies.bayes.known_factors import log_factors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.known_verdict import KnownVerdict
    from pytest_kbisect.evidence.run_counts import RunCounts
    from pytest_kbisect.strategies.bayes.partition import Partition
    from pytest_kbisect.strategies.bayes.run_model import Matrix, RunModel

RELATED_IS_BUG = 0.8
"""Chance that related crashes belong to the bug if they outnumber unrelated ones. In 8 of 12 bisections of
syzbot they did. In all 8 almost no other crashes occurred, and the run counts account for that."""
SAME_KERNEL = 0.0002
"""Factor for the prior of a culprit that does not change the image.

Of 36 such answers of syzbot none was right.
"""
SLIGHT = 1e-4
"""A change with a lower probability is ignored in the choice of experiments."""


@dataclass(frozen=True)
class Beyond:
    """Kernels that a second commit separates from the culprit.

    `bad` and `good` are like `Posterior.joint`, but with the chances of such kernels. `easier[k, s]` and
    `noisier[k, s]` are the probability of class s of the second commit, if the culprit is of class k and a
    second commit changes the crash chance (`easier`) or the noise (`noisier`).
    """

    bad: Matrix
    good: Matrix
    easier: Matrix
    noisier: Matrix


@dataclass(frozen=True)
class Posterior:
    """`joint[k, h]`: the joint probability of class k of the partition and hypothesis h. Sums to 1.

    The chances of h apply next to the culprit; elsewhere they may differ (`beyond`).

    The last row is not a class: it means that no culprit is in the range. Then the bug is older or not fixed
    yet, and all commits crash.
    """

    joint: Matrix
    sizes: Matrix
    beyond: Beyond | None = None
    """Second commits that change something; None if they are very unlikely."""

    @cached_property
    def classes(self) -> Matrix:
        """Probability of each class; the last entry is that of no culprit in the range."""
        masses: Matrix = np.minimum(self.joint.sum(axis=1), 1.0)  # a rounded sum may exceed 1
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
        """The number of missing bits about the culprit: its entropy."""
        each, sizes = np.append(self.each, self.outside), np.append(self.sizes, 1.0)
        return float(-(sizes * each * np.log2(np.maximum(each, 1e-300))).sum())

    @cached_property
    def chances(self) -> Matrix:
        """Probability of each hypothesis of crash chance and noise."""
        marginal: Matrix = self.joint.sum(axis=0)
        return marginal


def infer(
    model: RunModel,
    partition: Partition,
    evidence: Evidence,
    outside: float,
    *,
    fix: bool = False,
    known: Sequence[KnownVerdict] = (),
) -> Posterior:
    """Weigh all hypotheses by all evidence, and by what is `known` from elsewhere.

    `outside` is the prior that no culprit is in the range, so that every commit crashes. With `fix` the
    commits that contain the culprit are the ones that do not crash.

    Related crashes are either the bug under another name, or another bug and thus no evidence. Which of the
    two holds is another unknown, the same for all commits.
    """
    sizes = partition.sizes.astype(float)
    prior = sizes * np.array(partition.weights)
    prior *= (1 - outside) / prior.sum()
    # Commits of known verdicts part the suspects, too, and may have no runs.
    kernels = [
        columns
        for columns in by_kernel(partition, evidence)
        if _speaks(evidence.counts(partition.tests[columns[0]]))
    ]
    inside = partition.inside
    first = inside[:, [columns[0] for columns in kernels]]
    split = [(inside[:, columns] != inside[:, columns[:1]]).any(axis=1) for columns in kernels]
    splits = np.array(split, dtype=float).reshape(len(kernels), len(inside)).sum(axis=0)
    commits = [partition.tests[columns[0]] for columns in kernels]
    all_counts = [evidence.counts(commit) for commit in commits]
    runs = Runs(
        seen=model.seen(evidence, commits),
        bad=np.append(first != fix, np.ones((1, len(kernels)), dtype=bool), axis=0),
        near=first == fix,
        second=sizes / sizes.sum() * SAME_KERNEL**splits,
    )
    prior = np.log(np.append(prior * SAME_KERNEL**splits, max(outside, 1e-12)))
    found = _Weighed.of(model, runs)
    if any(counts.credited for counts in all_counts):
        if_bug = _Weighed.of(model, replace(runs, seen=model.seen(evidence, commits, credited=True)))
        strange = sum(by_another_bug(counts) for counts in all_counts)
        found = if_bug.mixed(found, np.log(RELATED_IS_BUG), np.log1p(-RELATED_IS_BUG) + strange)
    return found.posterior(prior[:, None] + log_factors(model, partition, known, fix=fix), sizes)


def _speaks(counts: RunCounts) -> bool:
    return bool(counts.informative or counts.credited)


def by_kernel(partition: Partition, evidence: Evidence) -> list[list[int]]:
    """The indices of the partition's tests, grouped by kernel. The first of a group represents the kernel."""
    kernels: list[list[int]] = []
    done: set[int] = set()
    for place, commit in enumerate(partition.tests):
        if commit in done:
            continue
        kernel = {commit, *evidence.same_kernel(commit)}
        kernels.append([at for at, other in enumerate(partition.tests) if at >= place and other in kernel])
        done |= kernel
    return kernels


@dataclass(frozen=True)
class _Weighed:
    """Log-probabilities of all runs: with constant crash chance and noise, and with changes of these."""

    steady: Matrix
    changes: Changes

    @classmethod
    def of(cls, model: RunModel, runs: Runs) -> Self:
        score = np.zeros((len(runs.bad), len(model.log_prior)))
        for at, (bad, good) in enumerate(zip(runs.seen.bad, runs.seen.good, strict=True)):
            score += np.where(runs.bad[:, at, None], bad, good)
        found = changes(model, runs)
        return cls(score + model.log_prior + np.log1p(-found.mass)[:, None], found)

    def mixed(self, other: Self, mine: float, others: float) -> Self:
        """The mixture of this one and another one, weighted by these log-probabilities."""
        names = ("near", "bad", "good", "easier", "noisier")
        both = {
            name: np.logaddexp(mine + getattr(self.changes, name), others + getattr(other.changes, name))
            for name in names
        }
        steady = np.logaddexp(mine + self.steady, others + other.steady)
        return replace(self, steady=steady, changes=replace(self.changes, **both))

    def posterior(self, prior: Matrix, sizes: Matrix) -> Posterior:
        """The posterior with this prior (log) of the classes."""
        score = prior + np.logaddexp(self.steady, self.changes.near)
        most = score.max()
        joint = np.exp(score - most)
        total = joint.sum()
        posterior = Posterior(joint / total, sizes)
        changed = np.exp(prior + self.changes.near - most) / total
        if changed.sum() < SLIGHT:
            return posterior
        steady = np.exp(prior + self.steady - most) / total
        masses = changed.sum(axis=1, keepdims=True)
        beyond = Beyond(
            bad=steady + masses * _shares(self.changes.bad),
            good=steady + masses * _shares(self.changes.good),
            easier=_shares(self.changes.easier),
            noisier=_shares(self.changes.noisier),
        )
        return replace(posterior, beyond=beyond)


def _shares(logs: Matrix) -> Matrix:
    """Each row of log-probabilities as shares of its sum; zeros if the sum is zero."""
    most = np.maximum(logs.max(axis=1, keepdims=True, initial=-np.inf), -1e9)
    chances = np.exp(logs - most)
    shares: Matrix = chances / np.maximum(chances.sum(axis=1, keepdims=True), 1e-300)
    return shares


def by_another_bug(counts: RunCounts) -> float:
    """Log-probability of the related crashes if another bug causes them with an arbitrary chance."""
    return chance_of(counts.credited, counts.ok + counts.matching) if counts.credited else 0.0
