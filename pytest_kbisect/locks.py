"""File locks that filelock does not offer: shared locks, and locks that children inherit.

The kernel releases a flock(2) when the last descriptor of the open file is closed. A lock that make gets
through `pass_fds` is therefore held until the last compiler has ended, and a lock that QEMU inherits until
QEMU has ended, even if we are killed. filelock does not expose its descriptor, a waiting process truncates
the file (into which our holders write who they are), and it has no shared locks with flock. If none of this
matters, filelock is used.
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
    """Whether the locked file still has that name. A lock on a removed file locks nothing."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def take(path: Path, *, shared: bool = False, wait: bool = True) -> int | None:
    """Lock `path`, created if needed. Returns the descriptor that holds the lock; close it to release.

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
    """Wait for a lock and hold it for a block of code. Yields the descriptor."""
    fd = take(path, shared=shared)
    assert fd is not None
    try:
        yield fd
    finally:
        os.close(fd)


def share(fd: int) -> None:
    """Turn an exclusive lock into a shared one."""
    fcntl.flock(fd, fcntl.LOCK_SH)
