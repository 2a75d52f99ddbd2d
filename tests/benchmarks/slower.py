"""Bisect a history of a real kernel in which a commit makes a system call slower; say what it took.

    python tests/benchmarks/slower.py icount|clock [--statements N] [options...]

`icount`: by 3 % (2 statements of 3 instructions), with --kbisect-icount. `clock`: by 30 % (40 statements),
measured by the guest's clock. 64 commits over the demo's first; builds about ten kernels, each of one changed
file.
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

from linux_commits import clone_of_demo
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
    folder = told.folder or Path(tempfile.mkdtemp(prefix="slower-"))
    folder.mkdir(parents=True, exist_ok=True)
    reproducer = folder / planted.reproducer
    reproducer.write_text(planted.text)
    clock = ["--kbisect-icount"] if told.clock == "icount" else []
    started = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", str(reproducer), f"--kbisect-kernel={linux.path}", *clock),
            *(f"--kbisect-range={line[0]}..{line[-1]}", f"--kbisect-dir={folder / 'result'}", *more),
        ],
        cwd=folder,
        check=False,
    )
    seconds = time.monotonic() - started
    answer = json.loads((folder / "result" / "result.json").read_text())
    position = {sha: number - 1 for number, sha in enumerate(line)}
    print(
        f"{told.clock}: exit {done.returncode}, {answer['kind']}, found {position.get(answer['culprit'])} (right: "
        f"{CULPRIT}), confidence {answer['confidence']:.3f}: {answer['crash'] or answer['reason']}, revert "
        f"{answer['confirmation'].get('revert')}"
    )
    print(
        f"  builds {answer['builds']}, commits {answer['revisions_tested']}, runs {answer['runs']}, "
        f"{seconds / 60:.1f} minutes; tested {[one['position'] for one in answer['tested']]}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
