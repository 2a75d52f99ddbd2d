"""A world in which to play a strategy many times: a line or a graph of commits, one of which is the culprit.

A run on a commit that contains the culprit crashes with a chance p, on another with a chance q;
before that it fails to boot with a chance b. With `drift` each twentieth of the history has a chance
of its own, evenly from p (1 - drift) to p (1 + drift). What is built is remembered; time is 300 s a
build and 60 s a wave of ten runs.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.history.candidates import History

if TYPE_CHECKING:
    from pytest_kbisect.history.ancestry import Flags


_BLOCKS = 20


def line(size: int) -> History:
    return History.line([f"{i:040x}" for i in range(size)])


@dataclass
class World:
    """One bisection to make; commits are indices, the good end is negative."""

    BUILD, RUN, WIDTH = 300.0, 60.0, 10

    history: History
    culprit: int
    p: float
    q: float = 0.0
    b: float = 0.0
    drift: float = 0.0
    seed: int = 0
    built: set[int] = field(default_factory=set)
    seconds: float = 0.0
    runs: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.seed} {self.culprit} {self.p} {self.q}")
        self._chances = [
            min(1.0, max(0.002, self.p * self._random.uniform(1 - self.drift, 1 + self.drift)))
            for _ in range(_BLOCKS)
        ]
        ancestry = self.history.ancestry
        only = np.zeros(len(self.history), dtype=bool)
        only[self.culprit] = True
        self._bad: Flags = ancestry.count(only) > 0

    def build(self, i: int) -> bool:
        if i not in self.built:
            self.built.add(i)
            self.seconds += self.BUILD
        return True

    def chance(self, i: int) -> float:
        """That a run on this commit crashes."""
        if i >= 0 and self._bad[i]:
            return self._chances[i * _BLOCKS // len(self.history)]
        return self.q

    def run(self, i: int, k: int) -> tuple[int, int, int]:
        """Crashes, ok runs, boots that failed."""
        self.runs += k
        self.seconds += self.RUN * math.ceil(k / self.WIDTH)
        chance = self.chance(i)
        boot = sum(self._random.random() < self.b for _ in range(k))
        crashed = sum(self._random.random() < chance for _ in range(k - boot))
        return crashed, k - boot - crashed, boot
