"""Where a bisection speaks: on standard output, and into its log.

On a terminal one line at the bottom says what is going on, and goes away; elsewhere each event is a
line. `-q` leaves the answer, `-v` shows events on a terminal too.
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
"""Level of what is printed with -q too."""
NORMAL: Final = 0
DETAIL: Final = 1
"""Level of what is printed with -v only."""

_ERASE: Final = "\r\x1b[K"


class Teller:
    """Prints, and keeps the log. A reader that went away, or a full disk, does not end the bisection."""

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
        """Start the log from its beginning; a resumed bisection writes its past again from the journal."""
        log.write_text("", encoding="utf-8")
        self._log = log

    # -- lines -------------------------------------------------------------------------------------

    def line(self, text: str, *, log: bool = True, level: int = NORMAL) -> None:
        """Print a line; `log`: it belongs to the log too."""
        if log and self._log is not None:
            self._write_log(text)
        if self._verbosity >= level:
            self._erase()
            self._print(f"{text}\n")
            self._draw()

    def lines(self, texts: Iterable[str], *, level: int = NORMAL) -> None:
        """Print lines that belong to the log."""
        for text in texts:
            self.line(text, level=level)

    def note(self, text: str) -> None:
        """A warning (TCG, no ccache, ...): said once, however often it is found."""
        if text not in self._notes:
            self._notes.add(text)
            self.line(f"note: {text}", log=False)

    # -- what is going on --------------------------------------------------------------------------

    def begin(self, status: Status) -> None:
        """A step begins; several may be made at once, at different commits."""
        self._began[status.commit] = self._clock()
        self._steps[status.commit] = status
        self._draw()

    def hear(self, event: Mapping[str, Any], commit: str) -> None:
        """Something happened in the session of the step at a commit: a line of its events.jsonl."""
        words = str(event.get("say") or "")
        if words.startswith("note: "):
            self.note(words.removeprefix("note: "))
            return
        before = self._steps.get(commit)
        if before is None:
            return
        now = self._steps[commit] = live.heard(before, event)
        told = live.event_line(before, now)
        if not told and now == before:  # of a kind unknown to the status line
            told = words
        if told and self._verbosity >= (DETAIL if self._is_terminal() else NORMAL):
            self.line(f"   {told}", log=False)
        else:
            self._draw()

    def end(self, commit: str = "") -> None:
        """The step at a commit is over; without a commit all steps are."""
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
        width = shutil.get_terminal_size().columns - 1  # the last column would begin a new line
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
        except OSError:  # a reader or a terminal that went away, a full disk
            self._deaf = True
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def _write_log(self, text: str) -> None:
        try:
            with self._log_path().open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text + "\n")
        except OSError as error:
            name, self._log = self._log_path().name, None
            self.line(f"note: {name} is not written any more: {error.strerror}", log=False, level=ANSWER)

    def _log_path(self) -> Path:
        assert self._log is not None
        return self._log
