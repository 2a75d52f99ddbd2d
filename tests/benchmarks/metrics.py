"""Search for the commit that makes a benchmark slower, in simulated histories; print how often it is right.

    python tests/benchmarks/metrics.py [--shifts 5 10 30] [--noises 3 10] [--trials 40] [--size 1000] [--two]

Every trial is a whole search as the driver makes it, the confirmation of its answer included. A run's
value has heavy tails (Student's t with three degrees of freedom, scaled to the stated standard
deviation), and one run of fifty is anywhere up to three times the usual. `--placement P`: each kernel's
own level deviates by P per cent of its value, normally distributed. `--two`: a second step, of half the
size, is elsewhere in the range.

Printed for each shift and noise (per cent of the value): answers that name the culprit with the confidence
that was asked for, that name another commit so, and that name neither and have the culprit in their credible
set (`set holds`) or not (`set lacks`), or find no difference between the ends (`alike`); on average builds,
runs, hours and the size of the set.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
from played_sessions import GOOD, Sessions
from simulated import line

from pytest_kbisect.bisection.search import Rules, Search
from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run
from pytest_kbisect.reports.terminal import TerminalReporter
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.strategy import AnswerKind
from pytest_kbisect.symptoms.metric import NAME as METRIC

if TYPE_CHECKING:
    from pytest_kbisect.strategies.strategy import Answer, Experiment

CONFIDENCE = 0.95
WORDS = "latency higher"
USUAL = 100.0
_ODD = 0.02
_DEGREES = 3


@dataclass
class Benchmarks:
    """A range in which a metric becomes worse at the culprit by `shift`; all but indices are per cent.

    `second` is the index of a further step of half that size, -1 for none.
    """

    size: int
    culprit: int
    shift: float
    noise: float
    seed: int
    placement: float = 0.0
    second: int = -1
    built: set[int] = field(default_factory=set)
    runs: int = 0
    seconds: float = 0.0

    BUILD, RUN, SESSION = 300.0, 10.0, 10.0

    def __post_init__(self) -> None:
        self._random = random.Random(f"{self.seed} {self.culprit} {self.shift} {self.noise}")
        self._own: dict[int, float] = {}

    def level(self, i: int) -> float:
        """Of the kernel of a commit."""
        own = self._own.setdefault(i, self._random.gauss(0, self.placement))
        worse = self.shift * (i >= self.culprit) + self.shift / 2 * (0 <= self.second <= i)
        return USUAL + worse + own

    def value(self, i: int) -> float:
        """Of one run."""
        if self._random.random() < _ODD:
            return USUAL * self._random.uniform(1, 3)
        t = self._random.gauss(0, 1) / math.sqrt(self._random.gammavariate(_DEGREES / 2, 2) / _DEGREES)
        return self.level(i) * (1 + self.noise / 100 * t / math.sqrt(_DEGREES / (_DEGREES - 2)))

    def made(self, experiment: Experiment) -> CommitResult:
        """What a session finds."""
        i = experiment.commit
        cost = 0.0 if i in self.built else self.BUILD
        self.built.add(i)
        self.runs += experiment.runs
        self.seconds += cost + self.SESSION + self.RUN * experiment.runs
        runs = [
            Run(Outcome.OK, metric=WORDS, values=(self.value(i),), seconds=self.RUN)
            for _ in range(experiment.runs)
        ]
        return CommitResult(
            "",
            tuple(runs),
            f"kernel {i}",
            build_seconds=cost,
            test_seconds=self.SESSION + self.RUN * len(runs),
        )


def trial(world: Benchmarks) -> Answer:
    """The answer of a whole search."""
    history = line(world.size)
    prices = Prices(build=world.BUILD, run=world.RUN, session=world.SESSION)
    evidence = Evidence(history, trusted=True, looked_for=(METRIC,))
    strategy = Bayes(history, prices=prices, confidence=CONFIDENCE)
    search = Search(GOOD, history, evidence, strategy, Sessions(world), TerminalReporter(), Rules())  # type: ignore[arg-type]
    with contextlib.redirect_stdout(io.StringIO()):
        return search.run()


def judged(answer: Answer, culprit: int) -> str:
    if answer.kind is AnswerKind.NOT_REPRODUCED:
        return "alike"
    if answer.culprit is not None and answer.confidence >= CONFIDENCE:
        return "right" if answer.culprit == culprit else "wrong"
    held = culprit in {answer.culprit, *(i for i, _ in answer.candidates)}
    return "set holds" if held else "set lacks"


def drawn(size: int, shift: float, noise: float, seed: int, *, placement: float, two: bool) -> Benchmarks:
    """A history, drawn by its seed."""
    rng = random.Random(seed)
    culprit, second = rng.randrange(1, size - 1), rng.randrange(1, size - 1) if two else -1
    return Benchmarks(size, culprit, shift, noise, seed, placement, second)


ENDS = ("right", "wrong", "set holds", "set lacks", "alike")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shifts", type=float, nargs="+", default=[5, 10, 30])
    parser.add_argument("--noises", type=float, nargs="+", default=[3, 10])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--size", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--placement", type=float, default=0.0)
    parser.add_argument("--two", action="store_true")
    told = parser.parse_args()
    print(f"{told.trials} searches each, {told.size} commits: {'/'.join(ENDS)}")
    print(
        f"{'shift':>6} {'noise':>6} {'answers':>16} {'builds':>7} {'runs':>6} {'hours':>6} {'listed':>7} {'s each':>7}"
    )
    for shift in told.shifts:
        for noise in told.noises:
            began = time.monotonic()
            rows = []
            for seed in range(told.seed, told.seed + told.trials):
                world = drawn(told.size, shift, noise, seed, placement=told.placement, two=told.two)
                rows.append((world, trial(world)))
            counts = Counter(judged(answer, world.culprit) for world, answer in rows)
            means = (
                fmean(len(world.built) for world, _ in rows),
                fmean(world.runs for world, _ in rows),
                fmean(world.seconds for world, _ in rows) / 3600,
                fmean(len(answer.candidates) for _, answer in rows),
            )
            print(
                f"{shift:5g}% {noise:5g}% {'/'.join(str(counts[end]) for end in ENDS):>16} {means[0]:7.1f} "
                f"{means[1]:6.0f} {means[2]:6.2f} {means[3]:7.1f} {(time.monotonic() - began) / len(rows):7.1f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
