"""How often an answer is right, by the confidence it was given with: over thousands of simulated bisections.

    python tests/benchmarks/calibration.py [--trials 2000] [--seed 0]

Every trial draws its own bug: how often it crashes, noise, failed boots, drift of the chance along the
history, the size of the range, and the confidence that is asked for. After every experiment the strategy
is also asked for what it would say if it had to stop there, as where a budget ends: the first such answer
counts too. Printed by what answers say: how many, how often they are right, and the mean of what they say.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parent))
from adapters import prices, session
from simulated import World, line

from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.strategy import Answer, Experiment

BINS = ((0.0, 0.9), (0.9, 0.95), (0.95, 0.99), (0.99, 1.01))
SIZES = (30, 100, 300, 1000)
HISTORIES = {size: line(size) for size in SIZES}


def trial(seed: int) -> list[tuple[float, bool, bool]]:
    """Of the last answer, and the first that could have been given: confidence, whether one commit was
    named, whether the answer holds the culprit.
    """
    rng = random.Random(seed)
    history = HISTORIES[rng.choice(SIZES)]
    world = World(
        history,
        culprit=rng.randrange(len(history)),
        p=rng.choice((1.0, 0.8, 0.5, 0.3, 0.2, 0.1)),
        q=rng.choice((0.0, 0.0, 0.01)),
        b=rng.choice((0.0, 0.2)),
        drift=rng.choice((0.0, 0.0, 0.3, 0.6)),
        seed=seed,
    )
    confidence = rng.choice((0.9, 0.95, 0.99))
    strategy, evidence = Bayes(history, confidence=confidence, prices=prices(world)), Evidence(history)
    answers: list[Answer] = []
    while isinstance(decision := strategy.decide(evidence), Experiment):
        evidence.add(decision.commit, session(world, decision))
        known = strategy.conclude(evidence)
        if not answers and known.culprit is not None:
            answers.append(known)
    answers.append(decision)
    return [_judged(answer, world.culprit) for answer in answers]


def _judged(answer: Answer, culprit: int) -> tuple[float, bool, bool]:
    named = answer.culprit is not None
    held = culprit in ({answer.culprit} if named else {i for i, _ in answer.candidates})
    return answer.confidence, named, held


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    done = [answer for n in range(arguments.trials) for answer in trial(arguments.seed + n)]
    named = sum(named for _, named, _ in done)
    print(f"{arguments.trials} bisections, {len(done)} answers, of which {named} name one commit")
    off = 0.0
    for low, high in BINS:
        told = [(said, right) for said, named, right in done if named and low <= said < high]
        if told:
            said, right = fmean(said for said, _ in told), fmean(right for _, right in told)
            print(
                f"  told {low:.2f} to {min(high, 1):.2f}: {len(told):5}, right {right:.3f}, said {said:.3f}"
            )
            off = max(off, abs(right - said) if len(told) >= 50 else 0.0)
    sets = [(said, held) for said, named, held in done if not named and said]
    if sets:
        print(
            f"  sets of candidates: {len(sets)}, hold the culprit {fmean(held for _, held in sets):.3f},"
            f" said {fmean(said for said, _ in sets):.3f}"
        )
    print(f"furthest off: {100 * off:.1f} points")
    return 0


if __name__ == "__main__":
    sys.exit(main())
