"""All facts about one crash, as passed from the console to verdicts and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class CrashReport:
    """One crash as read from a console.

    `start` and `end` are byte offsets into the console that the crash was read from. `report` is the text
    that the crash's own context printed, from the oops line on; `lead` is what the same context printed just
    before. `frames` are the functions of each stack trace, `frame` is the function that the title names.
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


# Crashes that no console shows, because it ended or stayed silent. The titles are syzbot's.
NO_OUTPUT: Final = CrashReport("no output from test machine", type="NO_OUTPUT")
LOST_CONNECTION: Final = CrashReport("lost connection to test machine", type="LOST_CONNECTION")
