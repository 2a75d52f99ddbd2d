"""Output of one of several bisections: a log of its own, and lines of the common terminal under its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kbisect.reports.terminal import NORMAL, TerminalReporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kbisect.reports.live import Status


class SectionReporter(TerminalReporter):
    """`common` prints; it also shows the sessions, which are those of several bisections."""

    def __init__(self, common: TerminalReporter, name: str) -> None:
        super().__init__()
        self._common = common
        self._name = name
        self._silent = False

    def restart(self) -> None:
        """Empty the log: the bisection begins again from the journal. What was printed is not repeated."""
        super().restart()
        self._silent = True

    def line(self, text: str, *, log: bool = True, level: int = NORMAL) -> None:
        """Print a line under the name, and with `log` write it to the log."""
        if log and self._log is not None:
            self._write_log(text)
        if not self._silent and text:
            self._common.line(f"[{self._name}] {text}", log=False, level=level)

    def speak(self) -> None:
        """Print again."""
        self._silent = False

    def note(self, text: str) -> None:
        self._common.note(text)

    def begin(self, status: Status) -> None:
        """Whoever started the session shows it."""

    def hear(self, event: Mapping[str, Any], commit: str) -> None:
        """The same."""

    def end(self, commit: str = "") -> None:
        """The same."""
