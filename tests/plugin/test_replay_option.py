"""`--kbisect-replay`: other bisections read back, nothing built or run."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_kbisect.bisection import hints
from pytest_kbisect.errors import UsageError
from pytest_kbisect.evidence.journal import Journal
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Tree

CRASH, OK = Run(Outcome.CRASHED, title="WARNING in foo"), Run(Outcome.OK)


@pytest.fixture
def line(linux: Tree) -> list[str]:
    """Twelve commits after the good end; the fifth is the culprit."""
    return [linux.git("rev-parse", "HEAD"), *(linux.commit(f"commit {n}") for n in range(12))]


def replay(pytester: pytest.Pytester, log: Path, *words: str) -> pytest.RunResult:
    return pytester.runpytest(f"--kbisect-replay={log}", *words)


def test_a_git_bisect_log(pytester: pytest.Pytester, linux: Tree, line: list[str]) -> None:
    linux.git("bisect", "start", line[-1], line[0])
    for n in (6, 3, 4, 5):
        linux.git("bisect", "bad" if n >= 5 else "good", line[n])
    log = pytester.path / "bisect.txt"
    log.write_text(linux.git("bisect", "log"))
    result = replay(pytester, log, f"--kbisect-kernel={linux.path}")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [f"there: first bad commit {line[5]}", "here: culprit, *", f"*{line[5][:12]} commit 4"]
    )
    assert replay(pytester, log).ret == 0


def test_a_journal_that_is_not_at_its_end(pytester: pytest.Pytester, linux: Tree, line: list[str]) -> None:
    path = pytester.path / "journal.jsonl"
    journal = Journal(path, {"range": [line[0], line[-1]], "fix": False})
    journal.add(CommitResult(line[-1], (CRASH,) * 4, "s1"), reason="")
    journal.note("given-up", {"commit": line[8], "seconds": 60.0, "at_once": 4})
    journal.add(CommitResult(line[6], (OK,) * 12, "s2"), reason="")
    path.write_bytes(path.read_bytes() + b'{"kind": "tes')
    before = path.read_bytes()
    result = replay(pytester, path, f"--kbisect-kernel={linux.path}")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*tests: 2,*", f"{line[6][:12]} good", "here: candidates, *", "next: *"])
    for outside in line[:7]:
        result.stdout.no_fnmatch_line(f"  *% {outside[:12]} *")
    assert path.read_bytes() == before


def test_a_journal_is_weighed_as_it_was(pytester: pytest.Pytester, linux: Tree, line: list[str]) -> None:
    """By the titles that its reproducers name, and by what spoke for a commit beforehand."""
    path = pytester.path / "journal.jsonl"
    other = Run(Outcome.CRASHED, title="INFO: task hung in bar")
    journal = Journal(path, {"range": [line[0], line[-1]], "fix": False, "crash": [CRASH.title]})
    journal.add(CommitResult(line[-1], (CRASH, other) * 4, "s1"), reason="")
    journal.note("prior", hints.to_note(np.array([0.01] * 8 + [0.9] + [0.01] * 3), []))
    journal.add(CommitResult(line[6], (other,) * 4, "s2"), reason="")
    result = replay(pytester, path, f"--kbisect-kernel={linux.path}")
    result.stdout.fnmatch_lines([f"{line[6][:12]} skip", "here: candidates, *", f"*% {line[9][:12]} *"])
    assert result.outlines[result.outlines.index(f"{line[6][:12]} skip") + 2].split()[1] == line[9][:12]


@pytest.mark.parametrize("words", [[], ["--kbisect-range=..HEAD"]])
def test_a_journal_of_a_walk_through_releases(
    pytester: pytest.Pytester, linux: Tree, line: list[str], words: list[str]
) -> None:
    """Its range is the one that the search began from, and nobody has said that it is good."""
    path = pytester.path / "journal.jsonl"
    journal = Journal(path, {"range": ["", line[-1]], "fix": False})
    for commit, runs in ((line[-1], (CRASH,) * 4), (line[8], (CRASH,)), (line[2], (OK,) * 4)):
        journal.add(CommitResult(commit, runs, f"of {commit}"), reason="", phase="range")
    journal.note("search", {"good": line[2], "trusted": False})
    for n, run in ((5, OK), (7, CRASH), (6, OK)):
        journal.add(CommitResult(line[n], (run,) * 8, f"of {line[n]}"), reason="")
    result = replay(pytester, path, f"--kbisect-kernel={linux.path}", *words)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["here: culprit, *", f"*% {line[7][:12]} *"])


def test_what_is_no_bisection(pytester: pytest.Pytester, linux: Tree) -> None:
    (pytester.path / "x.log").write_text("hello\n")
    (pytester.path / "cut.jsonl").write_text('{"kind": "subject", "form')
    (pytester.path / "other.json").write_text('{"culprit": ""}\n')
    (pytester.path / "result.json").write_text('{\n "culprit": ""\n}\n')
    (pytester.path / "short.log").write_text(f"testing commit {'a' * 40}\nall runs: OK\n")
    for words, error in (
        (["x.log"], "ERROR: *x.log holds no bisection: *"),
        (["cut.jsonl"], "ERROR: *cut.jsonl holds no bisection: *"),
        (["other.json"], "ERROR: *other.json holds no bisection: *"),
        (["result.json"], "ERROR: *result.json holds no bisection: *"),
        (["nowhere.log"], "ERROR: cannot read *nowhere.log: No such file or directory"),
        (
            ["short.log", f"--kbisect-kernel={linux.path}"],
            "ERROR: the log names no range: add --kbisect-range A..B",
        ),
        (
            ["short.log", f"--kbisect-kernel={linux.path}", "--kbisect-range=..HEAD"],
            "ERROR: the log names no range: add --kbisect-range A..B",
        ),
    ):
        result = replay(pytester, pytester.path / words[0], *words[1:])
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([error])


def test_an_endless_file(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--kbisect-replay=/dev/zero")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: /dev/zero is larger than 256 MiB: *"])


def test_a_pipe(pytester: pytest.Pytester, line: list[str]) -> None:
    """`--kbisect-replay <(ssh builder cat journal.jsonl)`: it can be read only once."""
    path = pytester.path / "journal.jsonl"
    Journal(path, {"range": [line[0], line[-1]]}).add(CommitResult(line[-1], (CRASH,) * 4, "s1"), reason="")
    os.mkfifo(pytester.path / "pipe")
    with subprocess.Popen(["sh", "-c", "exec cat journal.jsonl >pipe"]):
        result = replay(pytester, pytester.path / "pipe")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*pipe: tests: 1, verdicts for git: 0", f"{line[-1][:12]} bad"])


@pytest.mark.parametrize(
    "change",
    [
        lambda tested: tested.pop("runs"),
        lambda tested: tested.update(runs=[{"outcome": "exploded"}]),
        lambda tested: tested.update(of_a_later_version=1),
        lambda tested: tested.update(commit=None),
        lambda tested: tested["runs"][0].update(seconds="soon"),
    ],
)
def test_a_journal_of_another_version(pytester: pytest.Pytester, line: list[str], change) -> None:
    """It is neither read wrongly nor with a traceback; nor is it gone on from."""
    path = pytester.path / "journal.jsonl"
    subject = {"range": [line[0], line[-1]], "fix": False}
    Journal(path, subject).add(CommitResult(line[-1], (CRASH,) * 4, "s1"), reason="")
    first, second = map(json.loads, path.read_text().splitlines())
    change(second["tested"])
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    result = replay(pytester, path)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *journal.jsonl:2 is not a journal line: *"])
    with pytest.raises(UsageError, match=r"journal.jsonl:2 is not a journal line"):
        Journal(path, subject)
