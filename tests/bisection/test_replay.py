"""Logs of other bisections."""

from __future__ import annotations

import pytest

from pytest_kbisect.bisection.replay import read_log, second_opinion
from pytest_kbisect.evidence.outcome import Outcome, Verdict

A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
RUNS = "".join(f"run #{i}: crashed: WARNING in foo\n" for i in range(9))
SYZKALLER = f"""bisecting cause commit starting from {A}
building syzkaller on 0123
testing commit {A} with gcc (GCC) 8.1.0
kernel signature: 11
{RUNS}run #9: boot failed: can't ssh into the instance
testing release v5.10
testing commit {B} gcc
compiler: gcc (GCC) 10.2.1
kernel signature: 22
all runs: OK
# git bisect start {A} {B}
Bisecting: 1 revision left to test after this (roughly 1 step)
[{C}] net: something

testing commit {C} gcc
compiler: gcc (GCC) 10.2.1
kernel signature: 33
run #0: crashed: INFO: task hung in bar
{"".join(f"run #{i}: OK{chr(10)}" for i in range(1, 10))}# git bisect bad {C}
testing commit {D}
failed building {D}: net/foo.c:3: error: no such thing
# git bisect skip {D}
{C} is the first bad commit
revisions tested: 3, total time: 1h
first bad commit: {C} net: something
"""


def test_syzkaller_log():
    log = read_log(SYZKALLER)
    assert [trial.tested.commit for trial in log.trials] == [A, B, C, D]
    assert log.trials[0].tested.compiler == "gcc (GCC) 8.1.0"
    assert [run.outcome for run in log.trials[0].tested.runs].count(Outcome.CRASHED) == 9
    assert log.trials[1].tag == "v5.10"
    assert (len(log.trials[1].tested.runs), log.trials[1].tested.signature) == (10, "22")
    assert "no such thing" in log.trials[3].tested.build_error
    assert log.marks == [(Verdict.BAD, A), (Verdict.GOOD, B), (Verdict.BAD, C), (Verdict.SKIP, D)]
    assert log.culprit == C


@pytest.mark.parametrize("words", ["same kernel as " + A + ", not run again", "no runs"])
def test_a_kernel_that_was_not_run_again_has_built(words):
    log = read_log(f"testing commit {B} with gcc\nkernel signature: 11\n{words}\n")
    assert [(one.tested.signature, one.tested.build_error) for one in log.trials] == [("11", "")]


def test_second_opinion_on_an_unrelated_crash():
    opinions = {second.commit: second for second in second_opinion(read_log(SYZKALLER))}
    assert opinions[A].ours is Verdict.BAD
    assert opinions[B].ours is Verdict.GOOD
    assert (opinions[C].theirs, opinions[C].ours) == (Verdict.BAD, Verdict.GOOD)
    assert opinions[D].ours is Verdict.SKIP


def test_git_bisect_log():
    log = read_log(
        f"git bisect start\n# status: waiting\n# bad: [{A}] x\ngit bisect bad {A}\n# good: [{B}] y\n"
        f"git bisect good {B}\n# skip: [{D}] z\ngit bisect skip {D}\n# first bad commit: [{C}] w\n"
    )
    assert log.marks == [(Verdict.BAD, A), (Verdict.GOOD, B), (Verdict.SKIP, D)]
    assert log.culprit == C
    assert not log.trials
    assert second_opinion(log) == ()


@pytest.mark.parametrize(
    ("terms", "old", "new"), [("", "good", "bad"), ("'--term-old=fast' '--term-new=slow' ", "fast", "slow")]
)
@pytest.mark.parametrize("ends", ["'v6.5' 'v6.4'", f"'v6.5' '{B}'", f"'{A}' '{B}'"])
def test_git_bisect_log_that_was_begun_with_names(terms, old, new, ends):
    """As git writes it: whose the names are stands before."""
    log = read_log(
        f"# {new}: [{A}] x\n# {old}: [{B}] y\ngit bisect start {terms}{ends}\n# {new}: [{C}] z\n"
        f"git bisect {new} {C}\n"
    )
    assert log.marks == [(Verdict.BAD, A), (Verdict.GOOD, B), (Verdict.BAD, C)]


@pytest.mark.parametrize(
    "terms", ["'--term-old' 'fast' '--term-new' 'slow'", "'--term-new=slow' '--term-old=fast'"]
)
def test_git_bisect_log_in_terms_of_ones_own(terms):
    log = read_log(
        f"git bisect start {terms} '{A}' '{B}'\n# fast: [{C}] title\ngit bisect fast {C}\n"
        f"git bisect skip {D}\ngit bisect slow {D}\n# first slow commit: [{D}] title\n"
    )
    good, bad = Verdict.GOOD, Verdict.BAD
    assert log.marks == [(bad, A), (good, B), (good, C), (Verdict.SKIP, D), (bad, D)]
    assert log.culprit == D


def test_inconclusive_and_failed_logs():
    log = read_log(
        f"bisection is inconclusive, the first bad commit could be any of:\n{A}\n{B}\ncrash: x\n{C}\n"
    )
    assert log.candidates == (A, B)
    assert read_log("error: the crash wasn't reproduced\n").error == "the crash wasn't reproduced"


def test_anything_is_read():
    for text in ("", "\0\n\n", "testing commit\n", "# git bisect start\n", "run #x: OK\n"):
        read_log(text)
