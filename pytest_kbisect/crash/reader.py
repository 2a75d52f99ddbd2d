"""Reads crash reports from a console, either complete or growing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.known import KnownFormats, current
from pytest_kbisect.crash.stream import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.crash.crash_report import CrashReport
    from pytest_kbisect.crash.formats.format import CrashFormat

LIVE_REPORT: Final = 400
"""A report on a growing console counts as complete after this many lines of its own."""


class ConsoleReader:
    """Reads crash reports from a growing console."""

    def __init__(self) -> None:
        self._console = Console(current())

    def feed(self, chunk: bytes) -> tuple[CrashReport, ...]:
        """Read the next bytes. Returns the reports that have become complete."""
        self._console.feed(chunk)
        if not self._console.open and not self._console.closed:
            return ()
        return self._take(complete_only=True)

    @property
    def begun(self) -> bool:
        """Whether a crash has begun whose report is not complete."""
        return any(not report.doubtful for report in self._console.open)

    @property
    def pending(self) -> bool:
        """Whether a crash has begun, or may have begun in the last line; wait a little for the rest."""
        return self.begun or self._console.held_back

    def finish(self) -> tuple[CrashReport, ...]:
        """End the console. Returns the reports that have not been returned yet."""
        self._console.feed(b"", last=True)
        return self._take(complete_only=False)

    def _take(self, *, complete_only: bool) -> tuple[CrashReport, ...]:
        console = self._console
        ready = list(console.closed)
        console.closed = []
        waiting = []
        for report in console.open:
            if not complete_only or report.complete or len(report.lines) >= LIVE_REPORT:
                ready.append(report)
            else:
                waiting.append(report)
        console.open = waiting
        return console.finish(ready)


def parse_console(data: bytes, formats: Sequence[CrashFormat] = ()) -> tuple[CrashReport, ...]:
    """All crash reports of a complete console, in order.

    `formats` are known in addition to those that the process knows (see known), and come before them. Raises
    UsageError for one that cannot be used.
    """
    console = Console(KnownFormats([*formats, *current().formats]) if formats else current())
    console.feed(data, last=True)
    return console.finish([*console.closed, *console.open])
