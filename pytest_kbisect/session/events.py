"""What a session says while it runs: to the bisection that started it, else to the user's terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FILE: Final = "events.jsonl"
"""In the session's folder: one JSON object a line, with the `time` of the event (seconds since the epoch)."""

_PERCENT: Final = re.compile(r"(.*?),? (\d+)%")


class Events:
    """Where a session's events go. What cannot be written is lost: nothing rests on it."""

    def __init__(self, config: pytest.Config, folder: Path | None) -> None:
        """`folder` is the session's, where a bisection started it; None where a user did."""
        self._config = config
        self._folder = folder
        self._said: set[str] = set()

    def say(self, message: str) -> None:
        """Tell the user something now."""
        self.tell({"say": message})

    def say_once(self, message: str) -> None:
        """The same, once per session: of xdist's workers only the first one says it."""
        if message not in self._said and os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0":
            self._said.add(message)
            self.say(message)

    def progress(self, commit: str, message: str) -> None:
        """Tell how far the build of a commit is: a stage in words, perhaps with a percentage."""
        percent = _PERCENT.fullmatch(message)
        stage = {"stage": percent[1], "percent": int(percent[2])} if percent else {"stage": message}
        self.tell({"say": f"{commit[:12]}: {message}", **stage})

    def tell(self, event: dict[str, Any]) -> None:
        """Tell a bisection what happens; a user gets what the event has to `say`, if anything."""
        with contextlib.suppress(OSError):
            if self._folder is not None:
                with (self._folder / FILE).open("a") as file:
                    file.write(json.dumps({"time": time.time(), **event}) + "\n")
            elif "say" in event:
                capture = self._config.pluginmanager.getplugin("capturemanager")
                with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                    os.write(2, f"kbisect: {event['say']}\n".encode())
