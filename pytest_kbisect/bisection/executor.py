"""Where sessions run: the protocol of an executor, and the one that starts them on this machine."""

from __future__ import annotations

import subprocess
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pytest_kbisect import process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SessionCommand:
    """A pytest session to be run: a command, its working directory, and its environment.

    `log` takes what the session prints. It writes everything else that the driver reads into `folder`. Both
    are absolute paths on the driver's machine.
    """

    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    folder: Path
    log: Path


class RunningSession(Protocol):
    """A session that an executor has started."""

    @abstractmethod
    def wait(self, seconds: float) -> int | None:
        """Wait up to so many seconds; the exit status of pytest, or None if the session still runs.

        Once it returns a status, the session's files are in the folder that its command names. Progress
        events (events.jsonl there) may come earlier, late or never.
        """

    @abstractmethod
    def cancel(self) -> None:
        """End the session and everything that it has started, now. Harmless for one that has ended."""


@runtime_checkable
class Executor(Protocol):
    """Runs sessions. Subclass it; `name` and `start` must be given."""

    name: str
    capacity: int | None = None
    """Sessions at a time, each with processors and memory of its own. None: they share this machine, and
    `--kbisect-at-once` and `-n` divide it among them."""

    @abstractmethod
    def start(self, session: SessionCommand) -> RunningSession:
        """Start a session and return at once. Raises HostError if that is impossible."""


class _Child(RunningSession):
    """A child of this process."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child

    def wait(self, seconds: float) -> int | None:
        try:
            status = self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self.cancel()  # what it has left behind
        return status

    def cancel(self) -> None:
        process.kill(self._child)


class LocalExecutor(Executor):
    """Starts sessions as children of this process: they end with it, however it ends."""

    name = "local"

    def start(self, session: SessionCommand) -> RunningSession:
        with session.log.open("wb") as log:
            return _Child(
                process.start(session.command, cwd=session.directory, env=session.environment, stdout=log)
            )
