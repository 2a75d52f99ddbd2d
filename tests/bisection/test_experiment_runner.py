"""Experiments side by side: who ends first, what is given up, and that nothing is left running."""

from __future__ import annotations

import pytest

from pytest_kbisect.bisection.commit_request import CommitRequest, Share
from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
from pytest_kbisect.evidence.journal import Journal
from pytest_kbisect.evidence.outcome import CommitResult as Found
from pytest_kbisect.reports.terminal import TerminalReporter


class Session:
    """Ends when it has been looked at so often."""

    def __init__(self, commit, looks):
        self.commit, self.looks, self.closed = commit, looks, False

    def poll(self, seconds):
        assert not self.closed
        self.looks -= 1
        if isinstance(self.looks, float):
            raise KeyboardInterrupt
        return Found(self.commit, build_seconds=30, test_seconds=10) if self.looks <= 0 else None

    def close(self):
        self.closed = True


class FakeLauncher:
    """Starts sessions that take as many looks as the commit's name says."""

    def __init__(self):
        self.sessions, self.extra = {}, {}

    def begin(self, order, *, extra, **_):
        commit = order.commit
        self.extra[commit] = list(extra)
        looks = float("nan") if commit == "interrupted" else int(commit.removeprefix("takes"))
        self.sessions[commit] = Session(commit, looks)
        return self.sessions[commit]


@pytest.fixture
def launcher():
    return FakeLauncher()


@pytest.fixture
def runner(tmp_path, launcher):
    return ExperimentRunner(
        launcher,
        Journal(tmp_path / "journal.jsonl", {}),
        TerminalReporter(),
        per_run=1,
        share=Share(16, 4, 3),
    )


def order(commit, at_once=1):
    return CommitRequest(commit, 10, "to see", at_once=at_once)


def test_whoever_ends_first_is_told_first(runner, launcher):
    for commit in ("takes5", "takes2", "takes3"):
        runner.begin(order(commit, 3))
    ended = [[tested.commit for _, tested in runner.wait()] for _ in range(3)]
    assert ended == [["takes2"], ["takes3"], ["takes5"]]


def test_one_that_is_waited_for_leaves_the_others_for_later(runner):
    runner.begin(order("takes1", 2))
    assert runner.test(order("takes4")).commit == "takes4"
    assert [tested.commit for _, tested in runner.wait()] == ["takes1"]


def test_what_is_given_up_is_ended(runner, launcher, capsys):
    runner.begin(order("takes9", 2))
    runner.begin(order("takes2", 2))
    runner.give_up(order("takes9", 2), "it would tell nothing")
    assert launcher.sessions["takes9"].closed
    assert "takes9: given up, it would tell nothing" in capsys.readouterr().out
    assert [tested.commit for _, tested in runner.wait()] == ["takes2"]


@pytest.mark.parametrize(
    "wait", [lambda runner: runner.stop(), lambda runner: runner.test(order("interrupted"))]
)
def test_nothing_is_left_running(runner, launcher, wait):
    runner.begin(order("takes9"))
    runner.begin(order("takes8"))
    try:
        wait(runner)
    except KeyboardInterrupt:
        assert launcher.sessions["interrupted"].closed
    assert launcher.sessions["takes8"].closed
    assert launcher.sessions["takes9"].closed


def test_processors_and_guests_are_divided_among_those_that_run(runner, launcher):
    runner.test(order("takes1"))
    runner.test(order("takes2", 3))
    assert launcher.extra == {
        "takes1": ["-n10", "--kbisect-jobs=16"],  # ten runs have no use for more
        "takes2": ["-n4", "--kbisect-jobs=5"],
    }
    assert Share(16, 4, 3).options(1, 50) == ["-n12", "--kbisect-jobs=16"]
    assert Share(2, 1, 2).options(2, 50) == ["-n0", "--kbisect-jobs=1"]
    assert Share(2).options(3, 50) == ["--kbisect-jobs=1"]


def test_time_of_several_at_once_counts_once(runner):
    runner.record(order("takes1"), Found("takes1", build_seconds=30, test_seconds=10))
    assert runner.spent == 40
    for commit in ("takes2", "takes3"):
        runner.record(order(commit, 2), Found(commit, build_seconds=30, test_seconds=10))
    assert runner.spent == 80


def test_time_of_what_is_given_up_counts_too(tmp_path, launcher):
    now = [0.0]

    def runner():
        journal = Journal(tmp_path / "journal.jsonl", {})
        return ExperimentRunner(launcher, journal, TerminalReporter(), per_run=1, clock=lambda: now[0])

    first = runner()
    for commit in ("takes9", "takes8"):
        first.begin(order(commit, 2))
    now[0] = 40.0
    first.give_up(order("takes9", 2), "it would tell nothing")
    assert first.spent == 20
    now[0] = 60.0
    first.stop()
    assert first.spent == 50
    again = runner()
    assert (again.spent, again.made) == (50, ())
