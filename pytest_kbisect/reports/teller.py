"""Where a bisection speaks: on standard output, and into its log."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Teller:
    """Prints, and keeps the log. A reader that went away does not end the bisection."""

    def __init__(self) -> None:
        self._log: Path | None = None
        self._deaf = False

    def open(self, log: Path) -> None:
        """Begin the log anew; a resumed bisection tells its past again from the journal."""
        log.write_text("", encoding="utf-8")
        self._log = log

    def line(self, text: str, *, log: bool = True) -> None:
        """Print a line; `log`: it belongs to the log too."""
        if log and self._log is not None:
            with self._log.open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text + "\n")
        if self._deaf:
            return
        try:
            print(text, flush=True)
        except UnicodeEncodeError:  # a terminal in another encoding
            print(text.encode("ascii", "replace").decode(), flush=True)
        except BrokenPipeError:
            self._deaf = True
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def lines(self, texts: Iterable[str]) -> None:
        """Print lines that belong to the log."""
        for text in texts:
            self.line(text)
