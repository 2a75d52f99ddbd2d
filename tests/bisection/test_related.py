"""Crashes that may be the bug by another name: told apart by traces, weighed by what else was seen."""

from __future__ import annotations

import pytest
from worlds import OK, OTHER, drive, session

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.outcome import Outcome, Run
from pytest_kbisect.evidence.reference import Match, Reference, match_names
from pytest_kbisect.evidence.related import match_crashes, why_related
from pytest_kbisect.history.candidates import History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.bayes.confirm import Confirmation
from pytest_kbisect.strategies.strategy import AnswerKind

HISTORY = History.line([f"c{i:03}" for i in range(200)])
PRICES = Prices(build=300, run=60, width=10)

BUG = Run(Outcome.CRASHED, title="KASAN: use-after-free Read in foo_open", frame="foo_open", seconds=1)
RENAMED = Run(Outcome.CRASHED, title="UBSAN: undefined-behaviour in foo_open", frame="foo_open", seconds=1)


def oops(title, *functions):
    """A crash as it stands in a run's report: its trace has these functions, innermost first."""
    trace = "\n".join(f" {name}+0x1d/0x40" for name in functions)
    return Run(
        Outcome.CRASHED,
        title=title,
        frame=title.rpartition(" in ")[2],
        report=f"BUG: KASAN: use-after-free in {functions[0]}+0x1d/0x40\nRead of size 8 at addr ffff8880068c9e00 by task a/1\n\n"
        f"CPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\nCall Trace:\n <TASK>\n dump_stack+0x1d/0x40\n{trace}\n </TASK>\n",
    )


@pytest.mark.parametrize(
    ("known", "seen", "by_titles", "by_traces"),
    [
        # The same access, seen by another detector.
        (
            oops("KASAN: use-after-free Read in ab_get", "ab_get", "cd_use"),
            Run(Outcome.CRASHED, title="general protection fault in ab_get", frame="ab_get"),
            Match.RELATED,
            Match.MATCH,
        ),
        # ab_get is inlined now: its caller is the key frame.
        (
            oops("KASAN: use-after-free Read in ab_get", "ab_get", "cd_use", "ef_ioctl"),
            oops("KASAN: use-after-free Read in cd_use", "cd_use", "ef_ioctl"),
            Match.UNRELATED,
            Match.RELATED,
        ),
        (
            oops("KASAN: use-after-free Read in ab_get", "ab_get", "cd_use"),
            oops("KASAN: use-after-free Read in xy_poll", "xy_poll", "zz_wait"),
            Match.UNRELATED,
            Match.UNRELATED,
        ),
    ],
)
def test_traces_tell_what_titles_do_not(known, seen, by_titles, by_traces):
    reference = Reference().grown([known])
    assert match_names(seen, reference) is by_titles
    assert match_crashes(seen, reference) is by_traces
    assert bool(why_related(seen, reference)) == (by_traces is not Match.UNRELATED)


@pytest.mark.parametrize(
    ("expected", "seen", "kind"),
    [
        # Kernels before 6.3, and syzbot until 2022, have other words for it.
        ("KASAN: use-after-free Read in ab_get", "KASAN: slab-use-after-free Read in ab_get", Match.MATCH),
        ("KASAN: double-free or invalid-free in ab_put", "KASAN: invalid-free in ab_put", Match.MATCH),
        ("INFO: suspicious RCU usage in ab_get", "WARNING: suspicious RCU usage in ab_get", Match.MATCH),
        ("WARNING in ab_get", "KASAN: slab-use-after-free Read in ab_get", Match.RELATED),
        (
            "KASAN: use-after-free Read in ab_get",
            "KASAN: slab-use-after-free Read in xy_get",
            Match.UNRELATED,
        ),
    ],
)
def test_an_expected_title_is_known_by_what_it_stands_for(expected, seen, kind):
    run = Run(Outcome.CRASHED, title=seen)
    assert match_crashes(run, Reference(frozenset({expected}))) is kind
    assert match_crashes(run, Reference(frozenset({expected})).grown([OTHER])) is kind


def test_an_expected_title_may_be_the_line_that_the_report_begins_with():
    leaked = "BUG: workqueue leaked atomic, lock or RCU: kworker/u8:2[34]"
    run = Run(
        Outcome.CRASHED,
        title="BUG: workqueue leaked lock or atomic in ab_work",
        report=f"{leaked}\n     preempt=0x00000000 lock=0->1 RCU=0->0 workfn=ab_work\n",
    )
    for title, kind in (
        (leaked, Match.MATCH),
        ("BUG: workqueue leaked atomic, lock or RCU: kworker/u8:NUM[NUM]", Match.MATCH),
        ("BUG: workqueue lockup", Match.UNRELATED),
    ):
        assert match_crashes(run, Reference(frozenset({title}))) is kind


def kernels(culprit, renamed=0, other=OK):
    """Commits from the culprit on crash each time, those before `renamed` under another title."""

    def kernel(i, runs):
        run = (BUG if i >= renamed else RENAMED) if i >= culprit else other
        return session([run] * runs, signature=f"s{i}")

    return kernel


@pytest.mark.parametrize("culprit", [3, 90])
def test_a_bug_that_had_another_title_once_is_followed_to_its_culprit(culprit):
    answer, asked = drive(
        Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), kernels(culprit, renamed=culprit + 40)
    )
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, culprit)
    assert len({experiment.commit for experiment in asked}) <= 14


def test_ok_runs_speak_against_kin():
    """The related crashes are of another bug that came and went: commits after them do not crash."""

    def kernel(i, runs):
        return session([BUG if i >= 150 else RENAMED if 60 <= i < 90 else OK] * runs, signature=f"s{i}")

    answer, _ = drive(Bayes(HISTORY, prices=PRICES), Evidence(HISTORY), kernel)
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, 150)


def test_strangers_beside_kin_make_them_strangers():
    evidence = Evidence(HISTORY)
    evidence.add(199, session([BUG] * 3))
    evidence.add(50, session([RENAMED, OTHER] * 5, signature="mixed"))
    evidence.add(60, session([RENAMED] * 9 + [OTHER], signature="related"))
    assert (evidence.counts(50).credited, evidence.counts(60).credited) == (0, 9)
    strategy = Bayes(HISTORY, prices=PRICES)
    assert strategy.chance_of_bug(evidence, 60) > 0.8
    assert 0.2 < Bayes(HISTORY).chance_of_bug(evidence, 20) < 0.8  # may have come with either


def test_titles_seen_beside_the_bug_on_bad_commits_become_its_own():
    evidence = Evidence(HISTORY)
    evidence.add(199, session([BUG] * 3))
    evidence.add(50, session([RENAMED] * 4, signature="older"))
    assert evidence.counts(50).matching == 0
    evidence.add(120, session([BUG, BUG, RENAMED, RENAMED, OTHER], signature="both"))
    assert evidence.counts(50).matching == 4
    assert OTHER.title not in evidence.reference.titles


def test_a_culprit_known_by_kin_alone_is_told_with_less_confidence():
    evidence = Evidence(HISTORY)
    evidence.add(199, session([BUG] * 3))
    evidence.add(50, session([RENAMED] * 10, signature="culprit"))
    evidence.add(49, session([OK] * 10, signature="parent"))
    answer = Bayes(HISTORY, confidence=0.99).conclude(evidence)
    assert answer.culprit is None
    assert answer.candidates[0][0] == 50
    confirmation = Confirmation(evidence, 50, confidence=0.99)
    asked = confirmation.decide()
    assert asked is None or asked.commit == 49  # more of the same would not convince
    assert confirmation.confidence(0.9) == 0.9


def confirmed(kernel):
    """The answer of a search whose answers are confirmed, and the commits that were tested."""
    evidence, strategy, tested = Evidence(HISTORY), Bayes(HISTORY, prices=PRICES), set()
    while True:
        answer, asked = drive(strategy, evidence, kernel)
        tested |= {experiment.commit for experiment in asked}
        if answer.culprit is None:
            return answer, tested
        more = Confirmation(evidence, answer.culprit, confidence=0.95).decide()
        if more is None:
            return answer, tested
        tested.add(more.commit)
        evidence.add(more.commit, kernel(more.commit, more.runs))


@pytest.mark.parametrize("gap", [4, 20, 60])
@pytest.mark.parametrize("begin", [40, 70])
def test_a_related_mask_that_went_away_before_the_bug_came_is_found_out(begin, gap):
    """Where the search looks by itself, the related crashes might well be the bug's older name."""

    def kernel(i, runs):
        masked = begin <= i < 180 - gap
        return session([BUG if i >= 180 else RENAMED if masked else OK] * runs, signature=f"s{i}")

    answer, tested = confirmed(kernel)
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, 180)
    assert len(tested) <= 22


@pytest.mark.parametrize("culprit", [3, 90])
def test_a_name_that_changes_from_one_commit_to_the_next_confirms_the_culprit(culprit):
    answer, tested = confirmed(kernels(culprit, renamed=culprit + 40))
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, culprit)
    assert {culprit + 39, culprit + 40} <= tested
