"""The lines of a console: their offsets, who printed them, and their text without prefixes."""

from __future__ import annotations

from typing import Final, NamedTuple

from pytest_kbisect.crash.pattern import Pattern
from pytest_kbisect.crash.printing import BARE, PROGRAM, STAMPED, unprint

LONGEST_LINE: Final = 4096
"""Only this many bytes of a line are read.

printk limits its lines to 1 KiB (LOG_LINE_MAX in kernel/printk); user space has no limit.
"""

_ESCAPES = Pattern(rb"\x1b(?:\[[0-9;?]{0,16}[@-~]|[()][0-9A-B]|[=>78DEHMc])")
_LINE_ENDS: Final = ("\N{SYMBOL FOR LINE FEED}", "\N{SYMBOL FOR CARRIAGE RETURN}")


class Line(NamedTuple):
    """One line of a console.

    `start` and `end` are byte offsets into the console, without the line feed. `context` is "T<pid>" or
    "C<cpu>" if the kernel prints it (CONFIG_PRINTK_CALLER), else STAMPED, BARE or PROGRAM. `text` is the line
    as printed, without carriage returns and terminal escapes; `message` is `text` without the prefixes of
    printk and others (see printing).
    """

    start: int
    end: int
    context: str
    text: str
    message: str


def read_line(raw: bytes, start: int, end: int) -> Line:
    """Parse the bytes of one line, which was found at console offsets start..end."""
    raw = raw[:LONGEST_LINE]
    if b"\r" in raw:
        raw = raw.replace(b"\r", b"")
    if b"\x1b" in raw:
        raw = _ESCAPES.sub(b"", raw)
    text = raw.decode("utf-8", "replace")
    if text.endswith(_LINE_ENDS):  # the symbols that a terminal program shows for line ends
        text = text.rstrip("".join(_LINE_ENDS))
    context, message = unprint(text)
    return Line(start, end, context, text, message)


__all__ = ["BARE", "LONGEST_LINE", "PROGRAM", "STAMPED", "Line", "read_line"]
