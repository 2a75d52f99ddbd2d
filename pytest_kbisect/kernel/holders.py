"""Who holds a lock: written into the lock's file by the holder, read by those who wait."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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

    def give_way(self) -> None:
        """Ask a process that works in the background to stop in order, once for all who wait."""
        if self.background and self.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGINT)


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
    """When a process began, in ticks since the host booted; with its id this identifies a process."""
    try:
        # The program's name stands in brackets, and may hold some itself.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
