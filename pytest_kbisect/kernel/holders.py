"""Who holds a lock: written into the lock's file by the holder, read by those who wait."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GRACE = 10.0
"""Seconds for a build in the background to stop in order."""
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a lock. `owner` names those that belong together (the workers of a session).

    `background`: it does what nobody waits for yet, and gives way to whoever does.
    """

    pid: int
    started: str
    owner: str = ""
    background: bool = False

    @property
    def alive(self) -> bool:
        return bool(self.started) and _started(self.pid) == self.started

    def give_way(self, grace: float = GRACE) -> None:
        """Stop a process that works in the background: in order within `grace` seconds, or kill it.

        On a busy host it may hardly get a processor, so it is given an ordinary priority if that is allowed.
        """
        if not (self.background and self.alive):
            return
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(self.pid, os.SCHED_OTHER, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, self.pid, 0)
        self._signal(signal.SIGINT)
        deadline = time.monotonic() + grace
        while self.alive:
            if time.monotonic() > deadline:
                self._signal(signal.SIGKILL)
                return
            time.sleep(_POLL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)


def sign(lock: int, *, owner: str, background: bool) -> None:
    """Say that this process holds the lock of a descriptor."""
    holder = Holder(os.getpid(), _started(os.getpid()), owner, background)
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(asdict(holder)).encode(), 0)


def of(path: Path) -> Holder | None:
    """Who holds the lock of a file, as far as that is known: a holder may not yet have signed."""
    try:
        facts: Mapping[str, object] = json.loads(path.read_bytes())
        return Holder(**facts)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError):
        return None


def _started(pid: int) -> str:
    """When a process began, in ticks since the host booted; with its id this identifies a process.

    Empty for one that has ended, whether its parent knows it yet or not.
    """
    try:
        # The program's name stands in brackets, and may hold some itself.
        facts = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "" if facts[0] in {"Z", "X"} else facts[19]
    except (OSError, IndexError):
        return ""
