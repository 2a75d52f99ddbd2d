"""Finds the console lines that may begin a report, by searching the raw bytes."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.console_lines import LONGEST_LINE
from pytest_kbisect.crash.formats import BANNER
from pytest_kbisect.crash.formats.harmless import HarmlessWords
from pytest_kbisect.crash.pattern import Pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kbisect.crash.formats.headers import Header

# Messages with a trace of their own. Unless lines have a caller, that trace does not belong to the crash.
OTHER_TRACE: Final = (
    "FAULT_INJECTION: forcing a failure",
    "FAULT_FLAG_ALLOW_RETRY missing",
    "allocation failure:",
    " allocation failure, ",
)
_BANNER_WORDS: Final = ("Booting the kernel", BANNER.word)
# Parts of the built-in words: text without any of the parts has none of the words. The parts begin with
# letters that are rare in a log. A word that contains none of these parts is searched for directly.
_PARTS: Final = tuple(
    (
        b"BUG|WARNING:|INFO:|LOCKUP|UBSAN:|VFS: |SYZFA|FAULT_|Tainted: |[#|Unable to handle|Unhandled |Alignment trap"
        b"|Linux version |Booting the kernel| tainted)| fault| segment:| opcode:| error:| panic| bug detected| failure"
        b"|_error:|_netdevice:|int3:|panic: "
    ).split(b"|")
)

_Word = tuple[int, bytes, "Header | None"]
_NUMBER: Final = itemgetter(0)
_ESCAPE: Final = b"\x1b"
_SHORTEST_HEADLINE: Final = 16
_SHORT: Final = 1 << 10
"""Up to this many bytes, one expression for all parts is faster than a search for each part."""


Hit = tuple[int, "tuple[Header, ...]"]


class Search:
    """Finds the lines that may begin reports with these headers."""

    def __init__(self, headers: Sequence[Header]) -> None:
        self._headers = tuple(headers)
        self._words_by_part: dict[bytes, tuple[_Word, ...]] = dict.fromkeys(_PARTS, ())
        for number, (text, header) in enumerate(self._words()):
            word = text.encode()
            part = next((part for part in _PARTS if part in word), word)
            self._words_by_part[part] = (*self._words_by_part.get(part, ()), (number, word, header))
        self._parts = tuple(self._words_by_part)
        self._any = Pattern(_any(self._parts))
        # A log may be full of lines that these find harmless, so they are checked before a line is parsed.
        self._skimmed = {
            header.word: header.harmless.skims
            for header in headers
            if isinstance(header.harmless, HarmlessWords) and not header.added
        }

    def _words(self) -> Iterator[tuple[str, Header | None]]:
        yield from ((header.word, header) for header in self._headers)
        yield from ((word, BANNER) for word in _BANNER_WORDS)
        yield from ((word, None) for word in OTHER_TRACE)

    def headlines(self, data: bytes | bytearray, start: int, end: int) -> list[Hit]:
        """The offsets of the lines that contain a header's word, with the headers of these words.

        The headers are in their original order. A line with terminal colours gets all headers, because an
        escape sequence may split a word.
        """
        hits: dict[int, tuple[Header, ...]] = {}
        if end - start <= _SHORT:
            parts = {bytes(found[0]) for found in self._any.compiled.finditer(data, start, end)}
            if not parts:
                return []
        else:
            parts = {part for part in self._parts if data.find(part, start, end) >= 0}
        words = [known for part in parts for known in self._words_by_part.get(part, ())]
        words.sort(key=_NUMBER)
        for _, word, header in words:
            skims = self._skimmed.get(header.word) if header is not None else None
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
                hits[line] = (*self._headers, BANNER)
            if at >= 0:
                at = data.find(_ESCAPE, at, end)
        return sorted(hits.items())


def _any(parts: Sequence[bytes]) -> bytes:
    """One expression for all parts that tests each first letter once."""
    rests: dict[bytes, list[bytes]] = {}
    for part in (*parts, _ESCAPE):
        rests.setdefault(part[:1], []).append(part[1:])
    return b"|".join(
        re.escape(first) + b"(?:" + b"|".join(map(re.escape, group)) + b")" for first, group in rests.items()
    )


__all__ = ["OTHER_TRACE", "Hit", "Search"]
