"""Verdicts from run counts, and which crashes are the same bug by their titles."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kbisect.evidence.outcome import Outcome, Run, Verdict
from pytest_kbisect.evidence.reference import Match, Reference, match_names
from pytest_kbisect.evidence.run_counts import RunCounts, count_runs
from pytest_kbisect.evidence.verdict import LIMITS, judge


def reference(*titles):
    return Reference().grown([Run(Outcome.CRASHED, title) for title in titles])


@pytest.mark.parametrize(
    ("known", "seen", "match"),
    [
        (["WARNING in foo_open"], "WARNING in foo_open", Match.MATCH),
        (["WARNING in foo_open"], "KASAN: use-after-free Read in foo_open", Match.RELATED),
        (["KASAN: use-after-free Read in nr_bind"], "KASAN: double-free in nr_release", Match.RELATED),
        (["WARNING in foo_open"], "WARNING in bar", Match.UNRELATED),
        (["INFO: task hung in a_ioctl"], "INFO: rcu detected stall in b_ioctl", Match.MATCH),
        (["INFO: task hung in a_ioctl"], "INFO: task hung in corrupted", Match.RELATED),
        (["INFO: task hung in a_ioctl", "WARNING in c"], "INFO: task hung in b_ioctl", Match.RELATED),
        (["WARNING in c"], "INFO: task hung in b_ioctl", Match.UNRELATED),
        (["INFO: task hung in a_ioctl"], "kernel panic: hung_task: blocked tasks", Match.MATCH),
        (["KASAN: slab-use-after-free Read in foo_timer"], "WARNING: ODEBUG bug in foo_probe", Match.RELATED),
        (
            ["WARNING in c"] * 9 + ["unregister_netdevice: waiting"] * 3,
            "unregister_netdevice: waiting",
            Match.UNRELATED,
        ),
    ],
)
def test_same_bug_by_its_title(known, seen, match):
    assert match_names(Run(Outcome.CRASHED, seen), reference(*known)) is match


def test_a_crash_seen_on_the_side_is_not_what_the_bug_is_known_by():
    known = reference(*["WARNING in foo_open"] * 19, "general protection fault in bar")
    assert match_names(Run(Outcome.CRASHED, "general protection fault in bar"), known) is Match.RELATED


@pytest.mark.parametrize(
    ("counts", "chance", "verdict"),
    [
        (RunCounts(matching=10), 0.95, Verdict.BAD),
        (RunCounts(matching=1, ok=9), 0.95, Verdict.SKIP),
        (RunCounts(matching=2, ok=18), 0.95, Verdict.SKIP),
        (RunCounts(matching=2, ok=18), 0.1, Verdict.BAD),
        (RunCounts(matching=3, unrelated=7), 0.95, Verdict.SKIP),
        (RunCounts(matching=3, unrelated=7), 0.5, Verdict.BAD),
        (RunCounts(related=9, ok=1), 0.95, Verdict.BAD),
        (RunCounts(related=6, ok=4), 0.95, Verdict.SKIP),
        (RunCounts(unrelated=10), 0.95, Verdict.SKIP),
        (RunCounts(ok=10), 0.95, Verdict.GOOD),
        (RunCounts(ok=4, boot_failed=6), 0.95, Verdict.GOOD),
        (RunCounts(ok=4, boot_failed=6), 0.3, Verdict.SKIP),
        (RunCounts(boot_failed=10), 0.95, Verdict.SKIP),
        (RunCounts(), None, Verdict.SKIP),
    ],
)
def test_verdict(counts, chance, verdict):
    assert judge(counts, chance=chance) is verdict


COUNTS = st.integers(0, 12)


@given(st.builds(RunCounts, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS), st.none() | st.floats(0, 1))
def test_what_is_no_evidence_never_decides(counts, chance):
    """Only crashes of the bug, or related ones, make a commit bad; only ok runs make it good."""
    verdict = judge(counts, chance=chance)
    if verdict is Verdict.BAD:
        assert counts.matching + counts.related >= 2
    if verdict is Verdict.GOOD:
        assert counts.ok
        assert not counts.matching


def test_stricter_limits_leave_more_open():
    mixed = RunCounts(matching=4, unrelated=4, ok=2)
    assert judge(mixed, chance=0.95) is Verdict.BAD
    assert judge(mixed, chance=0.95, limits=replace(LIMITS, unrelated=0.5)) is Verdict.SKIP


def test_runs_are_counted_by_what_they_say():
    runs = [
        Run(Outcome.OK),
        Run(Outcome.BOOT_FAILED),
        Run(Outcome.INFRA_FAILED),
        Run(Outcome.CRASHED, "WARNING in foo_open"),
        Run(Outcome.CRASHED, "WARNING in foo_close"),
        Run(Outcome.CRASHED, "KASAN: use-after-free Read in bar"),
    ]
    assert count_runs(runs, reference("WARNING in foo_open")) == RunCounts(1, 1, 1, 1, 1, 1)


@pytest.mark.parametrize("title", ["lost connection to test machine", "SYZFATAL: executor failed"])
def test_a_fault_of_the_harness_is_no_crash_but_where_it_is_the_bug(title):
    runs = [Run(Outcome.CRASHED, title)]
    assert count_runs(runs, reference("WARNING in foo_open")) == RunCounts(infra_failed=1)
    assert count_runs(runs, reference(title)) == RunCounts(matching=1)


def test_ok_runs_among_mostly_failing_machines_are_no_evidence():
    failed, ok, crash = (
        Run(Outcome.INFRA_FAILED),
        Run(Outcome.OK),
        Run(Outcome.CRASHED, "WARNING in foo_open"),
    )
    known = reference("WARNING in foo_open")
    assert count_runs([failed] * 5 + [ok] * 5, known).ok == 5
    assert count_runs([failed] * 6 + [ok] * 4, known) == RunCounts(infra_failed=10)
    assert count_runs([failed] * 6 + [ok] * 3 + [crash], known) == RunCounts(matching=1, infra_failed=9)
