"""From a console to its crash reports, all at once or as it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.known import KnownFormats, current
from pytest_kbisect.crash.stream import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.crash.crash_report import CrashReport
    from pytest_kbisect.crash.formats.format import CrashFormat

LIVE_REPORT: Final = 400
"""Own lines after which a report on a growing console is taken for complete."""


class ConsoleReader:
    """Crash reports of a console that grows."""

    def __init__(self) -> None:
        self._console = Console(current())

    def feed(self, chunk: bytes) -> tuple[CrashReport, ...]:
        """Read on; returns the reports that are complete by now and were not before."""
        self._console.feed(chunk)
        if not self._console.open and not self._console.closed:
            return ()
        return self._take(complete_only=True)

    @property
    def begun(self) -> bool:
        """A crash has begun whose report is not complete."""
        return any(not report.doubtful for report in self._console.open)

    @property
    def pending(self) -> bool:
        """A crash has begun, or may have in the last line: wait a little for the rest."""
        return self.begun or self._console.held_back

    def finish(self) -> tuple[CrashReport, ...]:
        """There comes no more; returns the reports not yet returned."""
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
    """All crash reports of a console that is complete, in order.

    `formats` are known in addition to those that the process knows (see known), and come before them. Raises
    UsageError for one that cannot be used.
    """
    console = Console(KnownFormats([*formats, *current().formats]) if formats else current())
    console.feed(data, last=True)
    return console.finish([*console.closed, *console.open])
