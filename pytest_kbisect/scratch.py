"""Temporary folders of one running process. The next process removes those that a killed process has left."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK: Final = ".lock"
_YOUNG: Final = 5.0
"""Seconds within which a process locks the folder that it has created."""


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder below `parent`, which is removed after the block.

    The folder is locked meanwhile. A folder without a lock belongs to a process that was killed, and is
    removed.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix="session-"))
    with FileLock(folder / _LOCK):
        try:
            _sweep(parent, keep=folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path, *, keep: Path) -> None:
    now = keep.stat().st_mtime
    for folder in parent.glob("session-*"):
        if folder == keep:
            continue
        with contextlib.suppress(OSError, Timeout):
            made = folder.stat().st_mtime  # before the lock: locking may create a file in the folder
            with FileLock(folder / _LOCK, timeout=0):
                if made < now - _YOUNG:
                    shutil.rmtree(folder, ignore_errors=True)
