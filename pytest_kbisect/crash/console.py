"""A console's lines: where each lies, who printed it, and what is left without printk's prefix."""

from __future__ import annotations

from typing import Final, NamedTuple

from pytest_kbisect.crash.pattern import Pattern

BARE: Final = ""
"""Context of a line without a time stamp: a user-space program, or a kernel without CONFIG_PRINTK_TIME."""
STAMPED: Final = "console"
"""Context of a line with a time stamp only: without CONFIG_PRINTK_CALLER nobody says who printed it."""

LONGEST_LINE: Final = 4096
"""Bytes of a line that are read. printk's own limit is 1 KiB (LOG_LINE_MAX in kernel/printk); user space has none."""

_STAMP = Pattern(rb"^[^\[]{0,128}?(?:<\d{1,2}>)?\[ *\d{1,9}\.\d{3,9}\](?:\[ *(?P<caller>[CT]\d{1,9})\])?")
_ESCAPES = Pattern(rb"\x1b(?:\[[0-9;?]{0,16}[@-~]|[()][0-9A-B]|[=>78DEHMc])")
_PREFIX_END: Final = "] "


class Line(NamedTuple):
    """One line of a console.

    `start` and `end` are byte offsets into the console, the line feed not included. `context` is
    "T<pid>" or "C<cpu>" where the kernel says so (CONFIG_PRINTK_CALLER), else STAMPED or BARE.
    `text` is the line as printed, without carriage returns and terminal escapes.
    """

    start: int
    end: int
    context: str
    text: str

    @property
    def message(self) -> str:
        """The text without printk's prefix (level, time, caller)."""
        if self.context == BARE:
            return self.text
        cut = self.text.find(_PREFIX_END)
        if cut >= 0:
            return self.text[cut + len(_PREFIX_END) :]
        return self.text.partition("]")[2] if self.text.endswith("]") else self.text


def read_line(raw: bytes, start: int, end: int) -> Line:
    """Read the line that lies at raw[...] and was found at console offsets start..end."""
    raw = raw[:LONGEST_LINE]
    if b"\r" in raw:
        raw = raw.replace(b"\r", b"")
    if b"\x1b" in raw:
        raw = _ESCAPES.sub(b"", raw)
    stamp = _STAMP.match(raw)
    if stamp is None:
        context = BARE
    else:
        caller = stamp["caller"]
        context = STAMPED if caller is None else caller.decode()
    return Line(start, end, context, raw.decode("utf-8", "replace"))


__all__ = ["BARE", "LONGEST_LINE", "STAMPED", "Line", "read_line"]
