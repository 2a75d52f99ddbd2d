"""Tests of guests once more, under KVM, in level 1 (see level_one.py).

`pytest -m kvm` runs all of them, in about an hour; a run without `-m kvm` takes the short form. What fails in
there is repeated in a level 1 that is booted anew: QEMU's emulation of SVM breaks about one boot in 30. The
number of repetitions is printed.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field

import level_one
import pytest
from junitparser import JUnitXml

from pytest_kbisect.errors import KbisectError

pytestmark = [pytest.mark.guest, pytest.mark.kvm]

ATTEMPTS = 3
SHORT = (
    "tests/guest/test_level_two.py::test_the_probe_chooses_kvm_and_remembers_it",
    "tests/guest/test_guests.py::test_commands_files_and_the_console",
    "tests/guest/test_guests.py::test_a_panic_is_told_by_its_title",
    "tests/guest/test_restoring.py::test_randomness_and_clock_are_its_own",
)
"""Probe, boot, crash, freeze and restore."""
GUEST_TESTS = (
    "tests/guest/test_level_two.py",
    "tests/guest/test_guests.py",
    "tests/guest/test_restoring.py",
    "tests/guest/test_pool.py",
    "tests/guest/test_ssh.py",
)
NOT_THERE = ("test_two_sessions_at_once_on_one_cache",)
"""Needs the tree of a kernel."""
BISECTION = ("tests/guest/test_small_bisection.py",)


@dataclass
class Level:
    """A level 1 that is booted when it is needed, and again after it broke. Counts what was repeated."""

    image: level_one.Image
    payload: object
    folder: object
    repeated: list[str] = field(default_factory=list)
    boots: int = 0
    _running: level_one.LevelOne | None = None

    def close(self) -> None:
        if self._running is not None:
            self._running.__exit__()
            self._running = None

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
        if self._running is None:
            self.boots += 1
            level = level_one.LevelOne(self.image, self.payload, self.folder / f"level{self.boots}")
            self._running = level.__enter__()
            if self._running.run("test -c /dev/kvm", 60).exit_status == 1:
                pytest.skip("no level 1: this QEMU emulates no virtualization that its guest's KVM can use")
        left_out = [f"--deselect=tests/guest/test_restoring.py::{name}" for name in NOT_THERE]
        words = ("python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", *left_out)
        command = shlex.join([*words, "--junitxml=/tmp/junit.xml", *tests])
        done = self._running.run(f"rm -f /tmp/junit.xml; {command}", limit)
        told = self._running.run("cat /tmp/junit.xml", 60)
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


@pytest.fixture(scope="module")
def level(real_cache, buggy_kernel, sound_kernel, tmp_path_factory, request):
    if reason := level_one.why_not():
        pytest.skip(f"no level 1: {reason}")
    folder = tmp_path_factory.mktemp("kvm")
    payload = level_one.payload({"buggy": buggy_kernel, "sound": sound_kernel}, folder / "payload.img")
    level = Level(level_one.image(real_cache), payload, folder)
    yield level
    level.close()
    said = f"kvm: level 1 was booted {level.boots} times; repeated: {', '.join(level.repeated) or 'nothing'}"
    request.config.get_terminal_writer().line(f"\n{said}")


@pytest.fixture
def whole(request):
    if "kvm" not in request.config.getoption("markexpr"):
        pytest.skip("takes long: pytest -m kvm")


def test_the_short_form(level):
    level.pytest(SHORT, 600)


@pytest.mark.usefixtures("whole")
def test_a_small_bisection(level):
    level.pytest(BISECTION, 3600)


@pytest.mark.usefixtures("whole")
def test_the_guest_tests(level):
    level.pytest(GUEST_TESTS, 7200)
