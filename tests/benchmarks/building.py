"""Building the commits of a bisection: ours, one tree with an incremental make, and clean builds.

    python tests/benchmarks/building.py --kernel DIR --range A..B --culprit SHA [--commits 12] [--clean 2]

DIR is a git tree of Linux. The commits are those that a bisection by halves asks for - both ends first,
then the middles, then the culprit's neighbours - as many as are wanted. Three ways, each from nothing:

    ours    provide(): a warm slot, a compiler cache that is empty at first, no build where nothing that
            was read differs
    tree    what `git bisect run make` does: git checkout and make in one tree, no compiler cache
    clean   the same with an empty O= folder each time; only --clean commits are built, and they count
            for all

The first commit is told apart: it is a full build for all three. Seconds are those of the clock and of
processors (user and system, of all programs that were started); on a busy machine trust the latter.
`--lock FILE`: hold this file's lock during each build.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import locks
from pytest_kbisect.errors import BuildError
from pytest_kbisect.kernel import config, toolchain
from pytest_kbisect.kernel.provide import provide
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUTPUT = ".obj"
Seconds = tuple[float, float]
"""By the clock, and of processors."""


def bisection_order(tree: LinuxTree, range_: str, culprit: str, count: int) -> list[str]:
    """B, A, the middles towards the culprit on the first-parent line, and what is next to it."""
    good, bad = range_.split("..")
    text = tree.read("rev-list", "--first-parent", "--reverse", f"{good}..{bad}", "--")
    line = [tree.resolve(good), *text.split()]
    wanted = line.index(tree.resolve(culprit))
    low, high = 0, len(line) - 1
    asked = [high, low]
    while high - low > 1:
        middle = (low + high) // 2
        asked.append(middle)
        low, high = (low, middle) if middle >= wanted else (middle, high)
    asked += [
        near
        for distance in range(1, len(line))
        for near in (wanted - distance, wanted + distance)
        if near > 0
    ]
    return [line[at] for at in dict.fromkeys(at for at in asked if at < len(line))][:count]


def measured(work: Callable[[], object], lock: str) -> Seconds:
    """What some work takes, without the time that the lock took."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    with locks.held(Path(lock)) if lock else contextlib.nullcontext():
        before, began = used(), time.monotonic()
        work()
        return time.monotonic() - began, used() - before


def ours(tree: LinuxTree, commits: list[str], cache: Path, lock: str) -> Iterator[Seconds]:
    """Leaves the configuration for the others."""
    for commit in commits:
        facts = []

        def build(commit: str = commit, facts: list[str] = facts) -> None:
            with (
                contextlib.suppress(BuildError),
                provide(
                    tree, commit, config.request(), jobs=os.cpu_count() or 1, rules=BuildRules(10 << 30)
                ) as kernel,
            ):
                (cache / "config").write_bytes(kernel.config.read_bytes())
                made = f"ccache {kernel.ccache_hits} of {kernel.ccache_hits + kernel.ccache_misses}"
                facts.append("taken over" if kernel.same_as else made)

        seconds = measured(build, lock)
        print(
            f"  ours  {commit[:12]} {seconds[0]:7.1f} s {seconds[1]:7.1f} s of processors, {facts[0]}",
            flush=True,
        )
        yield seconds


def plain(
    tree: LinuxTree, commits: list[str], folder: Path, settings: Path, *, clean: bool, lock: str
) -> Iterator[Seconds]:
    """git checkout and make in a clone."""
    subprocess.run(["git", "clone", "-q", "--shared", "--no-checkout", tree.git_dir, folder], check=True)
    tools = toolchain.find()
    environment = tools.environment(folder) | {"CCACHE_DISABLE": "1"}

    def build(commit: str) -> None:
        subprocess.run(["git", "checkout", "-q", "--force", commit], cwd=folder, check=True)
        output = folder / OUTPUT
        if clean:
            shutil.rmtree(output, ignore_errors=True)
        output.mkdir(exist_ok=True)
        shutil.copyfile(settings, output / ".config")
        for target in ("olddefconfig", "bzImage"):
            command = ["make", f"-j{os.cpu_count()}", *tools.arguments(OUTPUT), target]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.run(command, cwd=folder, env=environment, check=False, **quiet)

    for commit in commits:
        seconds = measured(lambda commit=commit: build(commit), lock)
        way = "clean" if clean else "tree "
        print(f"  {way} {commit[:12]} {seconds[0]:7.1f} s {seconds[1]:7.1f} s of processors", flush=True)
        yield seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernel", type=Path, required=True)
    parser.add_argument("--range", required=True)
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--commits", type=int, default=12)
    parser.add_argument("--clean", type=int, default=2)
    parser.add_argument("--lock", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="building-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        cache = Path(folder, "cache")
        tree = LinuxTree(arguments.kernel, cache)
        commits = bisection_order(tree, arguments.range, arguments.culprit, arguments.commits)
        took = {"ours": list(ours(tree, commits, cache, arguments.lock))}
        settings = cache / "config"
        for way, count in (("tree", len(commits)), ("clean", arguments.clean)):
            place = Path(folder, way)
            took[way] = list(
                plain(tree, commits[:count], place, settings, clean=way == "clean", lock=arguments.lock)
            )
            shutil.rmtree(place)
    later = len(commits) - 1
    print(f"\n{'':6} {'first':>17} {f'the other {later}, each':>24} {'all':>19}   (clock, processors)")
    whole = {}
    for way, seconds in took.items():
        each = tuple(statistics.fmean(column) for column in zip(*(seconds[1:] or seconds), strict=True))
        whole[way] = tuple(first + later * other for first, other in zip(seconds[0], each, strict=True))
        rows = zip(("first", "each", "all"), (seconds[0], each, whole[way]), strict=True)
        print(f"{way:6}", "   ".join(f"{clock:8.1f} {processors:8.1f}" for _, (clock, processors) in rows))
    for way in ("tree", "clean"):
        clock, processors = (other / own for other, own in zip(whole[way], whole["ours"], strict=True))
        print(f"against {way}: {clock:.1f} x by the clock, {processors:.1f} x by processors")


if __name__ == "__main__":
    main()
