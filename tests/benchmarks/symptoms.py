"""Bisect histories of a real kernel in which a commit brings a failure that is no crash; say what it took.

    python tests/benchmarks/symptoms.py listen|boot-panic|boot-hang|build|proc-file|kunit [options...]

64 commits over the demo's first. Builds about ten kernels, each of one changed file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from linux_commits import clone_of_demo
from planted_run import bisect
from planted_symptoms import PLANTED, make

from pytest_kbisect.options import default_cache

COMMITS, CULPRIT = 64, 41


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("plan", choices=PLANTED)
    parser.add_argument("--folder", type=Path)
    told, more = parser.parse_known_args()
    planted = PLANTED[told.plan]
    linux = clone_of_demo(default_cache())
    line = make(linux, planted, COMMITS, CULPRIT)
    made = bisect(linux, line, {planted.reproducer: planted.text}, more, folder=told.folder)
    answer = made.answer
    print(
        f"{told.plan}: exit {made.code}, {answer['kind']}, found {made.found} (right: "
        f"{CULPRIT}), confidence {answer['confidence']:.3f}, known by {answer['crash']!r} (right: {planted.title!r}), "
        f"revert {answer['confirmation'].get('revert')}"
    )
    print(made.cost)
    return 0


if __name__ == "__main__":
    sys.exit(main())
