"""The likelihood of runs at a commit if neither the crash chance nor the noise is known.

A run on a bad commit crashes with an unknown chance p. A run on a good commit crashes with an unknown chance
q, because of another bug that looks the same. Both are kept as a grid of hypotheses and inferred together
with the culprit from all evidence, instead of being estimated once at the start.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.strategies.bayes.run_model import Batch, Levels, Matrix, Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_kbisect.evidence.by_kernel import Evidence

# Spaced so that about fifty runs distinguish neighbours.
CRASH_CHANCES = (
    0.02,
    0.03,
    0.045,
    0.065,
    0.09,
    0.13,
    0.18,
    0.25,
    0.34,
    0.45,
    0.57,
    0.7,
    0.82,
    0.92,
    0.98,
    0.998,
)
# Of 1,381 bisections of syzbot 87 % crashed in every run on the first commit and 5.6 % in fewer than half:
# people bisect with a reproducer that works. The prior is nevertheless flat except at the certain end: a
# wrong prior causes wrong answers, a flat one only costs a few runs.
CRASH_WEIGHTS = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3, 6)
# Noise that matches the reference is rare if crashes are matched strictly. But a prior that is too low gives
# wrong answers, while a prior that is too high only takes longer.
NOISES = (0.0002, 0.001, 0.003, 0.01, 0.03, 0.055, 0.1)
NOISE_WEIGHTS = (0.2, 0.2, 0.2, 0.25, 0.08, 0.04, 0.03)
# The bug may become easier or harder to hit as the code around it changes: the chance at one commit is then p
# times one of these. Whether the chance drifts is another unknown, the same for all commits.
DRIFT = (0.6, 1.0, 1.4)
DRIFT_WEIGHTS = (0.3, 0.4, 0.3)
STEADY_WEIGHTS = (0.0, 1.0, 0.0)
DRIFTING = 0.1


class CrashChance:
    """The hypotheses (p, q, whether p drifts; only with p > 2 q) and the likelihood of run counts."""

    def __init__(self) -> None:
        hypotheses = [
            (p, q, shares, wp * wq * drifts)
            for p, wp in zip(CRASH_CHANCES, CRASH_WEIGHTS, strict=True)
            for q, wq in zip(NOISES, NOISE_WEIGHTS, strict=True)
            for shares, drifts in ((STEADY_WEIGHTS, 1 - DRIFTING), (DRIFT_WEIGHTS, DRIFTING))
            if p > 2 * q
        ]
        self.p: Matrix = np.array([p for p, *_ in hypotheses])
        self.q: Matrix = np.array([q for _, q, *_ in hypotheses])
        self._shares: Matrix = np.array([shares for _, _, shares, _ in hypotheses])
        weights = np.array([weight for *_, weight in hypotheses])
        self.log_prior: Matrix = np.log(weights / weights.sum())
        self.steady: NDArray[np.bool_] = np.array(
            [shares is STEADY_WEIGHTS for _, _, shares, _ in hypotheses]
        )
        self.bad_at: NDArray[np.intp] = np.searchsorted(np.array(CRASH_CHANCES), self.p)
        self.good_at: NDArray[np.intp] = np.searchsorted(np.array(NOISES), self.q)
        self.preference: Matrix = np.zeros(len(hypotheses))
        self._batches: dict[tuple[int, int], Batch] = {}

    @cached_property
    def _local(self) -> Matrix:
        """Crash chance at one bad commit: hypotheses x drift."""
        chances: Matrix = np.clip(self.p[:, None] * np.array(DRIFT), 0.0, 0.999)
        return chances

    @cached_property
    def _log_shares(self) -> Matrix:
        return np.log(np.maximum(self._shares, 1e-300))

    def log_likelihood(self, hits: float, oks: float) -> tuple[Matrix, Matrix]:
        """Log-probability of these crash and ok counts on a bad and a good commit, by hypothesis."""
        by_drift = hits * np.log(self._local) + oks * np.log1p(-self._local) + self._log_shares
        bad: Matrix = np.logaddexp.reduce(by_drift, axis=1)
        good: Matrix = hits * np.log(self.q) + oks * np.log1p(-self.q)
        return bad, good

    def seen(self, evidence: Evidence, commits: Sequence[int], *, credited: bool = False) -> Seen:
        """What the runs of the kernels of these commits say; `credited`: related crashes are the bug's."""
        counts = [evidence.counts(commit) for commit in commits]
        facts = np.array(
            [[one.matching + (one.credited if credited else 0), one.ok] for one in counts], dtype=float
        ).reshape(len(counts), 2)
        both = [self.log_likelihood(hits, oks) for hits, oks in facts.tolist()]
        shape = len(counts), len(self.p)
        return Seen(
            np.array([bad for bad, _ in both]).reshape(shape),
            np.array([good for _, good in both]).reshape(shape),
            _levels(CRASH_CHANCES, CRASH_WEIGHTS, facts),
            _levels(NOISES, NOISE_WEIGHTS, facts),
        )

    def unseen(self, runs: int | None, *, has_bug: bool) -> Matrix:
        """By hypothesis, the chance that a kernel does not crash in so many runs (None: in enough)."""
        if runs is None:
            return np.full(len(self.p), 0.0 if has_bug else 1.0)
        return np.asarray(np.exp(self.log_likelihood(0, runs)[0 if has_bug else 1]))

    def most_runs(self, most: int) -> int:
        """Each run of a kernel says as much as the one before."""
        return most

    def batch(self, waves: int, width: int) -> Batch:
        """The outcomes of at most `waves` waves of `width` informative runs."""
        key = waves, width
        if key not in self._batches:
            many = [_stopped(self._local[:, d], waves, width) for d in range(len(DRIFT))]
            shares = self._shares.T[:, :, None]
            bad = sum(share * outcome for share, (outcome, _) in zip(shares, many, strict=True))
            waves_bad = sum(share[:, 0] * spent for share, (_, spent) in zip(shares, many, strict=True))
            good, waves_good = _stopped(self.q, waves, width)
            self._batches[key] = Batch(np.asarray(bad), good, np.asarray(waves_bad), waves_good)
        return self._batches[key]


def _levels(chances: Sequence[float], weights: Sequence[float], facts: Matrix) -> Levels:
    """Crash chances that kernels may have, with the counts of crashes and other runs."""
    values = np.array(chances)
    return Levels(np.array(weights, dtype=float), facts, np.stack([np.log(values), np.log1p(-values)]))


def _stopped(chance: Matrix, waves: int, width: int) -> tuple[Matrix, Matrix]:
    """Outcome probabilities and expected number of waves if each run crashes with this chance."""
    none = (1 - chance) ** width
    reached = np.array([none**wave for wave in range(waves)]).sum(axis=0)
    exact = []
    ways = 1.0
    for hits in range(1, min(3, width) + 1):
        ways *= (width - hits + 1) / hits
        exact.append(reached * ways * chance**hits * (1 - chance) ** (width - hits))
    never = none**waves
    more = np.maximum(0.0, 1 - never - sum(exact))
    return np.stack([never, *exact, more], axis=1), reached
