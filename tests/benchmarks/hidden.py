"""Bisect histories of real kernels in which something hides the bug, and say what it took.

    python tests/benchmarks/hidden.py warning|oops|refusal [--cache DIR] [options of pytest...]

80 commits over the demo's first. `warning` and `oops`: in the middle third the reproducer first comes to
another one. `refusal`: the bug comes in early, and in the middle half the kernel does not let the
reproducer come to it. Builds about ten kernels, each of one changed file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from hidden_bugs import REPRODUCER, Hides, Plan, make
from linux_commits import clone_of_demo

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
    folder = told.folder or Path(tempfile.mkdtemp(prefix="hidden-"))
    folder.mkdir(parents=True, exist_ok=True)
    reproducer = folder / "kbx.c"
    reproducer.write_text(REPRODUCER)
    started = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", str(reproducer), f"--kbisect-kernel={linux.path}"),
            *(f"--kbisect-range={line[0]}..{line[-1]}", f"--kbisect-dir={folder / 'result'}", *more),
        ],
        cwd=folder,
        check=False,
    )
    seconds = time.monotonic() - started
    answer = json.loads((folder / "result" / "result.json").read_text())
    position = {sha: number - 1 for number, sha in enumerate(line)}
    found = position.get(answer["culprit"])
    listed = sorted(position[sha] for sha, _, _ in answer["candidates"])
    print(
        f"{told.plan}: exit {done.returncode}, {answer['kind']}, found {found} (right: {plan.culprit}), "
        f"confidence {answer['confidence']:.3f}, flags {answer['flags']}, "
        f"candidates {len(listed)} {'with' if plan.culprit in listed else 'without'} the culprit {listed[:1]}..{listed[-1:]}"
    )
    print(
        f"  builds {answer['builds']}, commits {answer['revisions_tested']}, runs {answer['runs']}, "
        f"{seconds / 60:.1f} minutes; tested {[one['position'] for one in answer['tested']]}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
