"""Build slots: checked-out trees of our own, one build at a time in each, kept warm between builds.

A slot is a worktree of a bare repository that lies in the cache folder and borrows the user's
objects (objects/info/alternates). The user's repository sees none of it: `git worktree list` there
shows nothing of ours, and no ref, index or lock of theirs is taken.

    CACHE/trees/NAME/git        the bare repository
    CACHE/trees/NAME/N/tree     a worktree; its O= folders are hidden folders right inside it, because
                                kbuild then calls the source tree `..`: no absolute path gets into
                                the image or into ccache's hashes, whichever slot it is
    CACHE/trees/NAME/N/lock     held while the slot is in use
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import locks, process
from pytest_kbisect.errors import HostError, KbisectError
from pytest_kbisect.kernel import host_limits, sources
from pytest_kbisect.kernel.edited_files import Edited
from pytest_kbisect.kernel.git import LOCAL_VARIABLES, NAMED_BARE, first_line
from pytest_kbisect.kernel.output import CLOCK_SLACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_kbisect.arch.trouble import Edit
    from pytest_kbisect.kernel.tree import LinuxTree

SLOTS = 4
"""More builds than this at once wait: a worktree of Linux takes 1.4 GiB."""

SOURCES = ".kbisect-sources"
"""File in an O= folder: what was read for all that lies there (see sources)."""

_LOOK_EVERY = 0.5  # seconds, for a slot that has become free

_SETTINGS = (
    NAMED_BARE,
    "core.hooksPath=/dev/null",  # a post-checkout hook of the user's (git-lfs has one) is not for our trees
    "core.autocrlf=false",  # kbuild's scripts must arrive as they are
    "core.fsmonitor=false",
    "advice.detachedHead=false",
    "gc.auto=0",
    "maintenance.auto=false",
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot in use. `lock` is the descriptor that holds it: hand it to every program that writes there.

    `waited` are the seconds until one was free.
    """

    tree: Path
    lock: int
    waited: float = 0.0


def _home(linux: LinuxTree) -> Path:
    return linux.cache / "trees" / linux.identity


def _git(*words: str | Path, lock: int, cwd: Path | None = None) -> str:
    """Run a git command that writes into our repository; it dies with us and holds the lock until then."""
    env = {name: value for name, value in os.environ.items() if name not in LOCAL_VARIABLES}
    env |= {"LC_ALL": "C", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_TERMINAL_PROMPT": "0"}
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    child = process.start(
        ["git", *settings, *words], cwd=cwd, env=env, stdout=subprocess.PIPE, pass_fds=(lock,)
    )
    try:
        output = child.communicate()[0].decode("utf-8", "replace")
    finally:
        if child.returncode is None:
            process.kill(child)
    if child.returncode:
        raise _trouble(str(words[0]), output)
    return output


def _trouble(verb: str, output: str) -> KbisectError:
    # Of a file that it checks out git does not say why it could not be written.
    if any(sign in output for sign in ("No space left on device", "Disk quota exceeded", "unable to write")):
        return HostError("the disk of the cache folder is full: free some, or choose another cache folder")
    if "unable to read" in output or "missing blob" in output or "unable to read sha1 file" in output:
        return HostError(
            "the kernel tree lacks files of this commit (a partial clone, or a broken one): "
            "git fetch --refetch --no-filter, or git fsck"
        )
    if "dubious ownership" in output:
        return HostError("the cache folder belongs to another user: choose one of your own")
    return KbisectError(f"git {verb} failed in a build slot: {first_line(output)}")


def _repository(linux: LinuxTree, home: Path) -> Path:
    """The bare repository, made if need be, and pointed at where the user's objects are now."""
    repository = home / "git"
    with locks.held(home / "git.lock") as lock:
        if not (repository / "HEAD").exists():
            making = home / "git.making"
            shutil.rmtree(making, ignore_errors=True)
            _git(
                "init",
                "-q",
                "--bare",
                "--template=",
                f"--object-format={linux.object_format}",
                making,
                lock=lock,
            )
            making.rename(repository)
        _write(repository / "objects/info/alternates", f"{_quoted(str(linux.objects))}\n")
        shallow = linux.git_dir / "shallow"
        if shallow.exists():
            _write(repository / "shallow", shallow.read_text())
        else:
            (repository / "shallow").unlink(missing_ok=True)
    return repository


def repository(linux: LinuxTree) -> Path:
    """The bare repository of the slots: it has the user's objects, and those we make for ourselves."""
    return _repository(linux, _home(linux))


def _sweep(homes: Path) -> None:
    """Remove the slots of trees that are no longer there: 1.4 GiB each."""
    for left in homes.glob("*.vanished"):
        shutil.rmtree(left, ignore_errors=True)
    for home in homes.iterdir() if homes.is_dir() else ():
        alternates = home / "git/objects/info/alternates"
        try:
            objects = alternates.read_text().rstrip("\n")
        except OSError:
            continue
        if objects.startswith('"') or Path(objects).exists():
            continue
        wanted = [home / "git.lock", *(slot / "lock" for slot in home.glob("[0-9]*"))]
        taken = [locks.take(path, wait=False) for path in wanted]
        if None not in taken:
            trash = home.with_name(f"{home.name}.vanished")
            home.rename(trash)  # half a slot would look like a complete one
            shutil.rmtree(trash, ignore_errors=True)
        for lock in taken:
            if lock is not None:
                os.close(lock)


def _quoted(path: str) -> str:
    """A path as objects/info/alternates wants it: '#' begins a comment there, '"' a quoted path."""
    if path.startswith(("#", '"')) or "\n" in path:
        escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return path


def _write(path: Path, text: str) -> None:
    """Write a small file of the repository atomically, and only if it is not so already."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.rename(path)


@contextlib.contextmanager
def slot(
    linux: LinuxTree,
    commit: str,
    output: str,
    *,
    slots: int = SLOTS,
    room: int = 0,
    waiting: Callable[[], None] | None = None,
    edits: Sequence[Edit] = (),
) -> Iterator[Slot]:
    """A slot with `commit` checked out, ours alone for the block; its files have the `edits`, and no others.

    `room` are the bytes that will be written there besides its files. Raises HostError where the disk
    lacks them, or those of a slot's first checkout.

    Of the free slots the one is taken whose O= folder `output` is warm and has least to build anew:
    what a checkout does not write, make does not build. A sequential bisection stays in one slot: a
    second one would have to be built from nothing first, and then be nearer by half a step at best.
    """
    home = _home(linux)
    _sweep(home.parent)
    repository = _repository(linux, home)
    began = time.monotonic()
    lock, number = _take(linux, commit, output, slots=slots, waiting=waiting)
    taken = Slot(home / str(number) / "tree", lock, time.monotonic() - began)
    try:
        host_limits.require_disk(linux.cache, room + (0 if _head(taken.tree) else host_limits.DISK_FOR_TREE))
        _check_out(repository, taken, commit, edits)
        yield taken
    finally:
        os.close(lock)


def _take(
    linux: LinuxTree, commit: str, output: str, *, slots: int, waiting: Callable[[], None] | None
) -> tuple[int, int]:
    """Lock the best free slot, and wait for one if all are taken."""
    home = _home(linux)
    said = False
    while not (free := _free(home, slots)):
        if waiting and not said:
            waiting()
        said = True
        time.sleep(_LOOK_EVERY)

    def cost(number: int) -> tuple[int, int, int]:
        tree = home / str(number) / "tree"
        head = _head(tree)
        if not head:
            return (2, 0, number)
        if not (tree / output).is_dir():
            return (1, 0, number)
        read = sources.read(tree / output / SOURCES)
        try:
            changes = linux.changes(head, commit)
            return (0, read.cost(changes) if read.targets else len(changes), number)
        except KbisectError:  # a commit that has since been pruned from the user's repository
            return (1, 0, number)

    best = min(free, key=cost) if len(free) > 1 else next(iter(free))
    for number, lock in free.items():
        if number != best:
            os.close(lock)
    return free[best], best


def _free(home: Path, slots: int) -> dict[int, int]:
    """The slots that nobody uses, locked: number and lock."""
    tried = {number: locks.take(home / str(number) / "lock", wait=False) for number in range(slots)}
    return {number: lock for number, lock in tried.items() if lock is not None}


def _head(tree: Path) -> str:
    """The commit a slot has checked out; empty if it has none, or was left in the middle of a checkout."""
    head = tree.parent / "head"
    return head.read_text().strip() if head.exists() else ""


def _own_git(tree: Path) -> Path:
    """The part of our repository that is this worktree's alone, with its HEAD and index."""
    return tree / (tree / ".git").read_text().removeprefix("gitdir:").strip()


def _is_worktree(tree: Path) -> bool:
    """Whether the slot's worktree was ever added completely: git locks it while it adds it."""
    if not (tree / ".git").exists():
        return False
    own = _own_git(tree)
    return (own / "HEAD").exists() and not (own / "locked").exists()


def _check_out(repository: Path, slot: Slot, commit: str, edits: Sequence[Edit] = ()) -> None:
    """Make the slot's files the commit's with the edits, exactly; the O= folders stay.

    The file `head` is written last and removed first: a slot without it was interrupted and may hold
    files that no index knows, which only `git clean` finds.
    """
    tree, lock = slot.tree, slot.lock
    head = tree.parent / "head"
    if head.exists() and head.stat().st_mtime > time.time() + CLOCK_SLACK:
        head.unlink()
        _into_the_present(tree)
    edited = Edited(tree.parent)
    if _head(tree) == commit and edited.is_of(edits):
        return
    broken = not head.exists()
    head.unlink(missing_ok=True)
    if not _is_worktree(tree):
        shutil.rmtree(tree, ignore_errors=True)
        # The repository's list of worktrees is shared by all slots, and written here only.
        with locks.held(repository.parent / "git.lock"):
            _git("worktree", "prune", cwd=repository, lock=lock)
            # Forced twice: one that was killed while it was added is registered and locked.
            add = ["worktree", "add", "--force", "--force", "--detach", "--no-checkout"]
            _git(*add, tree, commit, cwd=repository, lock=lock)
    if broken:
        # A checkout that was killed leaves locks: of the index, of HEAD. They are nobody else's.
        for left in _own_git(tree).glob("*.lock"):
            left.unlink()
    _git("checkout", "-q", "--force", "--detach", commit, cwd=tree, lock=lock)
    if broken:
        _git("clean", "-q", "-ffdx", "--exclude=/.obj-*", cwd=tree, lock=lock)
    edited.apply(tree, edits)
    head.write_text(f"{commit}\n")


def _into_the_present(tree: Path) -> None:
    """The clock was ahead when this was checked out: make would build what is newer than now for ever."""
    now = time.time()
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if not name.startswith(".obj-")]
        for name in (*names, *folders):
            path = Path(folder, name)
            if path.lstat().st_mtime > now:
                os.utime(path, (now, now), follow_symlinks=False)
