"""Text from guests, commits and compilers, made harmless for terminals, pages and mails."""

from __future__ import annotations

import re

_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(data: bytes | str) -> str:
    """Text without what a terminal would obey."""
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    text = _ESCAPES.sub(b"", raw).decode("utf-8", "replace").replace("\r", "")
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).strip("\n")


def one_line(text: str) -> str:
    """Text without line breaks and control characters, whatever a commit's author wrote."""
    return " ".join(plain(text).split())
