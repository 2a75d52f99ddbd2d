"""Output of a bisection: on standard output, and in its log.

On a terminal, a status line at the bottom shows the current step; elsewhere each event is a line. `-q` prints
only the answer, `-v` prints events on a terminal, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect.reports import live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from pytest_kbisect.reports.live import Status

ANSWER: Final = -1
"""Printed with -q, too."""
NORMAL: Final = 0
DETAIL: Final = 1
"""Printed with -v only."""

_ERASE: Final = "\r\x1b[K"


class TerminalReporter:
    """Prints, and writes the log. A closed pipe or a full disk does not end the bisection."""

    def __init__(self, verbosity: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """`verbosity` is pytest's: -1 for -q, 1 for -v."""
        self._verbosity = verbosity
        self._clock = clock
        self._log: Path | None = None
        self._deaf = False
        self._notes: set[str] = set()
        self._steps: dict[str, Status] = {}
        self._began: dict[str, float] = {}
        self._drawn = False

    def open(self, log: Path) -> None:
        """Start an empty log; a resumed bisection rewrites the earlier part from the journal."""
        log.write_text("", encoding="utf-8")
        self._log = log

    def restart(self) -> None:
        """Empty the log: the bisection begins again from the journal."""
        if self._log is not None:
            self.open(self._log)

    # -- lines -------------------------------------------------------------------------------------

    def line(self, text: str, *, log: bool = True, level: int = NORMAL) -> None:
        """Print a line, and with `log` write it to the log."""
        if log and self._log is not None:
            self._write_log(text)
        if self._verbosity >= level:
            self._erase()
            self._print(f"{text}\n")
            self._draw()

    def lines(self, texts: Iterable[str], *, level: int = NORMAL) -> None:
        """Print lines, and write them to the log."""
        for text in texts:
            self.line(text, level=level)

    def note(self, text: str) -> None:
        """Print a warning (TCG, no ccache, ...) once, however often it is found."""
        if text not in self._notes:
            self._notes.add(text)
            self.line(f"note: {text}", log=False)

    # -- status of the steps -------------------------------------------------------------------------

    def begin(self, status: Status) -> None:
        """A step begins. Several steps may run at the same time, at different commits."""
        self._began[status.commit] = self._clock()
        self._steps[status.commit] = status
        self._draw()

    def hear(self, event: Mapping[str, Any], commit: str) -> None:
        """Take an event of the session at a commit: a line of its events.jsonl."""
        words = str(event.get("say") or "")
        if words.startswith("note: "):
            self.note(words.removeprefix("note: "))
            return
        before = self._steps.get(commit)
        if before is None:
            return
        now = self._steps[commit] = live.heard(before, event)
        shown = live.event_line(before, now)
        if not shown and now == before:  # an event that the status line does not show
            shown = words
        if shown and self._verbosity >= (DETAIL if self._is_terminal() else NORMAL):
            self.line(f"   {shown}", log=False)
        else:
            self._draw()

    def end(self, commit: str = "") -> None:
        """The step at a commit ends; without a commit, all steps end."""
        self._erase()
        self._steps.pop(commit, None)
        if not commit:
            self._steps.clear()
        self._draw()

    # -- the terminal ------------------------------------------------------------------------------

    def _is_terminal(self) -> bool:
        return not self._deaf and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def _draw(self) -> None:
        if not self._steps or self._verbosity < NORMAL or not self._is_terminal():
            return
        width = shutil.get_terminal_size().columns - 1  # writing in the last column would start a new line
        newest = list(self._steps)[-1]
        text = live.render(list(self._steps.values()), width, elapsed=self._clock() - self._began[newest])
        self._print(f"{_ERASE}{text}")
        self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._print(_ERASE)
            self._drawn = False

    def _print(self, text: str) -> None:
        if self._deaf:
            return
        try:
            try:
                print(text, end="", flush=True)
            except UnicodeEncodeError:  # a terminal in another encoding
                print(text.encode("ascii", "replace").decode(), end="", flush=True)
        except OSError:  # a closed pipe or terminal, a full disk
            self._deaf = True
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def _write_log(self, text: str) -> None:
        try:
            with self._log_path().open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text + "\n")
        except OSError as error:
            name, self._log = self._log_path().name, None
            self.line(
                f"note: cannot write {name}: {error.strerror}; the bisection goes on without it",
                log=False,
                level=ANSWER,
            )

    def _log_path(self) -> Path:
        assert self._log is not None
        return self._log
