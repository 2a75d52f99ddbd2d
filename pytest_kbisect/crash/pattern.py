"""Regular expressions that are compiled at first use.

The tables of this package contain several hundred expressions. Compiling them all would take longer than
starting pytest. Most consoles need a dozen.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, AnyStr, Generic

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pattern(Generic[AnyStr]):
    """A regular expression, compiled at its first use."""

    def __init__(self, source: AnyStr, flags: int = 0) -> None:
        self.source: AnyStr = source
        self.flags = flags

    def __repr__(self) -> str:
        return f"Pattern({self.source!r})"

    @cached_property
    def compiled(self) -> re.Pattern[AnyStr]:
        """The compiled expression."""
        return re.compile(self.source, self.flags)

    def search(self, text: AnyStr, start: int = 0, end: int | None = None) -> re.Match[AnyStr] | None:
        """The first match anywhere in text[start:end]."""
        return self.compiled.search(text, start, len(text) if end is None else end)

    def match(self, text: AnyStr, start: int = 0) -> re.Match[AnyStr] | None:
        """A match that begins at `start`."""
        return self.compiled.match(text, start)

    def finditer(self, text: AnyStr) -> Iterator[re.Match[AnyStr]]:
        """All matches, in order."""
        return self.compiled.finditer(text)

    def sub(self, replacement: AnyStr, text: AnyStr) -> AnyStr:
        """The text with every match replaced."""
        return self.compiled.sub(replacement, text)
