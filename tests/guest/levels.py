"""Tests in level 1: which of them fail, and are repeated in a level 1 that was booted anew."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest
from junitparser import JUnitXml
from level_one import Image, LevelOne

from pytest_kbisect.errors import KbisectError

if TYPE_CHECKING:
    from pathlib import Path

ATTEMPTS: Final = 3
_LEFT_OUT: Final = ("--deselect=tests/guest/test_restoring.py::test_two_sessions_at_once_on_one_cache",)
"""Tests that need the tree of a kernel."""


@dataclass
class Level:
    """A level 1 that is booted when it is needed, and again after it broke. Counts what was repeated."""

    image: Image
    payload: Path
    folder: Path
    repeated: list[str] = field(default_factory=list)
    boots: int = 0
    running: LevelOne | None = None

    def close(self) -> None:
        if self.running is not None:
            self.running.__exit__()
            self.running = None

    def pytest(self, tests, limit: float) -> None:
        """Run tests in it for at most `limit` seconds in all; fails if one fails ATTEMPTS times."""
        deadline = time.monotonic() + limit
        left = list(tests)
        for attempt in range(ATTEMPTS):
            try:
                passed, failed, said = self._attempt(left, deadline - time.monotonic())
            except KbisectError as error:  # level 1 itself
                passed, failed, said = 0, left, str(error)
            if passed and not failed:
                return
            left = failed or left
            self.close()
            if deadline < time.monotonic():
                pytest.fail(f"not done in {limit:.0f} s: {left}\n{said[-5000:]}", pytrace=False)
            if attempt + 1 < ATTEMPTS:
                self.repeated += left
        pytest.fail(f"failed {ATTEMPTS} times: {left}\n{said[-5000:]}", pytrace=False)

    def _attempt(self, tests, limit: float) -> tuple[int, list[str], str]:
        """How many tests passed, which ones failed, and what pytest printed."""
        if self.running is None:
            self.boots += 1
            level = LevelOne(self.image, self.payload, self.folder / f"level{self.boots}")
            self.running = level.__enter__()
            if self.running.run("test -c /dev/kvm", 60).exit_status == 1:
                pytest.skip("no level 1: this QEMU emulates no virtualization that its guest's KVM can use")
        words = ("python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", *_LEFT_OUT)
        command = shlex.join([*words, "--junitxml=/tmp/junit.xml", *tests])
        done = self.running.run(f"rm -f /tmp/junit.xml; {command}", limit)
        told = self.running.run("cat /tmp/junit.xml", 60)
        if told.exit_status:
            return 0, list(tests), done.stdout + done.stderr
        failed, passed = [], 0
        for suite in JUnitXml.fromstring(told.stdout.encode()):
            for case in suite:
                if case.is_failure or case.is_error:
                    path = case.classname.replace(".", "/") + ".py"
                    failed.append(f"{path}::{case.name}")
                elif case.is_passed:
                    passed += 1
        return passed, failed, done.stdout + done.stderr
