"""A guest's serial console: a file that QEMU writes and we read while it grows."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING, Final

from pytest_kbisect.process import tail

if TYPE_CHECKING:
    from pathlib import Path


_ROOM: Final = bytes(1 << 16)
"""What must find room in a console's folder: some crash reports."""


def require_room(folder: Path) -> None:
    """Raise OSError where a console can grow no more. QEMU drops what finds no room."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            written = file.write(_ROOM)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None
    if written != len(_ROOM):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


class Console:
    """The console of one guest. QEMU writes the file itself, so it is complete whatever happens to us."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def skip(self) -> None:
        """Count everything printed so far as read."""
        self._offset = len(self.bytes())

    def read_new(self) -> bytes:
        """What was printed since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                chunk = file.read()
        except FileNotFoundError:
            return b""
        self._offset += len(chunk)
        return chunk

    def bytes(self) -> bytes:
        """Everything printed so far."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""

    def text(self) -> str:
        """Everything printed so far; undecodable bytes are replaced, carriage returns dropped."""
        return self.bytes().decode("utf-8", "replace").replace("\r", "")

    def tail(self, lines: int = 25) -> str:
        """The last lines, for an error message."""
        return tail(self.bytes(), lines) or "(the console is empty)"
