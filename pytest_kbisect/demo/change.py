"""A change to Linux as an anchor and its replacement, so that it fits many versions.

Nothing here carries a patch: an edit names the few tokens it looks for, and where those are not found
exactly as often as expected, it says so instead of changing something else. Where the code looks different
in other versions, a change has several forms: the first one that fits is made. No form names a version.
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

    `pattern`: `old` is a regular expression (`.` matches newlines too) and `new` its template. Without `new`
    the text stays: the tree already is as a form of the change wants it.
    """

    path: str
    old: str
    new: str | None
    times: int = 1
    pattern: bool = False

    def apply(self, text: str) -> str:
        """Raise AnchorError unless the anchor is where it should be."""
        expression = re.compile(self.old if self.pattern else re.escape(self.old), re.DOTALL)
        new = self.new
        if new is None:
            changed, found = text, len(expression.findall(text))
        else:
            changed, found = expression.subn(new if self.pattern else lambda _: new, text)
        if found != self.times or (new is not None and changed == text):
            raise AnchorError(f"{self.path}: {self.old!r} found {found} times, expected {self.times}")
        return changed


@dataclass(frozen=True, slots=True)
class Change:
    """One commit to be: its subject, what it edits, and what its message says below the subject.

    `otherwise`: the same change to trees that `edits` do not fit, in the order in which it is tried.
    """

    subject: str
    edits: tuple[Edit, ...]
    body: str
    tags: tuple[str, ...] = ()
    otherwise: tuple[tuple[Edit, ...], ...] = ()

    @property
    def forms(self) -> tuple[tuple[Edit, ...], ...]:
        """Its edits, one tuple for each way in which the code may look."""
        return (self.edits, *self.otherwise)

    @property
    def paths(self) -> frozenset[str]:
        """The files that it looks at in any of its forms."""
        return frozenset(edit.path for form in self.forms for edit in form)

    def apply(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The new contents of the files it touches. Raises AnchorError if no form fits."""
        problems = []
        for form in self.forms:
            try:
                return _edited(form, files)
            except AnchorError as error:
                problems.append(str(error))
        raise AnchorError("; ".join(problems))


def change(subject: str, path: str, old: str, new: str, body: str, *otherwise: Edit) -> Change:
    """The common case: one literal edit of one file. `otherwise`: other forms of it, one edit each."""
    return Change(subject, (Edit(path, old, new),), body, otherwise=tuple((edit,) for edit in otherwise))


def _edited(edits: tuple[Edit, ...], files: Mapping[str, bytes]) -> dict[str, bytes]:
    changed: dict[str, bytes] = {}
    for edit in edits:
        before = changed.get(edit.path, files.get(edit.path))
        if before is None:
            raise AnchorError(f"{edit.path}: not in this tree")
        # Latin-1 takes any byte and gives it back: some sources hold names that are not UTF-8.
        after = edit.apply(before.decode("latin-1")).encode("latin-1")
        if edit.new is not None:
            changed[edit.path] = after
    return changed
