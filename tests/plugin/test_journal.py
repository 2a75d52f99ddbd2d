"""Interrupted is not lost: the journal survives being cut anywhere, and refuses another bisection's."""

from __future__ import annotations

import json
import resource
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_kbisect.errors import UsageError
from pytest_kbisect.evidence.journal import Journal
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Report, Run

if TYPE_CHECKING:
    from pathlib import Path

SUBJECT = {"range": ["a", "b"], "tests": ["repro/x.c::x"]}

runs = st.builds(
    Run,
    st.sampled_from([Outcome.OK, Outcome.CRASHED, Outcome.BOOT_FAILED]),
    title=st.text(max_size=20),
    alt_titles=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    report=st.text(max_size=50),
    reports=st.lists(
        st.builds(Report, st.text(max_size=9), st.lists(st.text(max_size=5), max_size=2).map(tuple)),
        max_size=2,
    ).map(tuple),
    whole=st.booleans(),
    absent=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    seconds=st.floats(0, 100),
)
experiments = st.lists(
    st.builds(
        CommitResult,
        st.text("0123456789abcdef", min_size=8, max_size=8),
        st.lists(runs, max_size=3).map(tuple),
    ),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(experiments, st.data())
def test_cut_at_any_byte_it_holds_every_whole_experiment(
    tmp_path_factory: pytest.TempPathFactory, made: list[CommitResult], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal = Journal(path, SUBJECT)
    ends = [path.stat().st_size]
    for tested in made:
        journal.add(tested, runs_asked=3, reason="why")
        ends.append(path.stat().st_size)
    cut = data.draw(st.integers(ends[0], ends[-1]))
    path.write_bytes(path.read_bytes()[:cut])
    whole = sum(end <= cut for end in ends) - 1
    again = Journal(path, SUBJECT)
    assert again.tested == tuple(made[:whole])
    again.add(CommitResult("after"), runs_asked=1, reason="")
    assert Journal(path, SUBJECT).tested == (*made[:whole], CommitResult("after"))


def test_a_line_that_found_no_room_leaves_none_of_it(tmp_path: Path) -> None:
    """A full disk takes half of it; what is written once there is room again begins a line."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, SUBJECT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            journal.add(CommitResult("a"), reason="")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    journal.note("given-up", {})
    assert Journal(path, SUBJECT).notes("given-up")


def test_ctrl_c_takes_no_whole_line_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a kernel has just been built, a sync can take seconds."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, SUBJECT)

    def fsync(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(KeyboardInterrupt):
        journal.add(CommitResult("a"), reason="")
    assert [one.commit for one in Journal(path, SUBJECT).tested] == ["a"]


def test_another_bisection_is_refused_with_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, SUBJECT)
    with pytest.raises(UsageError, match=r"its range is \[\"a\", \"b\"\], now it is \[\"a\", \"c\"\]"):
        Journal(path, {**SUBJECT, "range": ["a", "c"]})


def test_one_from_before_crashes_were_noted_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, SUBJECT).add(CommitResult("a"), reason="")
    assert Journal(path, {**SUBJECT, "crash": ["WARNING in foo"]}).tested == (CommitResult("a"),)
    other = tmp_path / "other.jsonl"
    Journal(other, {**SUBJECT, "crash": []})
    with pytest.raises(UsageError, match=r"its crash is \[\], now it is \[\"WARNING in foo\"\]"):
        Journal(other, {**SUBJECT, "crash": ["WARNING in foo"]})


_LATER = ("reports", "whole", "cut_short", "inlined", "absent", "idle", "unwatched")


def test_one_from_before_runs_had_several_reports_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    run = Run(Outcome.CRASHED, title="WARNING in foo", reached=("foo",))
    Journal(path, SUBJECT).add(CommitResult("a", (run,)), reason="")
    head, line = path.read_text().splitlines()
    record = json.loads(line)
    for name in _LATER:
        del record["tested"]["runs"][0][name]
    path.write_text(f"{head}\n{json.dumps(record)}\n")
    assert Journal(path, SUBJECT).tested == (CommitResult("a", (run,)),)
    assert [report.title for report in run.shown] == ["WARNING in foo"]


@pytest.mark.parametrize("damage", [{"title": 1}, {"unknown": ""}, "text"])
def test_a_damaged_report_is_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, SUBJECT).add(CommitResult("a", (Run(Outcome.CRASHED),)), reason="")
    head, line = path.read_text().splitlines()
    record = json.loads(line)
    record["tested"]["runs"][0]["reports"] = [damage]
    path.write_text(f"{head}\n{json.dumps(record)}\n")
    with pytest.raises(UsageError, match=r"journal\.jsonl:2"):
        Journal(path, SUBJECT)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, SUBJECT)
    path.write_text(path.read_text() + "nonsense\n" + json.dumps({"kind": "tested"}) + "\n")
    with pytest.raises(UsageError, match=r"journal\.jsonl:2"):
        Journal(path, SUBJECT)
