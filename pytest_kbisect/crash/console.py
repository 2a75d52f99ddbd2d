"""A console's lines: where each lies, who printed it, and what is left without printk's prefix."""

from __future__ import annotations

from typing import Final, NamedTuple

from pytest_kbisect.crash.pattern import Pattern

BARE: Final = ""
"""Context of a line without a time stamp: a user-space program, or a kernel without CONFIG_PRINTK_TIME."""
STAMPED: Final = "console"
"""Context of a line with a time stamp only: without CONFIG_PRINTK_CALLER nobody says who printed it."""

LONGEST_LINE: Final = 4096
"""Bytes of a line that are read.

printk's own limit is 1 KiB (LOG_LINE_MAX in kernel/printk); user space has none.
"""

_STAMP = Pattern(rb"^[^\[]{0,128}?(?:<\d{1,2}>)?\[ *\+?\d{1,9}\.\d{3,9}\](?:\[ *(?P<caller>[CT]\d{1,9})\])?")
_ESCAPES = Pattern(rb"\x1b(?:\[[0-9;?]{0,16}[@-~]|[()][0-9A-B]|[=>78DEHMc])")
_PREFIX_END: Final = "] "
# The same line as other programs print it: netconsole's extended format and /dev/kmsg (level, number,
# time, flags, caller), `dmesg -T`, the journal and syslog, in whatever language. Nothing of the prefix is
# the kernel's text.
_RETOLD = Pattern(
    rb"^\d{1,3},\d{1,12},\d{1,16},[^;\n]{0,24}?(?:caller=(?P<caller>[CT]\d{1,9}))?;"
    rb"|^(?:<\d{1,2}>)?\[[^\s\d\]]{2,12} [^\s\d\]]{2,12} [ \d]\d \d\d:\d\d:\d\d \d{4}\] "
    rb"|^(?:[^\s\d]{2,12} [ \d]\d \d\d:\d\d:\d\d|[ \d]?\d [^\s\d]{2,12}(?: \d{4})? \d\d:\d\d:\d\d"
    rb"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{0,16})(?: \S{1,64})? kernel: "
)


class Line(NamedTuple):
    """One line of a console.

    `start` and `end` are byte offsets into the console, the line feed not included. `context` is
    "T<pid>" or "C<cpu>" where the kernel says so (CONFIG_PRINTK_CALLER), else STAMPED or BARE.
    `text` is the line as printed, without carriage returns and terminal escapes; `message` is that
    without printk's prefix (level, time, caller).
    """

    start: int
    end: int
    context: str
    text: str
    message: str


def read_line(raw: bytes, start: int, end: int) -> Line:
    """Read the line that lies at raw[...] and was found at console offsets start..end."""
    raw = raw[:LONGEST_LINE]
    if b"\r" in raw:
        raw = raw.replace(b"\r", b"")
    if b"\x1b" in raw:
        raw = _ESCAPES.sub(b"", raw)
    text = raw.decode("utf-8", "replace")
    stamp = _STAMP.match(raw)
    if stamp is not None:
        message = _after_stamp(text)
    else:
        stamp = _RETOLD.match(raw)
        if stamp is None:
            return Line(start, end, BARE, text, text)
        message = raw[stamp.end() :].decode("utf-8", "replace")
    caller = stamp["caller"]
    return Line(start, end, STAMPED if caller is None else caller.decode(), text, message)


def _after_stamp(text: str) -> str:
    cut = text.find(_PREFIX_END)
    if cut >= 0:
        return text[cut + len(_PREFIX_END) :]
    return text.partition("]")[2] if text.endswith("]") else text


__all__ = ["BARE", "LONGEST_LINE", "STAMPED", "Line", "read_line"]
