"""syzkaller at the commit of a bug, built by the user's own command (`--kbisect-syzkaller-command`).

The command runs once for a commit, in a worktree of our own that borrows the objects of the user's
repository: that one is only read. The result stays in the cache.

    CACHE/syzkaller/COMMIT-DIGEST/tree      the worktree, of which only what the command built is used
    CACHE/syzkaller/COMMIT-DIGEST/done      the command has succeeded
    CACHE/syzkaller/COMMIT-DIGEST/build.log
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from pytest_kbisect import locks, process
from pytest_kbisect.errors import UsageError
from pytest_kbisect.kernel.git import LOCAL_VARIABLES, first_line
from pytest_kbisect.syzkaller import syz_binaries

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kbisect.arch import Architecture


def built(
    repository: Path, commit: str, command: str, cache: Path, architecture: Architecture
) -> syz_binaries.Syzkaller:
    """The programs at a commit, built if that was not done before.

    Raises UsageError where the repository lacks the commit, or the command fails.
    """
    key = hashlib.sha256(f"{os.path.realpath(repository)}\0{command}".encode()).hexdigest()[:8]
    place = cache / "syzkaller" / f"{commit[:40]}-{key}"
    with locks.held(place / "lock"):
        if not (place / "done").exists():
            _build(repository, commit, command, place)
            syz_binaries.find(place / "tree", architecture)  # what the command should have made is there
            (place / "done").touch()
    return syz_binaries.find(place / "tree", architecture)


def _build(repository: Path, commit: str, command: str, place: Path) -> None:
    tree = place / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    _clone(repository, commit, tree)
    log = place / "build.log"
    with log.open("wb") as output:
        child = process.start(["sh", "-c", command], group=True, cwd=tree, env=_environment(), stdout=output)
        try:
            status = child.wait()
        finally:
            if child.returncode is None:
                process.kill(child)
    if status:
        last = process.tail(log.read_bytes(), 5)
        raise UsageError(
            f"the command {command!r} failed at syzkaller's commit {commit[:12]} (exit status {status}): "
            f"see {log}\n{last}"
        )


def _clone(repository: Path, commit: str, tree: Path) -> None:
    """A worktree at a commit, with HEAD there: syzkaller's Makefile asks git for the revision."""
    if not repository.is_dir():
        raise UsageError(
            f"no syzkaller at {repository}: there is no such folder, give one with --kbisect-syzkaller"
        )
    where = f"{repository}: --kbisect-syzkaller-command needs syzkaller's git repository"
    _git(["rev-parse", "--git-dir"], repository, where)
    _git(
        ["rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"],
        repository,
        f"{repository} has no commit {commit}: run git fetch there, or correct kbisect-syzkaller-commit",
    )
    _git(["clone", "-q", "--shared", "--no-checkout", str(repository), str(tree)], repository, "")
    _git(["checkout", "-q", "--detach", commit], tree, "")


def _git(words: list[str], folder: Path, complaint: str) -> None:
    settings = ["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-c", "gc.auto=0"]
    try:
        process.run(["git", *settings, *words], cwd=folder, env=_environment())
    except subprocess.CalledProcessError as error:
        reason = first_line(error.output.decode("utf-8", "replace"))
        raise UsageError(
            complaint or f"git {words[0]} failed in {folder}: {reason}: run git fsck in the repository"
        ) from None


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in LOCAL_VARIABLES}
    return own | {"GIT_TERMINAL_PROMPT": "0"}
