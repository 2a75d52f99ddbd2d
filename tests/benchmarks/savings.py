"""What each way of doing less saves: whole bisections, with one of them switched off at a time.

    python tests/benchmarks/savings.py --kernel DIR --range A..B --culprit SHA [--only NAME] REPRODUCER.c

DIR is a git tree of Linux. Every bisection begins in the same state: the first kernel is built, nothing
else. The ways are

    restoring    guests are restored from a frozen one; without: booted for each run
    sharing      equal kernels share their evidence; without: each commit is tested for itself
    skipping     a commit that changes nothing that was read takes the kernel there is; without: make
    narrowing    make enters only directories in which something changed; without: all
    prefetching  the next commit is built while guests run; without: when it is wanted

All but the last are measured with `-n 2`. Building ahead needs a processor that guests leave, so it is
compared with `-n 1` on a machine of two, and shows with a flaky bug only: otherwise runs are over before a
build is, and nothing is built ahead. For that reason the others must not be measured on a machine of more
(the process that builds ahead would still skip). This file is the pytest plugin that switches
off, too: SWITCH names what, in the environment of the driver and of its sessions.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SWITCH = "KBISECT_BENCHMARK_WITHOUT"
WAYS = {"restoring": 2, "sharing": 2, "skipping": 2, "narrowing": 2, "prefetching": 1}
"""Guests at a time with which each is measured."""


def switch_off(way: str) -> None:
    """In a process of a bisection: do without."""
    if way == "sharing":
        from pytest_kbisect.evidence.by_kernel import Evidence

        join = Evidence._join

        def joined_to_none(evidence: Evidence, index: int, signature: str) -> None:
            own = f" at {index}"
            join(evidence, index, f"{signature.removesuffix(own)}{own}" if signature else "")

        Evidence._join = joined_to_none  # type: ignore[method-assign]
    elif way == "skipping":
        from pytest_kbisect.kernel import reuse

        reuse.take_over = lambda *_: None  # type: ignore[assignment]
    elif way == "narrowing":
        from pytest_kbisect.kernel import partial_make

        partial_make.directories = lambda *_: None  # type: ignore[assignment]
    elif way == "prefetching":
        from pytest_kbisect.bisection import driver

        driver._ahead = lambda *_: contextlib.nullcontext()  # type: ignore[assignment]


def bisection(arguments: argparse.Namespace, work: Path, way: str, guests: int) -> dict[str, float]:
    """One bisection from the state that was kept; what it took."""
    cache, results = work / "cache", work / "results"
    for folder in (cache, results):
        shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["cp", "-a", work / "kept", cache], check=True)
    began = time.monotonic()
    done = pytest(
        arguments,
        work,
        *(f"-n{guests}", f"--kbisect-range={arguments.range}", f"--kbisect-dir={results}"),
        *(["--kbisect-fresh-boot"] if way == "restoring" else []),
        way=way,
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"without {way or 'nothing'}: exit code {done.returncode}\n{done.stdout[-2000:]}")
    told = json.loads((results / "result.json").read_text())
    assert told["culprit"].startswith(arguments.culprit), told["culprit"]
    spent = told["seconds"]
    return {"all": seconds, "build": spent["build"], "test": spent["test"]} | {
        name: told[name] for name in ("revisions_tested", "builds", "runs")
    }


def pytest(
    arguments: argparse.Namespace, work: Path, *words: str, way: str = ""
) -> subprocess.CompletedProcess[str]:
    here = str(Path(__file__).parent)
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "savings", f"--kbisect-cache={work / 'cache'}"),
            *(f"--kbisect-kernel={arguments.kernel}", arguments.reproducer, *words),
        ],
        cwd=work,
        env=os.environ | {SWITCH: way, "PYTHONPATH": here},
        capture_output=True,
        text=True,
        check=False,
    )


def main() -> None:
    from whole import asking  # not where this file is a plugin

    parser = asking(__doc__)
    parser.add_argument("--only", choices=WAYS, action="append")
    arguments = parser.parse_args()
    arguments.reproducer = str(Path(arguments.reproducer).absolute())
    arguments.kernel = str(Path(arguments.kernel).absolute())
    wanted = arguments.only or list(WAYS)
    with tempfile.TemporaryDirectory(prefix="savings-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        work = Path(folder)
        bad = arguments.range.split("..")[1]
        pytest(arguments, work, f"--kbisect-commit={bad}", "--kbisect-runs=1")
        shutil.copytree(work / "cache", work / "kept", symlinks=True)
        base = {}
        for guests in sorted({WAYS[way] for way in wanted}, reverse=True):
            base[guests] = bisection(arguments, work, "", guests)
            print(f"all of them, -n {guests}: {told(base[guests])}", flush=True)
        for way in wanted:
            without = bisection(arguments, work, way, WAYS[way])
            saved = without["all"] - base[WAYS[way]]["all"]
            print(f"without {way}, -n {WAYS[way]}: {told(without)}; it saves {saved:.0f} s", flush=True)


def told(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.0f}" for name, value in seconds.items())


if os.environ.get(SWITCH):
    switch_off(os.environ[SWITCH])
if __name__ == "__main__":
    main()
