"""Bisect histories of a real kernel in which a commit brings a failure that is no crash; say what it took.

    python tests/benchmarks/symptoms.py listen|boot-panic|boot-hang|build|proc-file|kunit [options...]

64 commits over the demo's first. Builds about ten kernels, each of one changed file.
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
    folder = told.folder or Path(tempfile.mkdtemp(prefix="symptom-"))
    folder.mkdir(parents=True, exist_ok=True)
    reproducer = folder / planted.reproducer
    reproducer.write_text(planted.text)
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
    print(
        f"{told.plan}: exit {done.returncode}, {answer['kind']}, found {position.get(answer['culprit'])} (right: "
        f"{CULPRIT}), confidence {answer['confidence']:.3f}, known by {answer['crash']!r} (right: {planted.title!r}), "
        f"revert {answer['confirmation'].get('revert')}"
    )
    print(
        f"  builds {answer['builds']}, commits {answer['revisions_tested']}, runs {answer['runs']}, "
        f"{seconds / 60:.1f} minutes; tested {[one['position'] for one in answer['tested']]}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
