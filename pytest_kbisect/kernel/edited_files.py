"""Edits of a slot's files: remedies that change sources, and what they did to which file.

git takes an edited file for a changed one and restores it at the next checkout. So each checkout is followed
by the edits anew. make compares times: a file that comes out as it was gets the time it had, or a tool such
as objtool would be new at each commit, and all objects after it.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect import atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kbisect.arch.trouble import Edit

_FILE: Final = "edited.json"


class Edited:
    """The record of a slot's edited files, in the slot's folder; whoever holds the slot uses it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        try:
            self._record: dict[str, Any] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            self._record = {}

    def is_of(self, edits: Sequence[Edit]) -> bool:
        """Whether the slot's files were edited so, and not otherwise."""
        return bool(self._record.get("edits", []) == _named(edits))

    def apply(self, tree: Path, edits: Sequence[Edit]) -> None:
        """Make the edits in those of the commit's own files that have their patterns."""
        if not edits and not self._record:
            return
        before: dict[str, Any] = self._record.get("files", {})
        files: dict[str, Any] = {}
        for name in dict.fromkeys(edit.path for edit in edits):
            path = tree / name
            if not path.is_file():
                continue
            text = changed = path.read_bytes()
            for edit in edits:
                if edit.path == name:
                    changed = edit.pattern.sub(edit.replacement, changed)
            if changed == text:
                continue
            path.write_bytes(changed)
            digest, known = hashlib.sha256(changed).hexdigest(), before.get(name)
            if known and known["digest"] == digest:
                os.utime(path, ns=(known["time"], known["time"]))
            files[name] = {"digest": digest, "time": path.stat().st_mtime_ns}
        self._record = {"edits": _named(edits), "files": files}
        atomic.write(self._path, json.dumps(self._record))


def _named(edits: Sequence[Edit]) -> list[str]:
    return [f"{edit.path} {edit.pattern.pattern!r} {edit.replacement!r}" for edit in edits]
