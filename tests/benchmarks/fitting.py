"""How well the demo's history fits a kernel: lays it out on each source that is named, and builds nothing.

    python tests/benchmarks/fitting.py /usr/src/linux-source-*.tar.* linux-7.1/ ...

A line tells the version, how many of the 128 commits there are, how many of the changes fit that could be
made (on the main line, on the side branch, only words), and the crash of the demo's bug.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect.demo import commit_graph, source
from pytest_kbisect.demo.change import AnchorError
from pytest_kbisect.demo.commits import fs, no_code
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.demo.change import Change

GROUPS = {
    "main": [change for pool in commit_graph.POOLS if pool is not fs.CHANGES for change in pool],
    "side": fs.CHANGES,
    "words": no_code.CHANGES,
}


def read(tree: Path) -> tuple[str, dict[str, bytes]]:
    """The version of a kernel's source, and those of its files that the history needs."""
    wanted = commit_graph.paths() | {"Makefile"}
    files = {file.path: file.content for file in source.read(tree) if file.path in wanted}
    return source.version(files.get("Makefile", b"")), files


def fitting(changes: Iterable[Change], files: dict[str, bytes]) -> int:
    """How many of these changes could be made."""
    count = 0
    for change in changes:
        try:
            change.apply(files)
        except AnchorError:
            continue
        count += 1
    return count


def main() -> None:
    """Print the table."""
    heads = "".join(f"{f'{name} ({len(group)})':>14}" for name, group in GROUPS.items())
    print(f"{'version':<10}{'commits':>8}{heads}   crash", flush=True)
    for name in sys.argv[1:]:
        version, files = read(Path(name))
        counts = "".join(f"{fitting(group, files):>14}" for group in GROUPS.values())
        try:
            laid = commit_graph.lay_out(version, files, lambda _: None)
        except UsageError as error:
            print(f"{version:<10}{0:>8}{counts}   {error}", flush=True)
        else:
            print(f"{version:<10}{len(laid.commits) - 1:>8}{counts}   {laid.bug.crash}", flush=True)


if __name__ == "__main__":
    main()
