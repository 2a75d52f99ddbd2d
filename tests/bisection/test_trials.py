"""Experiments side by side: who ends first, what is given up, and that nothing is left running."""

from __future__ import annotations

import pytest

from pytest_kbisect.bisection.journal import Journal
from pytest_kbisect.bisection.order import Order, Share
from pytest_kbisect.bisection.outcome import Tested as Found
from pytest_kbisect.bisection.trials import Trials
from pytest_kbisect.reports.teller import Teller


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


class Lab:
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
def lab():
    return Lab()


@pytest.fixture
def trials(tmp_path, lab):
    return Trials(lab, Journal(tmp_path / "journal.jsonl", {}), Teller(), per_run=1, share=Share(16, 4, 3))


def order(commit, at_once=1):
    return Order(commit, 10, "to see", at_once=at_once)


def test_whoever_ends_first_is_told_first(trials, lab):
    for commit in ("takes5", "takes2", "takes3"):
        trials.begin(order(commit, 3))
    ended = [[tested.commit for _, tested in trials.wait()] for _ in range(3)]
    assert ended == [["takes2"], ["takes3"], ["takes5"]]


def test_one_that_is_waited_for_leaves_the_others_for_later(trials):
    trials.begin(order("takes1", 2))
    assert trials.test(order("takes4")).commit == "takes4"
    assert [tested.commit for _, tested in trials.wait()] == ["takes1"]


def test_what_is_given_up_is_ended(trials, lab, capsys):
    trials.begin(order("takes9", 2))
    trials.begin(order("takes2", 2))
    trials.give_up(order("takes9", 2), "it would tell nothing")
    assert lab.sessions["takes9"].closed
    assert "takes9: given up, it would tell nothing" in capsys.readouterr().out
    assert [tested.commit for _, tested in trials.wait()] == ["takes2"]


@pytest.mark.parametrize(
    "wait", [lambda trials: trials.stop(), lambda trials: trials.test(order("interrupted"))]
)
def test_nothing_is_left_running(trials, lab, wait):
    trials.begin(order("takes9"))
    trials.begin(order("takes8"))
    try:
        wait(trials)
    except KeyboardInterrupt:
        assert lab.sessions["interrupted"].closed
    assert lab.sessions["takes8"].closed
    assert lab.sessions["takes9"].closed


def test_processors_and_guests_are_divided_among_those_that_run(trials, lab):
    trials.test(order("takes1"))
    trials.test(order("takes2", 3))
    assert lab.extra == {
        "takes1": ["-n10", "--kbisect-jobs=16"],  # ten runs have no use for more
        "takes2": ["-n4", "--kbisect-jobs=5"],
    }
    assert Share(16, 4, 3).options(1, 50) == ["-n12", "--kbisect-jobs=16"]
    assert Share(2, 1, 2).options(2, 50) == ["-n0", "--kbisect-jobs=1"]
    assert Share(2).options(3, 50) == ["--kbisect-jobs=1"]


def test_time_of_several_at_once_counts_once(trials):
    trials.record(order("takes1"), Found("takes1", build_seconds=30, test_seconds=10))
    assert trials.spent == 40
    for commit in ("takes2", "takes3"):
        trials.record(order(commit, 2), Found(commit, build_seconds=30, test_seconds=10))
    assert trials.spent == 80


def test_time_of_what_is_given_up_counts_too(tmp_path, lab):
    now = [0.0]

    def trials():
        journal = Journal(tmp_path / "journal.jsonl", {})
        return Trials(lab, journal, Teller(), per_run=1, clock=lambda: now[0])

    first = trials()
    for commit in ("takes9", "takes8"):
        first.begin(order(commit, 2))
    now[0] = 40.0
    first.give_up(order("takes9", 2), "it would tell nothing")
    assert first.spent == 20
    now[0] = 60.0
    first.stop()
    assert first.spent == 50
    again = trials()
    assert (again.spent, again.made) == (50, ())
