"""`-n auto`: how many guests run side by side, and that it is said."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import options, parallel

if TYPE_CHECKING:
    from conftest import Tree


@pytest.mark.parametrize(
    ("processors", "available", "memory", "count", "words"),
    [
        (2, 16_000, 512, 2, "one per processor (memory is enough for 24: 512 MiB each"),
        (16, 4_000, 512, 5, "limited by memory (512 MiB each, 4000 MiB free; 16 processors)"),
        (8, 600, 512, 1, "limited by memory"),
        (1, 16_000, 512, 1, "one per processor"),
    ],
)
def test_processors_and_memory_decide(
    processors: int, available: int, memory: int, count: int, words: str
) -> None:
    workers = parallel.workers(processors, available, memory)
    assert workers.count == count
    assert workers.why.startswith(words)


@pytest.mark.parametrize(("guests", "commits"), [(1, 1), (8, 1), (15, 1), (16, 2), (31, 3), (128, 4)])
def test_guests_are_enough_for_so_many_commits(guests: int, commits: int) -> None:
    assert parallel.commits_at_once(guests) == commits


def test_the_processors_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= parallel.processors() <= (os.cpu_count() or 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert parallel.processors() == 1


def test_a_build_has_a_job_for_each(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert options.jobs(pytester.parseconfig()) == 1
    assert options.jobs(pytester.parseconfig("--kbisect-jobs=5")) == 5


def test_the_header_says_how_many_and_why(pytester: pytest.Pytester, linux: Tree) -> None:
    pytester.makepyfile("def test_it(worker_id): assert worker_id")
    words = [f"--kbisect-kernel={linux.path}", "-n", "auto"]
    result = pytester.runpytest_subprocess(*words)
    count = min(parallel.processors(), 64)
    result.stdout.fnmatch_lines([f"kbisect: guests: {count} at a time, one per processor (*MiB free)"])
    result.stdout.fnmatch_lines([f"created: {count}/{count} worker*"])
    result = pytester.runpytest_subprocess(*words, "--kbisect-memory=100000000")
    result.stdout.fnmatch_lines(["kbisect: guests: 1 at a time, limited by memory (*"])


def test_who_uses_no_kernel_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(worker_id): assert worker_id")
    result = pytester.runpytest_subprocess("-n", "auto")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*kbisect:*")
