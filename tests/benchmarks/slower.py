"""Bisect a history of a real kernel in which a commit makes a system call slower; say what it took.

    python tests/benchmarks/slower.py icount|clock [--statements N] [options...]

`icount`: by 3 % (2 statements of 3 instructions), with --kbisect-icount. `clock`: by 30 % (40 statements),
measured by the guest's clock. 64 commits over the demo's first; builds about ten kernels, each of one changed
file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from linux_commits import clone_of_demo
from planted_run import bisect
from planted_symptoms import make, slower

from pytest_kbisect.options import default_cache

COMMITS, CULPRIT = 64, 41
STATEMENTS = {"icount": 2, "clock": 40}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clock", choices=STATEMENTS)
    parser.add_argument("--statements", type=int)
    parser.add_argument("--folder", type=Path)
    told, more = parser.parse_known_args()
    planted = slower(told.statements or STATEMENTS[told.clock])
    linux = clone_of_demo(default_cache())
    line = make(linux, planted, COMMITS, CULPRIT)
    clock = ["--kbisect-icount"] if told.clock == "icount" else []
    made = bisect(linux, line, {planted.reproducer: planted.text}, [*clock, *more], folder=told.folder)
    answer = made.answer
    print(
        f"{told.clock}: exit {made.code}, {answer['kind']}, found {made.found} (right: "
        f"{CULPRIT}), confidence {answer['confidence']:.3f}: {answer['crash'] or answer['reason']}, revert "
        f"{answer['confirmation'].get('revert')}"
    )
    print(made.cost)
    return 0


if __name__ == "__main__":
    sys.exit(main())
