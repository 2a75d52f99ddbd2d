"""Worlds that are harder than a bug in a line of commits: masks, silence, chances and noise that change.

    python tests/benchmarks/worlds.py [NAME ...] [--trials 40] [--seed 0] [--size 300]

Every trial is a whole search as the driver makes it, the confirmation of its answer included. Printed by
world, of the strategy alone and after the confirmation: how many answers name the culprit with the
confidence that was asked for, how many name another commit so, how many name neither and list the culprit
among the candidates (`set holds`) or not (`set lacks`); then, on average, builds, those of the region that
cannot speak, runs, hours, and how many candidates are listed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, TypeAlias

sys.path.insert(0, str(Path(__file__).parent))
from adapters import prices, session
from played_sessions import GOOD, Sessions
from simulated import World, line

from pytest_kbisect.bisection.search import Rules, Search
from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run
from pytest_kbisect.reports.terminal import TerminalReporter
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.strategy import Answer, Experiment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_kbisect.evidence.run_counts import RunCounts
    from pytest_kbisect.history.candidates import History

MASK = Run(Outcome.CRASHED, title="BUG: unable to handle page fault in mask", type="BUG", frame="mask")
SILENT = Run(Outcome.OK, message="did not reach the code")
CONFIDENCE = 0.95


@dataclass
class Strange(World):
    """A world with a region whose kernels cannot show the bug, and crash chances that change at a commit.

    Every run of a kernel of the `region` ends as `ends` (None: it does not build). Commits older than
    `changed` crash with the chance `before` in place of p; good commits from `noisy` on with `noise`, not q.
    """

    region: range = range(0)
    ends: Run | None = None
    changed: int = 0
    before: float = 0.0
    noisy: int = 0
    noise: float = 0.0

    def build(self, i: int) -> bool:
        super().build(i)
        return i not in self.region or self.ends is not None

    def chance(self, i: int) -> float:
        if i < self.culprit:
            return self.noise if self.noise and i >= self.noisy else self.q
        return self.before if i < self.changed else self.p

    def made(self, experiment: Experiment) -> CommitResult:
        """What a session finds."""
        tested = session(self, experiment)
        if tested.build_error or experiment.commit not in self.region:
            return tested
        assert self.ends is not None
        return replace(tested, runs=(replace(self.ends, seconds=self.RUN),) * len(tested.runs))


Make: TypeAlias = "Callable[[History, random.Random], dict[str, Any]]"
"""Draws what is particular to one world of a kind."""


def plain(p: float, q: float = 0.0) -> Make:
    return lambda history, rng: {"culprit": rng.randrange(1, len(history) - 1), "p": p, "q": q}


def region(where: str, ends: Run | None, *, p: float = 1.0, share: float | None = None) -> Make:
    """A region of 10 to 60 % of the range (`share`: so much of it), of the culprit's surroundings or not.

    `where`: "apart" from the culprit, "over" it, its last commit "before" it, its first one "after" it (so
    that the culprit itself can be tested, or is the last commit that can), or "any"where.
    """

    def make(history: History, rng: random.Random) -> dict[str, Any]:
        size = len(history)
        width = int(size * (share or rng.uniform(0.1, 0.6)))
        while True:
            start, culprit = rng.randrange(1, size - width - 1), rng.randrange(2, size - 2)
            if where == "before":
                culprit = start + width
            elif where == "after":
                culprit = start - 1
            elif where == "over":
                culprit = rng.randrange(start + 1, start + width - 1)
            chosen = range(start, start + width)
            if 0 < culprit < size - 1 and (
                where != "apart" or not chosen.start - 2 <= culprit <= chosen.stop + 2
            ):
                return {"culprit": culprit, "p": p, "region": chosen, "ends": ends}

    return make


def changing(before: float, p: float) -> Make:
    """The crash chance changes inside the bad part."""

    def make(history: History, rng: random.Random) -> dict[str, Any]:
        size = len(history)
        culprit = rng.randrange(size // 10, size * 6 // 10)
        changed = rng.randrange(culprit + size // 10, size * 9 // 10)
        return {"culprit": culprit, "p": p, "changed": changed, "before": before}

    return make


def noisy_half(noise: float, p: float) -> Make:
    """Good commits of the newer half show the bug's title."""

    def make(history: History, rng: random.Random) -> dict[str, Any]:
        size = len(history)
        return {
            "culprit": rng.randrange(size // 2 + 1, size - 1),
            "p": p,
            "noisy": size // 2,
            "noise": noise,
        }

    return make


UNSEEN = Run(Outcome.OK)
WORLDS: dict[str, Make] = {
    "control": plain(1.0),
    "p .2": plain(0.2),
    "p .05": plain(0.05),
    "broken apart": region("apart", None),
    "broken over": region("over", None),
    "broken before": region("before", None),
    "masked apart": region("apart", MASK),
    "masked over": region("over", MASK),
    "masked before": region("before", MASK),
    "masked after": region("after", MASK),
    "masked 30 %": region("over", MASK, share=0.3),
    "masked p .3": region("any", MASK, p=0.3),
    "silent apart": region("apart", SILENT),
    "silent over": region("over", SILENT),
    "silent before": region("before", SILENT),
    "silent p .3": region("any", SILENT, p=0.3),
    "unwatched over": region("over", UNSEEN),
    "change .05 to .5": changing(0.05, 0.5),
    "change .1 to .5": changing(0.1, 0.5),
    "change .25 to 1": changing(0.25, 1.0),
    "change .5 to .1": changing(0.5, 0.1),
    "noise 5 % newer": noisy_half(0.05, 0.2),
    "noise 1 %": plain(0.05, 0.01),
}


class Watched(Evidence):
    """Knows the runs that did not reach the code."""

    def count(self, runs: Iterable[Run]) -> RunCounts:
        made = list(runs)
        heard = [run for run in made if run.message != SILENT.message]
        return replace(super().count(heard), silent=len(made) - len(heard))


class FirstAnswer(Bayes):
    """Remembers its first answer: what it says before anything is confirmed."""

    first: Answer | None = None

    def decide(self, evidence: Evidence) -> Experiment | Answer:
        decision = super().decide(evidence)
        if isinstance(decision, Answer) and self.first is None:
            self.first = decision
        return decision


def trial(make: Make, size: int, seed: int) -> tuple[Strange, Answer, Answer]:
    """The world as it was left, the strategy's own answer, and that of the whole search."""
    history = line(size)
    world = Strange(history, **make(history, random.Random(seed)), seed=seed)
    strategy = FirstAnswer(history, prices=prices(world), confidence=CONFIDENCE)
    evidence = Watched(history, trusted=True)
    search = Search(GOOD, history, evidence, strategy, Sessions(world), TerminalReporter(), Rules())  # type: ignore[arg-type]
    with contextlib.redirect_stdout(io.StringIO()):
        answer = search.run()
    return world, strategy.first or answer, answer


def judged(answer: Answer, culprit: int) -> str:
    if answer.culprit is not None and answer.confidence >= CONFIDENCE:
        return "right" if answer.culprit == culprit else "wrong"
    held = culprit in {answer.culprit, *(i for i, _ in answer.candidates)}
    return "set holds" if held else "set lacks"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=300)
    arguments = parser.parse_args()
    ends = ("right", "wrong", "set holds", "set lacks")
    print(
        f"{arguments.trials} searches a world, {arguments.size} commits in a line; right/wrong/set holds/set lacks"
    )
    print(
        f"{'world':<18} {'alone':>13} {'confirmed':>13} {'builds':>7} {'region':>7} {'runs':>7} {'hours':>6} {'listed':>6}"
    )
    for name, make in WORLDS.items():
        if arguments.names and not any(name.startswith(wanted) for wanted in arguments.names):
            continue
        rows = [trial(make, arguments.size, arguments.seed + n) for n in range(arguments.trials)]
        alone = Counter(judged(first, world.culprit) for world, first, _ in rows)
        after = Counter(judged(answer, world.culprit) for world, _, answer in rows)
        worlds = [world for world, _, _ in rows]
        means = (
            fmean(len(world.built) for world in worlds),
            fmean(sum(i in world.region for i in world.built) for world in worlds),
            fmean(world.runs for world in worlds),
            fmean(world.seconds for world in worlds) / 3600,
            fmean(len(answer.candidates) for _, _, answer in rows),
        )
        cells = ["/".join(str(counts[end]) for end in ends) for counts in (alone, after)]
        print(
            f"{name:<18} {cells[0]:>13} {cells[1]:>13} {means[0]:7.1f} {means[1]:7.1f} {means[2]:7.0f}"
            f" {means[3]:6.2f} {means[4]:6.1f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
