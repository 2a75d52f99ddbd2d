"""What a prior saves and what a wrong one costs; and rounds of several builders.

    python tests/benchmarks/worth.py GRAPH[.gz] [--trials 40]

GRAPH has a line a commit, oldest first: the indices of its parents (-1 and below: outside). Priors are
simulated: a part of the commits, drawn at random, touch the files of the crash; the culprit is one of
them (the hint is right), or any commit (it is wrong). Weights are those of
`bisection/strategies/bayes/priors.py`, a fifth of the mass stays uniform.
"""

from __future__ import annotations

import argparse
import gzip
import math
import random
import sys
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from adapters import prices, session
from simulated import World, line

from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.history.candidates import History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.bayes.priors import weights
from pytest_kbisect.strategies.strategy import Answer

if TYPE_CHECKING:
    from pytest_kbisect.history.ancestry import Weights

CHANCE = 0.5
"""How often the bugs crash; at 0.5 a search is nearly all builds."""
TOUCHED = 0.6
"""Part of the commits that touch something the build reads, as in a small configuration."""


def read_graph(path: Path) -> History:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    rows = [tuple(map(int, row.split())) for row in text.splitlines() if not row.startswith("#")]
    return History(tuple(f"{i:040x}" for i in range(len(rows))), tuple(row or (-1,) for row in rows))


def bisect(world: World, prior: Weights | None = None, builders: int = 1) -> tuple[bool, int, int]:
    """Whether the answer is right, builds, and rounds of `builders` experiments at a time."""
    strategy = Bayes(world.history, prices=prices(world), prior=prior)
    evidence, rounds = Evidence(world.history), 0
    while not isinstance(wanted := strategy.batch(evidence, builders), Answer):
        rounds += 1
        for experiment in wanted:
            evidence.add(experiment.commit, session(world, experiment))
    return wanted.culprit == world.culprit, len(world.built), rounds


def simulated_prior(
    history: History, culprit: int, share: float, rng: random.Random, *, right: bool
) -> Weights:
    """A prior from files: `share` of the commits touch the crash's file, the culprit if the hint is right."""
    files = {}
    for i, sha in enumerate(history.commits):
        stack = rng.random() < share if i != culprit else right
        read = rng.random() < TOUCHED if i != culprit else right
        files[sha] = ("net/crash.c",) if stack else ("net/core/dev.c",) if read else ("arch/other/boot.c",)
    return weights(history.commits, files, stack={"net/crash.c"}, read={"net/crash.c", "net/core/dev.c"})


def priors(history: History, trials: int) -> None:
    suspects = np.flatnonzero(history.suspects).tolist()
    print(f"{len(suspects)} commits, crash chance {CHANCE}: builds, right answers in per cent")
    table: dict[str, list[tuple[bool, int, int]]] = {}
    for seed in range(trials):
        rng = random.Random(seed)
        world = {"culprit": rng.choice(suspects), "p": CHANCE, "seed": seed}
        table.setdefault("no prior", []).append(bisect(World(history, **world)))
        for share in (0.03, 0.005):
            for right in (True, False):
                prior = simulated_prior(history, world["culprit"], share, rng, right=right)
                name = (
                    f"{share:.1%} of the commits touch the file, the culprit {'too' if right else 'does not'}"
                )
                table.setdefault(name, []).append(bisect(World(history, **world), prior))
    for name, rows in table.items():
        print(f"  {name:<62} {fmean(row[1] for row in rows):5.1f} {100 * fmean(row[0] for row in rows):4.0f}")


def rounds(trials: int) -> None:
    size = 1000
    history = line(size)
    print(f"{size} commits, several builders: rounds but the bad end's, and log2(N) / log2(M + 1)")
    for builders in (1, 2, 3, 4, 8):
        rows = []
        for seed in range(trials):
            rng = random.Random(seed)
            rows.append(bisect(World(history, rng.randrange(size), CHANCE, seed=seed), builders=builders))
        least = math.log2(size) / math.log2(builders + 1)
        print(
            f"  M={builders}: {fmean(row[2] for row in rows) - 1:5.2f} rounds, least {least:5.2f},"
            f" {fmean(row[1] for row in rows):5.1f} builds, right {100 * fmean(row[0] for row in rows):4.0f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graph", type=Path)
    parser.add_argument("--trials", type=int, default=40)
    arguments = parser.parse_args()
    rounds(arguments.trials)
    priors(read_graph(arguments.graph), arguments.trials)
    return 0


if __name__ == "__main__":
    sys.exit(main())
