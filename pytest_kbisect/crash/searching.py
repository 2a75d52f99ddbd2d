"""The lines of a console with which a report may begin, found in bytes that nobody has read."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.console import LONGEST_LINE
from pytest_kbisect.crash.families import BANNER, HEADERS
from pytest_kbisect.crash.families.harmless import HarmlessWords
from pytest_kbisect.crash.pattern import Pattern

if TYPE_CHECKING:
    from pytest_kbisect.crash.families import Header

# Messages with a trace of their own: what follows them is not the crash's, if nobody says who speaks.
OTHER_TRACE: Final = (
    "FAULT_INJECTION: forcing a failure",
    "FAULT_FLAG_ALLOW_RETRY missing",
    "allocation failure:",
    " allocation failure, ",
)
_BANNER_WORDS: Final = ("Booting the kernel", BANNER.word)
_WORDS: Final = tuple(
    (word.encode(), header)
    for word, header in (
        *((header.word, header) for header in HEADERS),
        *((word, BANNER) for word in _BANNER_WORDS),
        *((word, None) for word in OTHER_TRACE),
    )
)
# Parts of these words: what has none of the parts has none of the words. They begin with letters that are
# rare in a log.
_PARTS: Final = tuple(
    (
        b"BUG|WARNING:|INFO:|LOCKUP|UBSAN:|VFS: |SYZFA|FAULT_|Tainted: |[#|Unable to handle|Unhandled |Alignment trap"
        b"|Linux version |Booting the kernel| tainted)| fault| segment:| opcode:| error:| panic| bug detected| failure"
        b"|_error:|_netdevice:|int3:|panic: "
    ).split(b"|")
)

_Word = tuple[int, bytes, "Header | None"]


def _by_part() -> dict[bytes, tuple[_Word, ...]]:
    table: dict[bytes, tuple[_Word, ...]] = dict.fromkeys(_PARTS, ())
    for number, (word, header) in enumerate(_WORDS):
        part = next((part for part in _PARTS if part in word), None)
        if part is None:
            raise AssertionError(f"no part of {word!r} is looked for")
        table[part] += ((number, word, header),)
    return table


_WORDS_BY_PART: Final = _by_part()
_NUMBER: Final = itemgetter(0)
# A log may be full of lines that these let pass; their words are looked at before the line is read.
_SKIMMED: Final = {
    header.word: header.harmless.skims for header in HEADERS if isinstance(header.harmless, HarmlessWords)
}
_ESCAPE: Final = b"\x1b"
_SHORTEST_HEADLINE: Final = 16
_SHORT: Final = 1 << 10
"""Bytes up to which one expression finds all parts sooner than each of them on its own."""


def _any_part() -> bytes:
    """One expression for all parts, that looks at each first letter once."""
    rests: dict[bytes, list[bytes]] = {}
    for part in (*_PARTS, _ESCAPE):
        rests.setdefault(part[:1], []).append(part[1:])
    return b"|".join(
        re.escape(first) + b"(?:" + b"|".join(map(re.escape, group)) + b")" for first, group in rests.items()
    )


_ANY: Final = Pattern(_any_part())

Hit = tuple[int, "tuple[Header, ...]"]


def headlines(data: bytes | bytearray, start: int, end: int) -> list[Hit]:
    """Where the lines begin that have a word with which a report may begin, and the headers of these words.

    The headers are in the order of HEADERS. A line with a terminal's colours gets all of them: colours may be
    within a word.
    """
    hits: dict[int, tuple[Header, ...]] = {}
    if end - start <= _SHORT:
        parts = {bytes(found[0]) for found in _ANY.compiled.finditer(data, start, end)}
        if not parts:
            return []
    else:
        parts = {part for part in _PARTS if data.find(part, start, end) >= 0}
    words = [known for part in parts for known in _WORDS_BY_PART.get(part, ())]
    words.sort(key=_NUMBER)
    for _, word, header in words:
        skims = _SKIMMED.get(header.word) if header is not None else None
        at = data.find(word, start, end)
        while at >= 0:
            line = data.rfind(b"\n", start, at) + 1 or start
            after = data.find(b"\n", at, end)
            if header is None:
                hits.setdefault(line, ())
            elif skims is None or not skims(
                bytes(data[at + len(word) : min(after if after >= 0 else end, line + LONGEST_LINE)])
            ):
                hits[line] = (*hits.get(line, ()), header)
            at = data.find(word, after, end) if after >= 0 else -1
    at = data.find(_ESCAPE, start, end)
    while at >= 0:
        line = data.rfind(b"\n", start, at) + 1 or start
        at = data.find(b"\n", at, end)
        if at < 0 or at - line > _SHORTEST_HEADLINE:
            hits[line] = (*HEADERS, BANNER)
        if at >= 0:
            at = data.find(_ESCAPE, at, end)
    return sorted(hits.items())


__all__ = ["OTHER_TRACE", "Hit", "headlines"]
