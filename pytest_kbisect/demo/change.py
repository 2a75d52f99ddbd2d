"""A change to Linux as an anchor and its replacement, so that it fits any 6.1.y.

Nothing here carries a patch: an edit names the few tokens it looks for, and where those are not found
exactly as often as expected, it says so instead of changing something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


class AnchorError(UsageError):
    """The tree does not have the text that an edit changes."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In `path`, `old` becomes `new`; `old` must occur exactly `times` times.

    `pattern`: `old` is a regular expression (`.` matches newlines too) and `new` its template.
    """

    path: str
    old: str
    new: str
    times: int = 1
    pattern: bool = False

    def apply(self, text: str) -> str:
        """Raise AnchorError unless the anchor is where it should be."""
        expression = re.compile(self.old if self.pattern else re.escape(self.old), re.DOTALL)
        changed, found = expression.subn(self.new if self.pattern else lambda _: self.new, text)
        if found != self.times or changed == text:
            raise AnchorError(f"{self.path}: {self.old!r} found {found} times, expected {self.times}")
        return changed


@dataclass(frozen=True, slots=True)
class Change:
    """One commit to be: its subject, what it edits, and what its message says below the subject."""

    subject: str
    edits: tuple[Edit, ...]
    body: str
    tags: tuple[str, ...] = ()

    @property
    def paths(self) -> frozenset[str]:
        """The files it touches."""
        return frozenset(edit.path for edit in self.edits)

    def apply(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The new contents of the files it touches. Raises AnchorError."""
        changed: dict[str, bytes] = {}
        for edit in self.edits:
            before = changed.get(edit.path, files.get(edit.path))
            if before is None:
                raise AnchorError(f"{edit.path}: not in this tree")
            # Latin-1 takes any byte and gives it back: some sources hold names that are not UTF-8.
            changed[edit.path] = edit.apply(before.decode("latin-1")).encode("latin-1")
        return changed


def change(subject: str, path: str, old: str, new: str, body: str) -> Change:
    """The common case: one literal edit of one file."""
    return Change(subject, (Edit(path, old, new),), body)
