"""The next experiment: the one that tells most about the culprit per second it costs."""

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
"""Lengths of a batch that are considered. A batch ends with the first wave that crashes."""
FEW_WAVES = (1, 3, 13)
"""Those with which all commits are looked at."""
FINALISTS = 64
"""Commits, for each of these lengths, that are looked at with all of them."""
LEAST_BITS = 0.005
"""An experiment expected to tell less is not worth making: what is left cannot be told apart."""
EXACT = 20_000
"""Commits times classes up to which the entropy of outcomes is exact if a second commit changes them; with
more it is interpolated: that is how finalists are found."""
IMPOSSIBLE = 1e-4
"""Probability of a class of commits below which no experiment is chosen in view of it."""
FAIR_BITS = 0.1
"""Bits that a build must be expected to tell at even odds to be testable; at worse odds more. In a region
that cannot be tested and holds the culprit, its edges are worth a build, and its inside is not."""
LATER = 0.75
"""What a bit counts that more runs tell of a kernel that is there, or will be: they can be made later too,
and what other commits show may have made them needless by then."""


@dataclass(frozen=True)
class Choice:
    """A batch at a commit, and what speaks for it: expected bits about the culprit, and expected seconds."""

    commit: int
    waves: int
    bits: float
    seconds: float

    @property
    def rate(self) -> float:
        """Bits a second."""
        return self.bits / self.seconds


def best(state: State) -> Choice | None:
    """The experiment with the most information per second; None where none is worth making.

    All commits are weighed with few lengths of a batch, the best of them and all built ones with every
    length.
    """
    wanted = np.flatnonzero(state.alternatives.built)
    for batch in _batches(state, state.alternatives, FEW_WAVES):
        wanted = np.union1d(wanted, np.argsort(-batch.worth, kind="stable")[:FINALISTS])
    return best_of(wanted, state)


def best_of(rows: NDArray[np.intp], state: State) -> Choice | None:
    """The same of some commits only, given as rows of the alternatives (the good end is the last one)."""
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
    """What batches of up to `waves` waves are expected to tell and to take, by commit.

    `worth` is bits a second, where those of a kernel's first wave count in full and all others as LATER; 0
    where fewer are expected than an experiment is worth.
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
        # What is not worth a test any more costs nothing either.
        seconds = np.maximum(seconds, 1e-9)
        counted = testable * (first + LATER * np.maximum(expected - first, 0.0))
        yield _Batch(waves, bits, seconds, np.where(bits >= least, counted / seconds, 0.0))


def _information(state: State, kinds: Sequence[_Kind], waves: int) -> tuple[Weights, Weights]:
    """By commit: bits a batch is expected to tell about the culprit, and waves it is expected to take.

    I(culprit; outcome) = H(outcome) - H(outcome | culprit), the crash chance and the noise averaged out.
    """
    expected = sum((kind.expected(state, waves) for kind in kinds), np.zeros(1))
    outcome, known, spent = expected[:, :-2], expected[:, -2], expected[:, -1]
    bits = _entropy(outcome, np.ones(len(outcome))) - known
    return np.maximum(bits, 0.0), spent


@dataclass(frozen=True)
class _Kind:
    """Kernels that have the bug (`bad`), or those that have it not.

    `share[i, k]`: commit i is of this kind where the culprit is of class k; `far[i, k]`: and beyond a second
    commit that changes something. By class and hypothesis, `near` are the chances next to the culprit,
    `beyond` those beyond the second commit. The last two are None where there is no such commit.
    """

    bad: bool
    share: Matrix
    near: Matrix
    far: Matrix | None = None
    beyond: Matrix | None = None

    def expected(self, state: State, waves: int) -> Matrix:
        """Chance of each outcome of a batch, entropy if the culprit is known, and waves spent, by commit."""
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
    """What the commits may be. Classes that are next to impossible are left out."""
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
    """Entropy in bits along the last axis, times its total, where rows sum to `totals`."""
    rows = np.maximum(rows, 1e-300)
    totals = np.maximum(totals, 1e-300)
    bits: Weights = -(rows * np.log2(rows / totals[..., None])).sum(axis=-1)
    return bits
