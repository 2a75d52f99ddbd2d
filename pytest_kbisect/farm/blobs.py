"""Files that have travelled, by the SHA-256 of what they hold: each is kept once, whoever sent it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import time
import uuid
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CHUNK: Final = 4 << 20
"""Bytes of a file that one message carries."""
KEPT_DAYS: Final = 30
"""Days without use after which a file is removed when a worker starts."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_UPLOAD: Final = re.compile(r"[0-9a-f]{32}")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Blobs:
    """The files in a folder of a worker's cache."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Where a file is, or would be. Raises ValueError for a name that is no SHA-256."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no SHA-256")
        return self._folder / digest[:2] / digest

    def lacking(self, digests: Iterable[str]) -> list[str]:
        """Those that are not here. The others are kept for another KEPT_DAYS."""
        absent = []
        for digest in digests:
            try:
                os.utime(self.path(digest))
            except FileNotFoundError:
                absent.append(digest)
        return absent

    def write(self, digest: str, upload: str, offset: int, data: bytes, *, last: bool) -> None:
        """Take a part of a file; the last one completes it.

        `upload` names the transfer, so that two senders of one file do not mix. Raises HostError if what
        arrived is not what was announced, OSError for a full disk.
        """
        target = self.path(digest)
        if not _UPLOAD.fullmatch(upload):
            raise ValueError(f"{upload!r} is no name of an upload")
        part = self._folder / "incoming" / upload
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("r+b" if offset else "wb") as file:
                file.seek(offset)
                file.write(data)
            if last:
                self._complete(part, digest, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _complete(self, part: Path, digest: str, target: Path) -> None:
        if digest_of(part) != digest:
            raise HostError(
                "a file was damaged on its way to a worker: check the network and the worker's memory, then repeat the command"
            )
        target.parent.mkdir(exist_ok=True)
        part.rename(target)

    def add(self, path: Path) -> str:
        """Move a file of this file system in; returns its digest."""
        digest = digest_of(path)
        target = self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        return digest

    def read(self, digest: str, offset: int) -> bytes:
        """A part of a file, at most CHUNK bytes; empty behind its end. Raises FileNotFoundError."""
        with self.path(digest).open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK)

    def drop(self, digest: str) -> None:
        """Remove a file that nobody else needs."""
        self.path(digest).unlink(missing_ok=True)

    def put(self, digest: str, target: Path, mode: int) -> None:
        """Copy a file to where a session expects it. Raises FileNotFoundError if it is not here."""
        target.parent.mkdir(parents=True, exist_ok=True)
        source = self.path(digest)
        if source.stat().st_size > CHUNK:
            # Large ones are disk images, which are only read: a second copy would take gigabytes.
            with contextlib.suppress(OSError):
                os.link(source, target)
                return
        shutil.copyfile(source, target)
        target.chmod(mode)

    def sweep(self) -> None:
        """Remove what nobody has used for KEPT_DAYS, and what senders that died have left."""
        oldest = time.time() - KEPT_DAYS * 86400
        for path in self._folder.glob("*/*"):
            with contextlib.suppress(OSError):
                if path.parent.name == "incoming" or path.stat().st_mtime < oldest:
                    path.unlink()


def new_upload() -> str:
    """A name for a transfer."""
    return uuid.uuid4().hex
