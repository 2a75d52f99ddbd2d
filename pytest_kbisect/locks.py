"""File locks that filelock does not have: shared ones, and those that children inherit.

The kernel lets go of a flock(2) when the last descriptor of its open file is closed. So a lock that is
handed to make through `pass_fds` is held until the last compiler is gone, and one that QEMU inherits until
that has ended, even where we are killed. filelock's descriptor is its own, its file is truncated by whoever
waits (holders sign in ours), and it has no shared lock by flock. Where none of this matters filelock is used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _is_current(fd: int, path: Path) -> bool:
    """Whether the locked file still has that name: a lock on a file since removed locks nothing."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def take(path: Path, *, shared: bool = False, wait: bool = True) -> int | None:
    """Lock `path` (made if need be) and return the descriptor that holds the lock; close it to let go.

    None if it is taken and `wait` is false.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        fd = _open(path)
        try:
            fcntl.flock(fd, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        if _is_current(fd, path):
            return fd
        os.close(fd)


@contextlib.contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold a lock for a block of code, waiting for it; yields its descriptor."""
    fd = take(path, shared=shared)
    assert fd is not None
    try:
        yield fd
    finally:
        os.close(fd)


def share(fd: int) -> None:
    """Turn an exclusive lock into a shared one."""
    fcntl.flock(fd, fcntl.LOCK_SH)
