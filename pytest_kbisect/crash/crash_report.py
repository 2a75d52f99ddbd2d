"""What is known about one crash: the fact that travels from a console to verdicts and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CrashReport:
    """One crash as read from a console.

    `start` and `end` are byte offsets into the console the crash was read from; `report` is the
    text of the crash's own context, from the oops line on, and `lead` what the same context printed
    just before. `frames` are the functions of each stack trace, `frame` the one the title names.
    """

    title: str
    alt_titles: tuple[str, ...] = ()
    type: str = ""
    frame: str = ""
    frames: tuple[tuple[str, ...], ...] = ()
    lead: str = ""
    report: str = ""
    corrupted: bool = False
    corrupted_reason: str = ""
    suppressed: bool = False
    panicked: bool = False
    executor: str = ""
    start: int = 0
    end: int = 0


# What no console can show, because it ended or said nothing more; in syzbot's words.
NO_OUTPUT: Final = CrashReport("no output from test machine", type="NO_OUTPUT")
LOST_CONNECTION: Final = CrashReport("lost connection to test machine", type="LOST_CONNECTION")
