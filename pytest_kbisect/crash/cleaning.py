"""Makes titles comparable: removes numbers, addresses, line numbers and host names."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.pattern import Pattern

LONGEST_TITLE: Final = 120

_REPLACEMENTS: Final = (
    (Pattern(r"syz-executor\d{0,10}(?:[.-]\d{1,10})?:?\d{0,10}"), "syz-executor"),
    (Pattern(r"syzkaller\d{1,12}"), "syzkaller"),
    # The offset within a function differs from build to build.
    (Pattern(r"\b([A-Za-z_][\w.]{0,200})\+0x[0-9a-f]{1,16}(?:/0x[0-9a-f]{1,16})?"), r"\1"),
    # So does an address, even as part of a name (bpf_prog_6deef7357e7b4530).
    (
        Pattern(r"(?<![A-Za-z0-9])(?:0x)?[0-9a-f]{6,32}(?![A-Za-z0-9])|\b0x[0-9a-f]{1,32}\b"),
        "ADDR",
    ),
    (Pattern(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "IP"),
    (Pattern(r"\b([\w./-]{1,200}\.[chS]):\d{1,9}\b"), r"\1:LINE"),
    (Pattern(r"\bCPU#?\d{1,4}\b"), "CPU"),
    (Pattern(r"(?<![\w])\d{1,32}(?![\w])"), "NUM"),
    (Pattern(r"\d{7,32}"), "NUM"),
)
_UNPRINTABLE: Final = Pattern(r"[^ -~]{1,200}")
_SPACES: Final = Pattern(r" {2,}")


def clean_title(title: str) -> str:
    """The stored form of a title: printable ASCII, at most 120 characters, without parts that vary by run."""
    title = _UNPRINTABLE.sub(" ", title).strip()[: 4 * LONGEST_TITLE]
    for pattern, replacement in _REPLACEMENTS:
        title = pattern.sub(replacement, title)
    return _SPACES.sub(" ", title[:LONGEST_TITLE]).strip()
