"""Changes to Linux as anchors and replacements, so that they fit many versions.

There are no patches. An edit names the few tokens that it searches for. If these do not occur exactly as
often as expected, the edit fails instead of changing something else. If the code differs between versions, a
change has several forms, and the first one that fits is applied. No form names a version.
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
    """In `path`, replace `old` by `new`; `old` must occur exactly `times` times.

    `pattern`: `old` is a regular expression (`.` matches newlines too) and `new` its template. Without `new`
    the text stays unchanged: the tree already has what this form of the change needs.
    """

    path: str
    old: str
    new: str | None
    times: int = 1
    pattern: bool = False

    def apply(self, text: str) -> str:
        """The text after the edit. Raises AnchorError unless the anchor occurs as often as expected."""
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
    """The content of a commit: its subject, its edits, and the body of its message.

    `otherwise`: other forms of the change, for trees that `edits` do not fit. They are tried in order.
    """

    subject: str
    edits: tuple[Edit, ...]
    body: str
    tags: tuple[str, ...] = ()
    otherwise: tuple[tuple[Edit, ...], ...] = ()

    @property
    def forms(self) -> tuple[tuple[Edit, ...], ...]:
        """The forms of the change, each a tuple of edits."""
        return (self.edits, *self.otherwise)

    @property
    def paths(self) -> frozenset[str]:
        """The files that any form of the change edits or checks."""
        return frozenset(edit.path for form in self.forms for edit in form)

    def apply(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The new contents of the files that the change touches. Raises AnchorError if no form fits."""
        problems = []
        for form in self.forms:
            try:
                return _edited(form, files)
            except AnchorError as error:
                problems.append(str(error))
        raise AnchorError("; ".join(problems))


def change(subject: str, path: str, old: str, new: str, body: str, *otherwise: Edit) -> Change:
    """The common case: one literal edit of one file. `otherwise`: other forms, one edit each."""
    return Change(subject, (Edit(path, old, new),), body, otherwise=tuple((edit,) for edit in otherwise))


def _edited(edits: tuple[Edit, ...], files: Mapping[str, bytes]) -> dict[str, bytes]:
    changed: dict[str, bytes] = {}
    for edit in edits:
        before = changed.get(edit.path, files.get(edit.path))
        if before is None:
            raise AnchorError(f"{edit.path}: not in this tree")
        # Latin-1 maps every byte to a character and back. Some sources contain names that are not UTF-8.
        after = edit.apply(before.decode("latin-1")).encode("latin-1")
        if edit.new is not None:
            changed[edit.path] = after
    return changed
