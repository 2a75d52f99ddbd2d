"""The file format of syzkaller's crash logs, and how a reading of one compares with what it expects.

A file is header lines (`TITLE:`, `ALT:`, `TYPE:`, `FRAME:`, `CORRUPTED: Y`, `SUPPRESSED: Y`,
`PANICKED: Y`, `EXECUTOR:`, `#` comments), an empty line, a console, and maybe `REPORT:` and the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_kbisect.crash import parse_console

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Expected:
    """What a file says of its console."""

    title: str = ""
    alt_titles: list[str] = field(default_factory=list)
    type: str = ""
    frame: str | None = None
    corrupted: bool = False
    suppressed: bool = False
    panicked: bool = False
    executor: str = ""


def read_case(path: Path) -> tuple[Expected, bytes]:
    """What is expected, and the console."""
    expected = Expected()
    data = path.read_bytes().replace(b"\r", b"")
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        line = data[at:end].decode("utf-8", "replace")
        at = end + 1
        if not line:
            break
        word, _, value = line.partition(":")
        value = value.strip()
        if word == "ALT":
            expected.alt_titles.append(value)
        elif word in {"CORRUPTED", "SUPPRESSED", "PANICKED"}:
            setattr(expected, word.lower(), value == "Y")
        elif word in {"TITLE", "TYPE", "FRAME", "EXECUTOR"}:
            setattr(expected, word.lower(), value)
    expected.alt_titles.sort()
    return expected, data[at:].partition(b"\n\nREPORT:")[0]


def wrong_fields(path: Path) -> list[tuple[str, object, object]]:
    """The fields in which our reading of a file differs: name, expected, ours."""
    expected, console = read_case(path)
    reports = parse_console(console)
    ours = Expected()
    if reports:
        first = reports[0]
        ours = Expected(
            first.title,
            sorted(first.alt_titles),
            first.type,
            first.frame,
            first.corrupted,
            first.suppressed,
            first.panicked,
            first.executor,
        )
    if expected.frame is None:
        ours.frame = None
    return [
        (name, want, getattr(ours, name))
        for name, want in vars(expected).items()
        if want != getattr(ours, name)
    ]
