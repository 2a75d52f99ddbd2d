"""Chooses the next experiment: the one with the most information about the culprit per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.history.candidates import GOOD_END

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pytest_kbisect.history.ancestry import Weights
    from pytest_kbisect.strategies.bayes.crashchance import Matrix
    from pytest_kbisect.strategies.bayes.state import Alternatives, State

WAVES = (1, 2, 3, 5, 8, 13, 21, 34, 55)
"""The lengths of a batch that are considered. A batch ends with the first wave that crashes."""
FEW_WAVES = (1, 3, 13)
"""The lengths with which all commits are evaluated."""
FINALISTS = 64
"""For each of these few lengths, this many commits are evaluated with all lengths."""
LEAST_BITS = 0.005
"""An experiment with fewer expected bits is not worth making: tests cannot distinguish what is left."""
EXACT = 20_000
"""Up to this number of commits times classes, the entropy of outcomes is exact if a second commit changes
them. Above it the entropy is interpolated, which is how finalists are found."""
IMPOSSIBLE = 1e-4
"""Classes of commits with a lower probability are ignored in the choice of experiments."""
FAIR_BITS = 0.1
"""Expected bits that justify a build with even odds of being testable; worse odds require more. If a region
that cannot be tested contains the culprit, its edges are worth a build and its inside is not."""
EDGES = 2.0
"""Commits at the edges of a region that cannot be tested are worth a build while the culprit is among them
with at least this multiple of the allowed doubt. Finding both edges exactly takes sixteen builds, not 13."""
LATER = 0.75
"""Weight of a bit from more runs of a kernel that is built, or will be. These runs can also be made later,
and results at other commits may make them unnecessary by then."""


@dataclass(frozen=True)
class Choice:
    """A batch at a commit, with the expected bits about the culprit and the expected seconds."""

    commit: int
    waves: int
    bits: float
    seconds: float

    @property
    def rate(self) -> float:
        """Bits per second."""
        return self.bits / self.seconds


def best(state: State, doubt: float) -> Choice | None:
    """The experiment with the most information per second; None if none is worth making.

    All commits are evaluated with a few batch lengths, the best of them and all built ones with every length.
    `doubt` is the allowed probability of a wrong answer. Nothing more is built if most suspects lie in a
    region that cannot be tested, and builds would only find its exact edges (EDGES).
    """
    wanted = np.flatnonzero(state.alternatives.built)
    if state.separable < EDGES * doubt:
        return best_of(wanted, state)
    for batch in _batches(state, state.alternatives, FEW_WAVES):
        wanted = np.union1d(wanted, np.argsort(-batch.worth, kind="stable")[:FINALISTS])
    return best_of(wanted, state)


def best_of(rows: NDArray[np.intp], state: State) -> Choice | None:
    """The same for some commits only, given as rows of the alternatives (the good end is the last row)."""
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
    """The expected bits and seconds of batches of up to `waves` waves, by commit.

    `worth` is in bits per second. The bits of a kernel's first wave count in full, all others count as LATER.
    It is 0 if fewer bits are expected than an experiment is worth.
    """

    waves: int
    bits: Weights
    seconds: Weights
    worth: Weights


def _batches(state: State, alternatives: Alternatives, lengths: Sequence[int]) -> Iterator[_Batch]:
    """Batches of these lengths, by commit."""
    prices, testable, built = state.prices, alternatives.testable, alternatives.built
    against = np.where(built, 0.0, (1 - testable) / np.maximum(testable, 1e-9))
    least = np.maximum(LEAST_BITS, FAIR_BITS * against)
    kinds = _kinds(state, alternatives)
    one = _information(state, kinds, 1)
    first = np.where(built, 0.0, one[0])
    for waves in lengths:
        expected, spent = one if waves == 1 else _information(state, kinds, waves)
        bits = testable * expected
        seconds = np.where(built, 0.0, prices.build)
        seconds += testable * (prices.session + spent * prices.run / alternatives.speaks)
        # A commit that is no longer worth a test costs nothing.
        seconds = np.maximum(seconds, 1e-9)
        counted = testable * (first + LATER * np.maximum(expected - first, 0.0))
        yield _Batch(waves, bits, seconds, np.where(bits >= least, counted / seconds, 0.0))


def _information(state: State, kinds: Sequence[_Kind], waves: int) -> tuple[Weights, Weights]:
    """By commit: the expected bits of a batch about the culprit, and its expected number of waves.

    I(culprit; outcome) = H(outcome) - H(outcome | culprit), averaged over the crash chance and the noise.
    """
    expected = sum((kind.expected(state, waves) for kind in kinds), np.zeros(1))
    outcome, known, spent = expected[:, :-2], expected[:, -2], expected[:, -1]
    bits = _entropy(outcome, np.ones(len(outcome))) - known
    return np.maximum(bits, 0.0), spent


@dataclass(frozen=True)
class _Kind:
    """Kernels that have the bug (`bad`), or kernels that do not.

    `share[i, k]`: the chance that commit i is of this kind if the culprit is of class k. `far[i, k]`: the
    chance that it is also beyond a second commit that changes something. By class and hypothesis, `near` are
    the chances next to the culprit, and `beyond` those beyond the second commit. `far` and `beyond` are None
    if there is no such commit.
    """

    bad: bool
    share: Matrix
    near: Matrix
    far: Matrix | None = None
    beyond: Matrix | None = None

    def expected(self, state: State, waves: int) -> Matrix:
        """By commit: the chance of each outcome of a batch, entropy given the culprit, and waves spent."""
        batch, masses = state.model.batch(waves, state.width), self.near.sum(axis=1)
        outcomes, spent = (batch.bad, batch.waves_bad) if self.bad else (batch.good, batch.waves_good)

        def prospect(joint: Matrix) -> Matrix:
            shown = joint @ outcomes
            return np.column_stack([shown, _entropy(shown, masses), joint @ spent])

        near = prospect(self.near)
        if self.far is None or self.beyond is None:
            return np.asarray(self.share @ near)
        change = prospect(self.beyond) - near
        found = np.asarray(self.share @ near + self.far @ change)
        if self.share.size <= EXACT:
            part = self.far / np.maximum(self.share, 1e-300)
            mixed = near[:, :-2] + part[:, :, None] * change[:, :-2]
            found[:, -2] = (self.share * _entropy(mixed, masses)).sum(axis=1)
        return found


def _kinds(state: State, alternatives: Alternatives) -> tuple[_Kind, _Kind]:
    """Both kinds of kernels that the commits may be. Classes that are almost impossible are omitted."""
    posterior, beyond = state.posterior, state.posterior.beyond
    likely = np.flatnonzero(posterior.classes > IMPOSSIBLE)
    contains, joint = alternatives.share[:, likely], posterior.joint[likely]
    bad, good = (1 - contains, contains) if alternatives.fix else (contains, 1 - contains)
    if beyond is None:
        return _Kind(True, bad, joint), _Kind(False, good, joint)
    newer = alternatives.share[:, :-1]
    newer = 1 - newer if alternatives.fix else newer
    return (
        _Kind(True, bad, joint, bad * (newer @ beyond.easier[likely].T), beyond.bad[likely]),
        _Kind(False, good, joint, good * ((1 - newer) @ beyond.noisier[likely].T), beyond.good[likely]),
    )


def _entropy(rows: Matrix, totals: Weights) -> Weights:
    """Entropy in bits along the last axis, times the total of the row; rows sum to `totals`."""
    rows = np.maximum(rows, 1e-300)
    totals = np.maximum(totals, 1e-300)
    bits: Weights = -(rows * np.log2(rows / totals[..., None])).sum(axis=-1)
    return bits
