"""What experiments would tell the default strategy, for a choice that several searches make together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.bayes.choice import FEW_WAVES, WAVES, Choice, builds_are_worth_it, every_batch
from pytest_kbisect.strategies.joint import Batches, Prospects

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytest_kbisect.strategies.bayes.state import State
    from pytest_kbisect.strategies.strategy import Experiment


class BayesProspects(Prospects):
    """Of a state; `experiment` makes an experiment of a choice, `doubt` is as in `choice.best`."""

    def __init__(self, state: State, doubt: float, experiment: Callable[[Choice], Experiment]) -> None:
        self._state = state
        self._builds = builds_are_worth_it(state, doubt)
        self._experiment = experiment
        self.build = state.prices.build
        self.session = state.prices.session
        self.built = state.alternatives.built

    def batches(self, columns: NDArray[np.intp] | None = None) -> Batches:
        lengths = FEW_WAVES if columns is None else WAVES
        alternatives = self._state.alternatives if columns is None else self._state.alternatives.of(columns)
        found = list(every_batch(self._state, alternatives, lengths))
        bits = np.array([np.where(one.worth > 0, one.counted, 0.0) for one in found])
        if not self._builds:
            bits[:, ~alternatives.built] = 0.0
        return Batches(lengths, bits, np.array([one.runs for one in found]))

    def experiment(self, column: int, length: int) -> Experiment:
        one = next(iter(every_batch(self._state, self._state.alternatives.of(np.array([column])), (length,))))
        commit = column if column < len(self.built) - 1 else GOOD_END
        return self._experiment(Choice(commit, length, float(one.bits[0]), float(one.seconds[0])))
