"""What of the tests in level 1 is repeated, and when that ends; with a level 1 that is played."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import levels
import pytest

from pytest_kbisect.errors import InfraError

TESTS = ["tests/guest/test_a.py::test_one", "tests/guest/test_a.py::test_two"]


class LevelOne:
    """Each run of pytest in it fails the tests that `failing` names next, or raises what is there."""

    failing: ClassVar[list] = []
    asked: ClassVar[list] = []
    booted = 0

    def __init__(self, image, payload, folder):
        pass

    def __enter__(self):
        type(self).booted += 1
        return self

    def __exit__(self, *_):
        pass

    def run(self, command, timeout):
        if command.startswith("cat"):
            cases = "".join(
                f'<testcase classname="tests.guest.test_a" name="{name}">'
                f"{'<failure/>' if name in self.now else ''}</testcase>"
                for name in self.wanted
            )
            return SimpleNamespace(
                exit_status=0, stdout=f"<testsuites><testsuite>{cases}</testsuite></testsuites>"
            )
        if command.startswith("test -c"):
            return SimpleNamespace(exit_status=0)
        self.wanted = [test.partition("::")[2] for test in TESTS if test in command]
        self.asked.append(self.wanted)
        self.now = self.failing.pop(0)
        if isinstance(self.now, Exception):
            raise self.now
        return SimpleNamespace(exit_status=0, stdout="", stderr="")


@pytest.fixture
def level(monkeypatch, tmp_path):
    monkeypatch.setattr(LevelOne, "asked", [])
    monkeypatch.setattr(LevelOne, "booted", 0)
    monkeypatch.setattr(levels, "LevelOne", LevelOne)
    return levels.Level(None, None, tmp_path)


def fails(monkeypatch, *failing):
    monkeypatch.setattr(LevelOne, "failing", list(failing))


def test_nothing_is_repeated_where_nothing_fails(level, monkeypatch):
    fails(monkeypatch, [])
    level.pytest(TESTS, 60)
    assert (level.repeated, LevelOne.booted) == ([], 1)


def test_what_failed_is_repeated_alone_in_a_new_level_and_counted(level, monkeypatch):
    fails(monkeypatch, ["test_two"], [])
    level.pytest(TESTS, 60)
    assert LevelOne.asked == [["test_one", "test_two"], ["test_two"]]
    assert (level.repeated, LevelOne.booted) == ([TESTS[1]], 2)


def test_a_level_that_breaks_is_booted_again_for_all(level, monkeypatch):
    fails(monkeypatch, InfraError("qemu", "QEMU died"), [])
    level.pytest(TESTS, 60)
    assert (level.repeated, LevelOne.booted) == (TESTS, 2)


def test_what_fails_each_time_fails(level, monkeypatch):
    fails(monkeypatch, *[["test_one"]] * levels.ATTEMPTS)
    with pytest.raises(pytest.fail.Exception, match=r"failed 3 times: .*test_one"):
        level.pytest(TESTS, 60)


def test_the_time_limit_ends_it(level, monkeypatch):
    fails(monkeypatch, ["test_one"])
    now = iter([0.0, 0.0, 61.0])
    monkeypatch.setattr(levels, "time", SimpleNamespace(monotonic=lambda: next(now)))
    with pytest.raises(pytest.fail.Exception, match="not done in 60 s"):
        level.pytest(TESTS, 60)
