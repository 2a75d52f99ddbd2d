"""What the evidence comes to: the suspects, how likely each is, and what a test of each would cost."""

from __future__ import annotations

from dataclasses import dataclass
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
"""Runs that spoke, after which a kernel is not tested again: they say what it does, if not what it means."""

_EQUAL = 1e-6
"""Relative difference of probabilities that is no more than rounding."""


@dataclass(frozen=True)
class Alternatives:
    """The commits that could be tested next. Arrays by commit, the good end last.

    `share[i, k]` is the part of class k that i contains (the last column is for no culprit in
    the range: 1 where every commit crashes for being bad); `testable` the chance that i can be tested;
    `built`: its kernel is there, and costs no build; `speaks` the part of its runs, of those that come up,
    that can be expected to be evidence. With `fix` commits that contain the culprit do not crash.
    """

    share: Matrix
    testable: Weights
    built: Flags
    speaks: Weights
    fix: bool = False

    def of(self, commits: NDArray[np.intp]) -> Alternatives:
        """The same of some commits."""
        return Alternatives(
            self.share[commits], self.testable[commits], self.built[commits], self.speaks[commits], self.fix
        )


@dataclass(frozen=True)
class State:
    """What the evidence comes to.

    `partition` has the classes of suspects, `posterior` their probabilities, `untestable` are commits that
    were tried in vain. `prices` are as measured so far; `width` is the number of runs of a wave that can be
    expected to be evidence.
    """

    model: CrashChance
    partition: Partition
    posterior: Posterior
    alternatives: Alternatives
    untestable: frozenset[int]
    prices: Prices
    width: int

    def chance_of_bug(self, commit: int) -> float:
        """The probability that a commit has the bug."""
        chance: float = self.alternatives.share[commit] @ self.posterior.classes
        return 1 - chance if self.alternatives.fix else chance

    def each_commit(self) -> Weights:
        """Of each commit of the history, the probability that it is the culprit."""
        each = np.zeros(len(self.alternatives.built) - 1)
        for k, probability in enumerate(self.posterior.each.tolist()):
            each[self.partition.members(k)] = probability
        return each

    def suspects(self, confidence: float) -> tuple[tuple[int, float], ...]:
        """The fewest commits that hold the culprit with this confidence, most likely first.

        Whole classes: of commits that are equally likely all are listed, or none.
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
    """From evidence to State. Keeps what the next call can use again.

    `prior` gives each commit's weight, `outside` is the prior of no culprit in the range; `guess` is what
    builds and runs are thought to cost until they are measured; `known` are verdicts from elsewhere.
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
        """What this evidence comes to."""
        failing = boot_failures(evidence)
        all_counts = {i: evidence.counts(i) for i in evidence.built}
        otherwise = ends_otherwise(evidence)
        dead = [
            i
            for i, counts in all_counts.items()
            if is_dead(counts, failing) or is_dark(counts, otherwise) or hardly_speaks(counts)
        ]
        told = (one.commit for one in self._known)
        spoke = (i for i, counts in all_counts.items() if counts.informative or counts.credited)
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
            prices=prices,
            width=max(1, round(prices.width * (1.0 - failing))),
        )

    def _share(self, partition: Partition, evidence: Evidence) -> Matrix:
        share = partition.share
        for first, *others in by_kernel(partition, evidence):
            # Its runs are weighed as the first commit's: those of another tell nothing else.
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
        """The suspects told apart by these tests; the work of the last call is used where it can be.

        What commits that `never` had the bug contain is no suspect.
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
