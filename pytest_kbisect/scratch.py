"""Folders that belong to one living process; what a killed one left behind is swept by the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A fresh folder below `parent`, removed after the block.

    It is locked meanwhile: a folder without a lock belongs to a process that was killed, and is swept.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix="session-"))
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _sweep(parent, keep=folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _sweep(parent: Path, *, keep: Path) -> None:
    for folder in parent.glob("session-*"):
        if folder == keep:
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # A folder is locked right after it is made; give a process between the two its time.
                if os.stat(folder).st_mtime < os.stat(keep).st_mtime - 5:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
