"""The prior of a commit before anything is tested, from the files that it touches.

A commit that touches files of the crash's stack is the culprit far more often than another commit. A commit
that touches no file that the build reads cannot change the kernel. Both are hints, not proof: a fifth of the
mass stays uniform, so that a wrong prior costs about one build but never the answer.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pytest_kbisect.history.ancestry import Weights

UNIFORM = 0.2
"""The part of the mass that stays uniform, independent of the hints."""
SAME_FILE, SAME_FOLDER, ELSEWHERE = 12.0, 3.0, 1.0
"""Relative weights of commits that touch a file of the stack, a folder of the stack, or other files."""
UNREAD = 0.01
"""Weight of a commit that touches nothing the build reads. Not 0: some reads (scripts) are not recorded."""

# These are in no .cmd file, but they decide what is built.
_BUILD_FILES = ("Makefile", "Kbuild", "Kconfig")


def read_files(log: str) -> dict[str, tuple[str, ...]]:
    """Files by commit from `git log --format=%x00%H --name-only`."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in log.split("\0"):
        sha, *files = [line for line in entry.splitlines() if line] or [""]
        if sha:
            found[sha] = tuple(files)
    return found


def weights(
    commits: Sequence[str],
    files: Mapping[str, Sequence[str]],
    *,
    stack: Collection[str] = (),
    read: Collection[str] = (),
) -> Weights:
    """The prior of each commit. The sum is 1.

    `stack` are the source files of the crash's frames. `read` are the files that the build reads (from the
    .cmd files of a built tree). Paths are relative to the top of the tree. Either may be empty: unknown. A
    commit whose files are not known counts as touching files elsewhere.
    """
    if not commits:
        return np.zeros(0)
    folders = {str(PurePosixPath(path).parent) for path in stack}
    wanted, inputs = frozenset(stack), frozenset(read)
    hints = np.array([_hint(files.get(sha), wanted, folders, inputs) for sha in commits])
    mixed: Weights = (1 - UNIFORM) * hints / hints.sum() + UNIFORM / len(commits)
    return mixed


def _hint(
    touched: Sequence[str] | None, stack: frozenset[str], folders: set[str], read: frozenset[str]
) -> float:
    if touched is None or not touched:
        # Unknown files, or a merge without changes of its own, which is rarely the culprit.
        return ELSEWHERE if touched is None else ELSEWHERE / 4
    if read and not any(_matters(path, read) for path in touched):
        return UNREAD
    if stack and not stack.isdisjoint(touched):
        return SAME_FILE
    if stack and any(str(PurePosixPath(path).parent) in folders for path in touched):
        return SAME_FOLDER
    return ELSEWHERE


def _matters(path: str, read: frozenset[str]) -> bool:
    """Whether a change to this file can change the build's result."""
    return path in read or PurePosixPath(path).name.startswith(_BUILD_FILES) or path.startswith("scripts/")
