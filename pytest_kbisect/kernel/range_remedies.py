"""Which remedies a range needs: those whose sign is in any of its commits, for all of its commits.

A sign may come and go inside a range whose ends do not show it, so the history of the few files that have
signs is read: one git process, which takes some 10 s for 100,000 commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pytest_kbisect.arch.trouble import Trouble
    from pytest_kbisect.kernel.tree import LinuxTree


def contents(tree: LinuxTree, commit: str, path: str) -> bytes | None:
    """A file of a commit; None if there is none."""
    status, output, _ = tree.ask("cat-file", "blob", f"{commit}:{path}")
    return None if status else output


def needed(
    tree: LinuxTree,
    possible: Iterable[Trouble],
    commits: Sequence[str],
    between: tuple[str, str] | None = None,
) -> tuple[Trouble, ...]:
    """The troubles with a remedy whose sign one of these commits shows, or one that `between` leads over.

    `possible` are those that the tools may have (compilers.possible); hashes are full.
    """
    left = [trouble for trouble in possible if trouble.remedies]
    paths = sorted({trouble.path for trouble in left})
    names = {f"{commit}:{path}": path for commit in commits for path in paths}
    found = _shown(tree, left, names)
    unseen = [trouble for trouble in left if trouble not in found]
    if between is not None and unseen:
        found += _shown(tree, unseen, _versions(tree, {trouble.path for trouble in unseen}, *between))
    return tuple(trouble for trouble in left if trouble in found)


def _shown(tree: LinuxTree, troubles: Sequence[Trouble], names: dict[str, str]) -> list[Trouble]:
    """The troubles whose sign a file shows; `names` are those of objects, each with its path."""
    found: list[Trouble] = []
    for path, text in _blobs(tree, names):
        found += [
            trouble
            for trouble in troubles
            if trouble.path == path and trouble not in found and trouble.sign.search(text)
        ]
    return found


def _blobs(tree: LinuxTree, names: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """The files of these names, those that there are: path and contents. Each content comes once."""
    _, output, _ = tree.ask("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode())
    seen: set[tuple[str, bytes]] = set()
    at = 0
    for path in names.values():
        header, _, _ = output[at : at + 4200].partition(b"\n")
        at += len(header) + 1
        words = header.split()
        if len(words) == 3 and words[1] == b"blob":
            size = int(words[2])
            if (path, words[0]) not in seen:
                seen.add((path, words[0]))
                yield path, output[at : at + size]
            at += size + 1


def _versions(tree: LinuxTree, paths: Collection[str], a: str, b: str) -> dict[str, str]:
    """The versions of some files that came between two commits: the hash of each, and its path."""
    log = ["log", "--full-history", "--no-renames", "--raw", "--no-abbrev", "--format=", f"{a}..{b}", "--"]
    found = {}
    for line in tree.read(*log, *sorted(paths)).splitlines():
        facts, _, path = line.partition("\t")
        words = facts.split()
        if len(words) == 5 and words[3].strip("0"):
            found[words[3]] = path
    return found
