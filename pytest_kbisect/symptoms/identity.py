"""What a failure is known by: its words without the numbers that differ from run to run.

`crash.cleaning` does the same for the titles of crashes, whose words are the kernel's and not anybody's.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

LONGEST: Final = 200
"""Characters of a title."""

_ADDRESS = r"\b0x[0-9a-fA-F]{1,32}\b", "ADDR"
_HASH = (
    r"(?<![A-Za-z0-9])(?=[0-9a-f]{0,64}[0-9])(?=[0-9a-f]{0,64}[a-f])[0-9a-f]{7,64}(?![A-Za-z0-9])",
    "HASH",
)
_PLACE = r"(\.(?:[chS]|py|sh|rs|lds)):\d{1,9}(?::\d{1,9})?", r"\1"
_PLACE_OF_LINKER = r"\((\.\w[\w.]{0,60})\+(?:0x[0-9a-f]{1,16}|ADDR)\)", r"(\1)"
_LINE = r"\bline \d{1,9}\b", "line NUM"
_NUMBER = r"(?<![\w.])[-+]?\d{1,32}(?:\.\d{1,32}){0,3}(?:[eE][-+]?\d{1,4})?(?=\D|$)", "NUM"
_FRACTION = r"(?<![\w.])\d{1,32}\.\d{1,32}(?![\w.])", "NUM"
_LONG = r"(?<![\w.])\d{6,32}(?![\w.])", "NUM"


def of_words(text: str) -> str:
    """Of words that may say anything, such as an assertion's: no number counts."""
    return _cleaned(text, _ADDRESS, _HASH, _PLACE, _NUMBER)


def of_line(text: str) -> str:
    """Of a line of a compiler or linker: which line it is about does not count, other numbers do."""
    return _cleaned(text, _PLACE, _PLACE_OF_LINKER, _ADDRESS, _LINE)


def of_name(text: str) -> str:
    """Of a name, in which small numbers are a part of it: addresses and measured values do not count."""
    return _cleaned(text, _ADDRESS, _FRACTION, _LONG)


def _cleaned(text: str, *replacements: tuple[str, str]) -> str:
    text = " ".join(text[: 4 * LONGEST].split())
    for pattern, replacement in replacements:
        text = _compiled(pattern).sub(replacement, text)
    return text[:LONGEST].strip()


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiled at its first use: most who start pytest never use it."""
    return re.compile(pattern)
