"""Folders that belong to one living process; what a killed one left behind is swept by the next."""

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
"""Seconds in which a process that has made its folder has locked it, too."""


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A fresh folder below `parent`, removed after the block.

    It is locked meanwhile: a folder without a lock belongs to a process that was killed, and is swept.
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
            made = folder.stat().st_mtime  # locking one that nobody has locked makes a file in it
            with FileLock(folder / _LOCK, timeout=0):
                if made < now - _YOUNG:
                    shutil.rmtree(folder, ignore_errors=True)
