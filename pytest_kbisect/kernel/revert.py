"""Reverts a commit on top of another, in our own repository, for the slots to build.

The user's repository is not written to; the new commit is stored next to the slots (LinuxTree.own_objects).
"""

from __future__ import annotations

from dataclasses import dataclass
from subprocess import CalledProcessError
from typing import TYPE_CHECKING

from pytest_kbisect.kernel import worktrees
from pytest_kbisect.kernel.git import first_line
from pytest_kbisect.kernel.own_commits import git

if TYPE_CHECKING:
    from pytest_kbisect.kernel.tree import LinuxTree

_CONFLICT = 1
"""Exit status of `git merge-tree` where the two sides conflict."""
_TOO_OLD = b"unknown rev --write-tree"
"""What git says before 2.38: to that it is the first of three trees."""


@dataclass(frozen=True, slots=True)
class Reverted:
    """`commit` is `on` without the culprit, empty where that cannot be had; `why` says why not."""

    commit: str = ""
    why: str = ""


def reverted(linux: LinuxTree, culprit: str, on: str) -> Reverted:
    """Take a commit back on top of another one, by a three-way merge as `git revert` does.

    Needs git 2.38 or newer (merge-tree --write-tree).
    """
    parents = linux.parents(culprit)
    if len(parents) != 1:
        return Reverted(why="a merge is not reverted" if parents else "a root commit is not reverted")
    repository = worktrees.repository(linux)
    # The parent's files as a child of the culprit: merged with `on`, whose base with it is the
    # culprit, this is what a revert is.
    before = linux.tree_hash(parents[0])
    try:
        inverse = git(repository, "commit-tree", "-m", "inverse", "-p", culprit, before).strip()
        tree = git(repository, "merge-tree", "--write-tree", on, inverse).split()[0]
        if tree == linux.tree_hash(on):
            return Reverted(why="nothing of it is left to revert")
        return Reverted(git(repository, "commit-tree", "-m", f"Revert {culprit}", "-p", on, tree).strip())
    except CalledProcessError as error:
        return Reverted(why=_why(error))


def _why(error: CalledProcessError) -> str:
    if error.returncode == _CONFLICT:
        return "it does not revert cleanly: later commits build on it"
    if _TOO_OLD in error.output:
        return "git is too old to revert without a checkout (2.38 is wanted)"
    return f"git: {first_line(error.output.decode('utf-8', 'replace'))}"
