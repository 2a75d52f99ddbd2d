"""The crashes a bisection is about, and whether another crash is the same bug."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from pytest_kbisect.bisection.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_kbisect.bisection.outcome import Run


class Match(StrEnum):
    """How a crash relates to the reference; RELATED might be the same bug, and is not sure to be."""

    MATCH = "match"
    RELATED = "related"
    UNRELATED = "unrelated"


@dataclass(frozen=True)
class Reference:
    """What was seen on commits known to be bad: titles, alternative titles, types, key functions.

    Empty, it matches every crash: nothing is known yet about the bug.
    """

    titles: frozenset[str] = frozenset()
    alt_titles: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    frames: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.titles)

    def grown(self, runs: Iterable[Run]) -> Reference:
        """With the crashes of these runs."""
        crashed = [run for run in runs if run.outcome is Outcome.CRASHED]
        if not crashed:
            return self
        return Reference(
            self.titles | {run.title for run in crashed},
            self.alt_titles | {title for run in crashed for title in run.alt_titles},
            self.types | {run.type for run in crashed if run.type},
            self.frames | {run.frame for run in crashed if run.frame},
        )


Matcher: TypeAlias = "Callable[[Run, Reference], Match]"
"""Judges one crashed run. Must be pure: journals are replayed through it."""


def match_names(run: Run, reference: Reference) -> Match:
    """The same title, an alternative one, or the same function in another guise of the same bug."""
    if not reference or run.title in reference.titles:
        return Match.MATCH
    known = reference.titles | reference.alt_titles
    if run.title in known or not known.isdisjoint(run.alt_titles):
        return Match.MATCH
    if run.frame and run.frame in reference.frames:
        return Match.MATCH if run.type in reference.types else Match.RELATED
    return Match.UNRELATED
