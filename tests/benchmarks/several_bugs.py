"""Bisect four tests with three culprits on a history of a real kernel by `--kbisect-each`; say what it took.

    python tests/benchmarks/several_bugs.py [options of pytest...]

14 commits over the demo's first. Each culprit renames a file of /proc.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from linux_commits import Linux, clone_of_demo
from planted_run import bisect

from pytest_kbisect.options import default_cache

CULPRITS = {"softirqs": 7, "uptime": 9, "loadavg": 10}
"""Files below /proc, and the commits that rename them."""
REPRODUCERS = {
    "softirqs": "test -r /proc/softirqs || exit 3",
    "listed": "ls /proc | grep -qx softirqs || exit 4",
    "uptime": "test -r /proc/uptime || exit 5",
    "loadavg": "test -r /proc/loadavg || exit 6",
}
COMMITS = 14
_CASE = "\tcase PR_GET_PDEATHSIG:\n"


def planted(linux: Linux) -> list[str]:
    """The good end and all commits: each changes kernel/sys.c, but for those that rename a file of /proc."""
    base, line = linux.read("kernel/sys.c"), []
    at = {number: name for name, number in CULPRITS.items()}
    for number in range(-1, COMMITS):
        if name := at.get(number):
            source = linux.read(f"fs/proc/{name}.c")
            assert source.count(f'("{name}"') == 1
            line.append(
                (f"proc: rename {name}", f"fs/proc/{name}.c", source.replace(f'("{name}"', f'("{name}s"'))
            )
        else:
            text = base.replace(_CASE, f"\tcase 0x6b6279:\n\t\treturn {number + 1};\n{_CASE}")
            line.append((f"prctl: number {number + 1}", "kernel/sys.c", text))
    return linux.line(line)


def main() -> int:
    linux = clone_of_demo(default_cache())
    line = planted(linux)
    texts = {f"{name}.sh": f"# kbisect-bad-when: exit-status\n{text}\n" for name, text in REPRODUCERS.items()}
    made = bisect(linux, line, texts, ["--kbisect-each", *sys.argv[1:]])
    answer = made.answer
    tested = [{one["commit"] for one in test["result"]["tested"]} for test in answer["tests"]]
    for test, commits in zip(answer["tests"], tested, strict=True):
        found, right = (
            made.positions.get(test["result"]["culprit"]),
            CULPRITS.get(test["name"], CULPRITS["softirqs"]),
        )
        revert = test["result"]["confirmation"]["revert"]
        print(f"{test['name']}: found {found} (right: {right}), revert {revert}, {len(commits)} commits")
    print(
        f"exit {made.code}, {made.minutes:.1f} minutes, {len(set().union(*tested))} commits, "
        f"{len(answer['sessions'])} sessions"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
