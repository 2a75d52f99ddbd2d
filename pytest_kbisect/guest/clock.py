"""The time that a guest has run, as its time limits count it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class RunningTime:
    """A clock in seconds that stops while `held` is true. It asks when it is called, so call it often."""

    def __init__(self, held: Callable[[], bool], now: Callable[[], float] = time.monotonic) -> None:
        self._held = held
        self._now = now
        self._last = now()
        self._lost = 0.0

    def __call__(self) -> float:
        now = self._now()
        if self._held():
            self._lost += now - self._last
        self._last = now
        return now - self._lost
