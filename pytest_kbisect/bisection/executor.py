"""Where sessions run: the protocol of an executor, and the one that starts them on this machine."""

from __future__ import annotations

import subprocess
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pytest_kbisect import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pytest_kbisect.kernel.tree import LinuxTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What all sessions of a bisection have in common, for an executor that prepares for it.

    `commits` are the ends of the range, the newest first. `files` are what sessions read besides the kernel:
    reproducers and what they include, Python modules, configurations, the disk image. `compiler` is the
    compiler of earlier sessions of the same bisection, "" if there were none. `note` prints a line.
    """

    tree: LinuxTree
    commits: tuple[str, ...]
    files: tuple[Path, ...]
    rootdir: Path
    inifile: Path | None
    compiler: str
    note: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SessionCommand:
    """A pytest session to be run: a command, its working directory, and its environment.

    `log` takes what the session prints. It writes everything else that the driver reads into `folder`. Both
    are absolute paths on the driver's machine. `commit` (a full hash) and `title` are what it tests; `host`
    is where it should run, if that is possible: "" if any place will do.
    """

    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    folder: Path
    log: Path
    commit: str = ""
    title: str = ""
    host: str = ""


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
    `--kbisect-at-once` and `-n` divide it among them. It may change while a bisection runs."""
    compiler: str = ""
    """The compiler with which all sessions build, once that is known; "" if it is this machine's."""

    def open(self, workload: Workload) -> None:  # noqa: ARG002 - for those who override it
        """Prepare for a bisection: called once, before `capacity` is read. Raises UsageError or HostError."""
        return

    def close(self) -> None:
        """The bisection has ended, however it did. Called once, and also if `open` has failed."""
        return

    def fetch_kernel(self, commit: str, signature: str) -> None:  # noqa: ARG002
        """Put a kernel that a session has built into the driver's cache folder, if it is elsewhere.

        Called once, for the reports. Raises HostError if it cannot be had.
        """
        return

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
