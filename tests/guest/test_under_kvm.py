"""Tests of guests once more, under KVM, in level 1 (see level_one.py).

`pytest -m kvm` runs all of them, in about an hour; a run without `-m kvm` takes the short form. What fails in
there is repeated in a level 1 that is booted anew: QEMU's emulation of SVM breaks about one boot in 30. The
number of repetitions is printed.
"""

from __future__ import annotations

import level_one
import levels
import pytest

pytestmark = [pytest.mark.guest, pytest.mark.kvm]

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
BISECTION = ("tests/guest/test_small_bisection.py",)


@pytest.fixture(scope="module")
def level(real_cache, buggy_kernel, sound_kernel, tmp_path_factory, request):
    if reason := level_one.why_not():
        pytest.skip(f"no level 1: {reason}")
    folder = tmp_path_factory.mktemp("kvm")
    payload = level_one.payload({"buggy": buggy_kernel, "sound": sound_kernel}, folder / "payload.img")
    level = levels.Level(level_one.image(real_cache), payload, folder)
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
