"""bisect.log: what we write is what we, and whoever reads syzbot's logs, read back."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pytest_kbisect.bisection.replay import read_log
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run, Verdict
from pytest_kbisect.reports import bisectlog

OUTCOMES = (Outcome.OK, Outcome.CRASHED, Outcome.BOOT_FAILED, Outcome.INFRA_FAILED)
SHAS = st.text("0123456789abcdef", min_size=40, max_size=40)
TITLES = st.text(st.characters(codec="utf-8"), max_size=60).map(lambda text: f"WARNING in {text}")
RUNS = st.lists(st.builds(Run, st.sampled_from(OUTCOMES), TITLES), min_size=1, max_size=10)
TESTED = st.builds(
    CommitResult,
    SHAS,
    RUNS.map(tuple),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.just("gcc 12.2.0, GNU ld"),
)

# syzkaller's pkg/bisect, as the peer's logs have them; what is not one of these is a payload or a comment.
GRAMMAR = re.compile(
    r"bisecting (?:cause commit starting from|fixing commit since) [0-9a-f]{40}|testing release v[\w.-]+"
    r"|testing commit [0-9a-f]{40}(?: with .*)?|kernel signature: [0-9a-f]+"
    r"|(?:all runs|run #\d+): (?:OK|crashed: .*|boot failed: .*|infra problem: .*|failed: .*)"
    r"|failed building [0-9a-f]{40}: .*|#.*|"
)


@given(st.lists(TESTED, min_size=1, max_size=5, unique_by=lambda tested: tested.commit), st.booleans())
def test_what_was_tested_is_read_back(made: list[CommitResult], fix: bool) -> None:
    lines = bisectlog.start(made[0].commit, fix=fix)
    for tested in made:
        lines += bisectlog.commit(tested)
    assert all(GRAMMAR.fullmatch(line) for line in lines), lines
    log = read_log("\n".join(lines))
    assert log.fix is fix
    assert [trial.tested.commit for trial in log.trials] == [tested.commit for tested in made]
    for trial, tested in zip(log.trials, made, strict=True):
        assert trial.tested.signature == tested.signature
        ends = [run.outcome for run in tested.runs]
        read = [run.outcome for run in trial.tested.runs]
        assert read == ends if len(read) == len(ends) else set(read) == set(ends)  # "all runs" has no number


def test_a_failed_build_and_a_kernel_known_before() -> None:
    sha, twin = "a" * 40, "b" * 40
    failed = bisectlog.commit(CommitResult(sha, build_error="x.c:1: error: no\nx.c:2: note: here"))
    assert failed[-2:] == [f"failed building {sha}: x.c:1: error: no", "x.c:2: note: here"]
    known = bisectlog.commit(CommitResult(sha, signature="c" * 64), same_as=twin)
    assert known[-1] == f"same kernel as {twin}, not run again"
    log = read_log("\n".join([*failed, *known]))
    assert "error: no" in log.trials[0].tested.build_error
    assert not log.trials[1].tested.runs


def test_comments_of_ours_are_no_verdicts() -> None:
    sha = "a" * 40
    absent = bisectlog.commit(CommitResult(sha, absent="it branched off at 123, which does not crash"))
    own = [
        "# 95% credible set: 12 commits: aaaaaaaaaaaa 40%",
        f"# testing commit {sha}",
        "# run #0: crashed: x",
        *absent,
    ]
    log = read_log("\n".join([*own, f"# git bisect bad {sha}"]))
    assert not log.trials
    assert log.marks == [(Verdict.BAD, sha)]


def test_durations_and_lists_are_gos() -> None:
    assert bisectlog.duration(4709.4) == "1h18m29.4s"
    assert bisectlog.duration(62.0) == "1m2.0s"
    assert bisectlog.duration(4.25) == "4.2s"
    assert bisectlog.go_list(['"Doe, J" <j@x.org>', "a@x.org"]) == r'["\"Doe, J\" <j@x.org>" "a@x.org"]'
