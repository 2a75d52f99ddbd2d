"""Runs make in an O= folder, logs and counts what it prints, and stops it in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from pytest_kbisect import process
from pytest_kbisect.kernel import ccache, partial_make

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from pytest_kbisect.kernel.output import Output
    from pytest_kbisect.kernel.toolchain import Toolchain
    from pytest_kbisect.kernel.worktrees import Slot

STEPS_PER_SYMBOL = 2.6
"""Lines that make prints in a first build, for each symbol that is on: 6.1, tinyconfig and up."""

_STEP = re.compile(r"^  [A-Z0-9+]+ (?:\[M\])? +\S")
_GRACE = 3.0  # seconds for make to delete the targets it was writing
_SAY_EVERY = 10.0  # seconds: a build of minutes should not fill a log


@dataclass(slots=True)
class Make:
    """make and merge_config.sh in one O= folder, all they print appended to one log."""

    toolchain: Toolchain
    slot: Slot
    output: Output
    cache: Path
    jobs: int
    log: Path
    lines: list[str] = field(default_factory=list)

    def targets(
        self,
        targets: Sequence[str],
        *,
        entered: Collection[str] | None = None,
        step: Callable[[], None] | None = None,
    ) -> None:
        """Make targets, entering only the directories `entered` (None: all; see partial_make)."""
        arguments = self.toolchain.arguments(self.output.path.name)
        environment = partial_make.prepare(self.cache, self.output.path, entered, self._environment)
        self._run(["make", f"-j{self.jobs}", *arguments, *targets], self.slot.tree, environment, step)

    def merge(self, arguments: Sequence[str]) -> None:
        command = ["sh", "../scripts/kconfig/merge_config.sh", *arguments]
        self._run(command, self.output.path, self._environment)

    @property
    def _environment(self) -> dict[str, str]:
        return self.toolchain.environment(self.cache) | ccache.logging(self.log.parent)

    def _run(
        self,
        command: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        step: Callable[[], None] | None = None,
    ) -> None:
        with self.log.open("ab") as log:
            self._say(log, f"$ {' '.join(command)}\n".encode())
            child = process.start(
                command,
                group=True,
                cwd=cwd,
                env=environment,
                stdout=subprocess.PIPE,
                pass_fds=(self.slot.lock,),  # a compiler that outlives us keeps the slot locked
            )
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    self._say(log, line)
                    if step and _STEP.match(self.lines[-1]):
                        step()
                status = child.wait()
            except BaseException:
                if _stopped_in_order(child):
                    self.output.end()
                raise
            finally:
                child.stdout.close()
        if status:
            raise subprocess.CalledProcessError(status, command)

    def _say(self, log: IO[bytes], line: bytes) -> None:
        log.write(line)
        self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))


def _stopped_in_order(child: subprocess.Popen[bytes]) -> bool:
    """End make by a signal on which it deletes half-written targets; whether it got that far.

    It is SIGHUP, because a shell starts its background jobs with SIGINT ignored, and the group's
    leader answers SIGTERM with kill -9.
    """
    try:
        os.killpg(child.pid, signal.SIGHUP)
        deadline = time.monotonic() + _GRACE
        while time.monotonic() < deadline:
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(0.02)
    except ProcessLookupError:
        return True
    finally:
        process.kill(child)
    return False


class Steps:
    """How far make is: in per cent of the steps that a first build is estimated to take, else in steps."""

    def __init__(self, progress: Callable[[str], None], *, first: bool) -> None:
        self._progress = progress
        self._first = first
        self._expected = 0
        self._done = 0
        self._said = 0.0

    def begin(self, config: Path) -> None:
        if self._first:
            self._expected = max(1, int(config.read_text().count("=y\n") * STEPS_PER_SYMBOL))
        self._say("build 0%" if self._first else "build")

    def one(self) -> None:
        self._done += 1
        if time.monotonic() - self._said >= _SAY_EVERY:
            percent = min(99, 100 * self._done // self._expected) if self._expected else 0
            self._say(f"build {percent}%" if self._expected else f"build, {self._done} steps")

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        self._progress(text)
