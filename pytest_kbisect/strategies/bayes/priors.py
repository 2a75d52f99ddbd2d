"""What speaks for a commit before anything is tested: the files it touches.

A commit that touches the files of the crash's stack is the culprit far more often than another; one
that touches no file the build reads cannot change the kernel at all. Both are hints, no proof: a
fifth of the mass stays uniform, so that a wrong prior costs about a build and never the answer.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pytest_kbisect.history.ancestry import Weights

UNIFORM = 0.2
"""The part of the mass that stays uniform whatever the hints say."""
SAME_FILE, SAME_FOLDER, ELSEWHERE = 12.0, 3.0, 1.0
"""How much more likely than elsewhere a commit is that touches a file, or a folder, of the stack."""
UNREAD = 0.01
"""Weight of a commit that touches nothing the build reads: Makefiles and scripts may be read unseen."""

# Not in any .cmd file, and yet they decide what is built.
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
    """The prior of each commit, summing to 1.

    `stack` are the source files of the crash's frames, `read` those the build reads (from the .cmd
    files of a built tree); paths are from the top of the tree. Either may be empty: unknown. A commit
    whose files are not known counts as touching something elsewhere.
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
        # Unknown, or a merge without changes of its own, which is rarely to blame.
        return ELSEWHERE if touched is None else ELSEWHERE / 4
    if read and not any(_matters(path, read) for path in touched):
        return UNREAD
    if stack and not stack.isdisjoint(touched):
        return SAME_FILE
    if stack and any(str(PurePosixPath(path).parent) in folders for path in touched):
        return SAME_FOLDER
    return ELSEWHERE


def _matters(path: str, read: frozenset[str]) -> bool:
    """Whether a change of this file can change what is built."""
    return path in read or PurePosixPath(path).name.startswith(_BUILD_FILES) or path.startswith("scripts/")
