"""Infers the state of a search from the evidence: suspects, their probabilities, and the cost of testing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.bayes.crashchance import CrashChance
from pytest_kbisect.strategies.bayes.partition import Partition
from pytest_kbisect.strategies.bayes.posterior import by_kernel, infer
from pytest_kbisect.strategies.bayes.testable import (
    Testable,
    boot_failures,
    ends_otherwise,
    hardly_speaks,
    is_dark,
    is_dead,
    speaking,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_kbisect.evidence.by_kernel import Evidence, Prices
    from pytest_kbisect.evidence.known_verdict import KnownVerdict
    from pytest_kbisect.evidence.run_counts import RunCounts
    from pytest_kbisect.history.ancestry import Flags, Weights
    from pytest_kbisect.history.candidates import History
    from pytest_kbisect.strategies.bayes.crashchance import Matrix
    from pytest_kbisect.strategies.bayes.posterior import Posterior

MOST_RUNS = 600
"""A kernel with this many informative runs is not tested again: its crash rate is known."""

_EQUAL = 1e-6
"""A smaller relative difference of probabilities is rounding."""


@dataclass(frozen=True)
class Alternatives:
    """The commits that could be tested next. Arrays are by commit, with the good end last.

    `share[i, k]` is the part of class k that commit i contains. The last column is for no culprit in the
    range: 1 if every commit then crashes because it is bad. `testable[i]` is the chance that i can be tested.
    `built[i]`: its kernel exists and costs no build. `speaks[i]` is the part of its runs, among those that
    boot, that is expected to be evidence. With `fix` commits that contain the culprit do not crash.
    """

    share: Matrix
    testable: Weights
    built: Flags
    speaks: Weights
    fix: bool = False

    def of(self, commits: NDArray[np.intp]) -> Alternatives:
        """The same for some of the commits."""
        return Alternatives(
            self.share[commits], self.testable[commits], self.built[commits], self.speaks[commits], self.fix
        )


@dataclass(frozen=True)
class State:
    """The state of a search, as inferred from the evidence.

    `partition` has the classes of suspects, `posterior` their probabilities. `untestable` are commits that
    could not be tested. `enclosed` marks, by commit, the inside of regions that cannot be tested. `prices`
    are as measured so far. `width` is the number of runs of a wave that are expected to boot.
    """

    model: CrashChance
    partition: Partition
    posterior: Posterior
    alternatives: Alternatives
    untestable: frozenset[int]
    enclosed: Flags
    prices: Prices
    width: int

    def chance_of_bug(self, commit: int) -> float:
        """The probability that a commit has the bug."""
        chance: float = self.alternatives.share[commit] @ self.posterior.classes
        return 1 - chance if self.alternatives.fix else chance

    @cached_property
    def separable(self) -> float:
        """The probability of all hypotheses but the suspects inside of untestable regions.

        Builds probably do not distinguish those from each other.
        """
        return 1 - float(self.each_commit()[self.enclosed].sum())

    def each_commit(self) -> Weights:
        """For each commit of the history, the probability that it is the culprit."""
        each = np.zeros(len(self.alternatives.built) - 1)
        for k, probability in enumerate(self.posterior.each.tolist()):
            each[self.partition.members(k)] = probability
        return each

    def suspects(self, confidence: float) -> tuple[tuple[int, float], ...]:
        """The smallest set of commits with this probability of the culprit, most likely first.

        The set consists of whole classes: commits that are equally likely are all in it, or none of them is.
        """
        found: list[tuple[int, float]] = []
        total = 0.0
        each = self.posterior.each
        least = np.inf
        for k in np.argsort(-each, kind="stable").tolist():
            if each[k] <= 0 or (total >= confidence and each[k] < least):
                break
            least = each[k] * (1 - _EQUAL)
            members = self.partition.members(k).tolist()
            found += [(int(i), float(each[k])) for i in members]
            total += float(each[k]) * len(members)
        return tuple(found)


class Inference:
    """Computes the State for evidence. Keeps results that the next call can reuse.

    `prior` is the weight of each commit. `outside` is the prior of no culprit in the range. `guess` is the
    assumed cost of builds and runs until it is measured. `known` are verdicts from elsewhere.
    """

    def __init__(
        self,
        history: History,
        *,
        prior: Weights,
        outside: float,
        guess: Prices,
        fix: bool,
        known: Sequence[KnownVerdict] = (),
    ) -> None:
        self._history = history
        self._prior = np.where(history.suspects, prior, 0.0)
        self._outside = outside
        self._guess = guess
        self._fix = fix
        self._known = tuple(known)
        self._model = CrashChance()
        self._testable = Testable(history)
        self._partition: Partition | None = None
        self._never: tuple[int, ...] = ()

    def state(self, evidence: Evidence) -> State:
        """The state for this evidence."""
        failing = boot_failures(evidence)
        all_counts = {i: evidence.counts(i) for i in evidence.built}
        otherwise = ends_otherwise(evidence)
        dead = [
            i
            for i, counts in all_counts.items()
            if is_dead(counts, failing) or is_dark(counts, otherwise) or hardly_speaks(counts)
        ]
        told = (one.commit for one in self._known)
        spoke = [i for i, counts in all_counts.items() if counts.informative or counts.credited]
        tests = tuple(dict.fromkeys((*told, *spoke)))
        partition = self._classes(tests, evidence.never)
        posterior = infer(self._model, partition, evidence, self._outside, fix=self._fix, known=self._known)
        works = tuple(i for i in evidence.built if i not in dead)
        broken = (*(i for i in evidence.tried if evidence.builds(i) is False), *dead)
        built = np.zeros(len(self._history) + 1, dtype=bool)
        built[list(works)] = True
        speaks = np.ones(len(self._history) + 1)
        speaks[list(works)] = [speaking(all_counts[i], 1.0 - failing) for i in works]
        prices = evidence.prices(self._guess)
        return State(
            model=self._model,
            partition=partition,
            posterior=posterior,
            alternatives=Alternatives(
                self._share(partition, evidence),
                self._testable_chances(works, broken, all_counts),
                built,
                speaks,
                self._fix,
            ),
            untestable=frozenset(broken),
            enclosed=self._testable.enclosed((*works, *spoke), tuple(set(broken).difference(spoke))),
            prices=prices,
            width=max(1, round(prices.width * (1.0 - failing))),
        )

    def _share(self, partition: Partition, evidence: Evidence) -> Matrix:
        share = partition.share
        for first, *others in by_kernel(partition, evidence):
            # The runs of a kernel count as those of its first commit. Runs at the others add nothing else.
            share[[partition.tests[at] for at in others]] = share[partition.tests[first]]
        if self._fix:
            share[:, -1] = 0.0
        return share

    def _testable_chances(
        self, works: tuple[int, ...], broken: tuple[int, ...], all_counts: dict[int, RunCounts]
    ) -> Weights:
        good_end = 0.0 if GOOD_END in broken else 1.0
        testable = np.append(self._testable.chances(works, broken), good_end)
        testable[[i for i in works if all_counts[i].informative + all_counts[i].credited >= MOST_RUNS]] = 0.0
        return testable

    def _classes(self, tests: tuple[int, ...], never: tuple[int, ...]) -> Partition:
        """The suspects, split by these tests. Reuses the partition of the last call if possible.

        Commits that are contained in a commit that `never` had the bug are not suspects.
        """
        known = self._partition
        if known is None or tuple(known.tests) != tests[: len(known.tests)] or never != self._never:
            prior = self._prior.copy()
            for i in never:
                prior[self._history.ancestry.ancestors(i)] = 0.0
            known, self._never = Partition(self._history.ancestry, prior), never
        for i in tests[len(known.tests) :]:
            known.split(i)
        self._partition = known
        return known
