"""Bisect histories of real kernels in which something hides the bug, and say what it took.

    python tests/benchmarks/hidden.py warning|oops|refusal [--cache DIR] [options of pytest...]

80 commits over the demo's first. `warning` and `oops`: in the middle third the reproducer first comes to
another one. `refusal`: the bug comes in early, and in the middle half the kernel does not let the
reproducer come to it. Builds about ten kernels, each of one changed file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from hidden_bugs import REPRODUCER, Hides, Plan, make
from linux_commits import clone_of_demo
from planted_run import bisect

from pytest_kbisect.options import default_cache

PLANS = {
    "warning": Plan(80, 40, (27, 54), Hides.WARNING),
    "oops": Plan(80, 60, (27, 54), Hides.OOPS),
    "refusal": Plan(80, 12, (20, 60), Hides.REFUSAL),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--folder", type=Path)
    told, more = parser.parse_known_args()
    plan = PLANS[told.plan]
    linux = clone_of_demo(default_cache())
    line = make(linux, plan)
    made = bisect(linux, line, {"kbx.c": REPRODUCER}, more, folder=told.folder)
    answer = made.answer
    listed = sorted(made.positions[sha] for sha, _, _ in answer["candidates"])
    print(
        f"{told.plan}: exit {made.code}, {answer['kind']}, found {made.found} (right: {plan.culprit}), "
        f"confidence {answer['confidence']:.3f}, flags {answer['flags']}, "
        f"candidates {len(listed)} {'with' if plan.culprit in listed else 'without'} the culprit {listed[:1]}..{listed[-1:]}"
    )
    print(made.cost)
    return 0


if __name__ == "__main__":
    sys.exit(main())
