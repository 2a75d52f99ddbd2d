"""Several bisections that share sessions: all right, with fewer builds than one by one."""

from __future__ import annotations

import pytest
from several import Several, culprit_of

from pytest_kbisect.bisection.known_log import Known
from pytest_kbisect.errors import UsageError
from pytest_kbisect.evidence.outcome import Verdict
from pytest_kbisect.strategies.strategy import AnswerKind

NAMES = ("one", "two", "three", "four")
CULPRITS = {"one": 120, "two": 123, "three": 125, "four": 120}
"""Three commits of one series; two of the tests fail since the same one."""


def grow(linux, count, culprits, *, bug=(), start=0, word="yes"):
    """Commits that each change the kernel; from its culprit on a test crashes. -> hashes"""
    stream = []
    for n in range(start, start + count):
        files = {name: word for name, at in culprits.items() if n == at} or {"step": str(n)}
        if bug and n in {bug[0], bug[-1] + 1}:
            files["bug"] = "broken" if n in bug else "no"
        linux.time += 60
        stream.append(
            f"commit refs/heads/main\nmark :{n + 1}\ncommitter A <a@example.org> {linux.time} +0000\n"
        )
        stream.append(f"data <<.\nstep {n}\n.\n" + "from refs/heads/main^0\n" * (n == start))
        stream += [f"M 100644 inline {name}\ndata {len(text)}\n{text}\n" for name, text in files.items()]
        stream.append(f"get-mark :{n + 1}\n")
    commits = linux.git("fast-import", "--quiet", stdin="".join(stream)).split()
    linux.git("reset", "-q", "--hard")
    return commits


@pytest.fixture
def history(linux):
    good = linux.git("rev-parse", "HEAD")
    return f"{good}..HEAD", grow(linux, 200, CULPRITS)


def test_four_tests_with_three_culprits(linux, tmp_path, history):
    """All right; with at most 1.6 times the kernels that the hardest of them takes alone.

    The culprits are near each other, as those of a series of patches are. Far apart, the paths part soon.
    """
    range_, commits = history
    several = Several(linux, tmp_path, NAMES)
    turns = several.run(range_)
    assert {name: culprit_of(turn) for name, turn in turns.items()} == {
        name: commits[at] for name, at in CULPRITS.items()
    }
    assert all(turn.result.answer.confidence >= 0.95 for turn in turns.values())
    assert {turn.result.revert.outcome for turn in turns.values()} == {"passed"}
    alone = [several.alone(name, range_)[1] for name in NAMES]
    together = several.kernels
    assert len(together.built) <= 1.6 * max(len(kernels.built) for kernels in alone)
    assert len(together.built) < 0.5 * sum(len(kernels.built) for kernels in alone)
    assert len(together.sessions) < 0.7 * sum(len(kernels.sessions) for kernels in alone)
    shared = [names for _, names in together.sessions if len(names) == len(NAMES)]
    assert len(shared) >= 4, "until the paths of the tests part, one session serves all"


def test_a_test_is_run_only_where_that_tells_something(linux, tmp_path):
    """Far from what it could be, a commit of another test's is not run."""
    good = linux.git("rev-parse", "HEAD")
    grow(linux, 64, {"one": 10, "two": 55})
    several = Several(linux, tmp_path, ("one", "two"))
    several.run(f"{good}..HEAD")
    alone = [names for _, names in several.kernels.sessions if len(names) == 1]
    assert {names[0] for names in alone} == {"one", "two"}


def test_one_that_never_fails_at_the_bad_end_does_not_stop_the_others(linux, tmp_path, history):
    range_, commits = history
    turns = Several(linux, tmp_path, ("one", "never")).run(range_)
    assert culprit_of(turns["one"]) == commits[120]
    answer = turns["never"].result.answer
    assert answer.kind is AnswerKind.NOT_REPRODUCED
    assert "0 of 200 runs" in answer.reason


def test_one_that_cannot_be_run_does_not_stop_the_others(linux, tmp_path, history):
    range_, commits = history
    linux.commit("mend", odd="mend\n")
    turns = Several(linux, tmp_path, ("one", "odd")).run(range_)
    assert culprit_of(turns["one"]) == commits[120]
    assert isinstance(turns["odd"].error, UsageError)
    assert "install something" in str(turns["odd"].error)


@pytest.mark.parametrize("most", [2, 9])
def test_what_was_interrupted_continues(linux, tmp_path, history, most):
    range_, _ = history
    several = Several(linux, tmp_path, NAMES)
    whole = {name: turn.result.answer for name, turn in several.run(range_, to="whole").items()}
    made = several.kernels.sessions
    several = Several(linux, tmp_path, NAMES)
    several.kernels.most = most
    with pytest.raises(KeyboardInterrupt):
        several.run(range_)
    several.kernels.most = 10**9
    turns = several.run(range_)
    assert {name: turn.result.answer for name, turn in turns.items()} == whole
    assert several.kernels.sessions == made
    assert several.run(range_).keys() == turns.keys()
    assert several.kernels.sessions == made, "what is known is not tested again"


def test_killed_between_two_journals_only_that_is_made_again(linux, tmp_path, history):
    """The session is in the common journal, and in some tests' own."""
    range_, _ = history
    several = Several(linux, tmp_path, NAMES)
    several.kernels.most = 6
    with pytest.raises(KeyboardInterrupt):
        several.run(range_)
    journal = tmp_path / "result" / "each" / "three" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    last = max(n for n, line in enumerate(lines) if '"kind": "tested"' in line)
    journal.write_text("".join(lines[:last]) + lines[last][:40])
    several.kernels.most = 10**9
    turns = several.run(range_)
    assert culprit_of(turns["three"]) == culprit_of(several.run(range_)["three"])
    assert several.kernels.sessions[6][1] == ("three",)
    assert len({commit for commit, _ in several.kernels.sessions}) == len(several.kernels.built)


def test_what_does_not_build_is_known_to_all_at_once(linux, tmp_path):
    good = linux.git("rev-parse", "HEAD")
    commits = grow(linux, 32, {"one": 12, "two": 14}, bug=range(15, 18))
    several = Several(linux, tmp_path, ("one", "two"))
    turns = several.run(f"{good}..HEAD")
    assert culprit_of(turns["one"]) == commits[12]
    broken = [commit for commit, _ in several.kernels.sessions if commit in commits[15:18]]
    assert broken
    assert len(set(broken)) == len(broken), "no second session for the other test"
    for turn in turns.values():
        tried = {one.commit for one in turn.result.search.runner.made if one.build_error}
        assert set(broken) <= tried


def test_each_finds_its_own_good_end_among_the_releases(linux, tmp_path):
    linux.git("tag", "v6.1")
    commits = []
    for n in range(2, 8):
        commits += grow(linux, 4, {"one": 6, "two": 14}, start=len(commits))
        linux.git("tag", f"v6.{n}")
    linux.grow(2, "after")
    several = Several(linux, tmp_path, ("one", "two"))
    turns = several.run("..HEAD")
    assert (culprit_of(turns["one"]), culprit_of(turns["two"])) == (commits[6], commits[14])
    goods = {name: turn.result.search.good for name, turn in turns.items()}
    assert goods["one"] != goods["two"]
    first = several.kernels.sessions[0][1]
    assert first == ("one", "two"), "the bad end is everybody's"


def test_each_finds_its_own_fix(linux, tmp_path):
    linux.commit("bugs", one="yes\n", two="yes\n")
    good = linux.git("rev-parse", "HEAD")
    commits = grow(linux, 24, {"one": 9, "two": 17}, word="no")
    turns = Several(linux, tmp_path, ("one", "two")).run(f"{good}..HEAD", fix=True)
    assert (culprit_of(turns["one"]), culprit_of(turns["two"])) == (commits[9], commits[17])


def test_the_budget_is_for_all_together(linux, tmp_path, history):
    range_, _ = history
    several = Several(linux, tmp_path, NAMES)
    turns = several.run(range_, budget=60)
    assert all("the budget is spent" in turn.result.answer.reason for turn in turns.values())
    assert {turn.result.answer.kind for turn in turns.values()} <= {
        AnswerKind.CANDIDATES,
        AnswerKind.UNTESTABLE,
    }
    assert len(several.kernels.sessions) == 1


def test_known_verdicts_are_of_one_test(linux, tmp_path, history):
    range_, commits = history
    known = (Known(commits[119], Verdict.GOOD, 10, "log"), Known(commits[121], Verdict.BAD, 10, "log"))
    plain = Several(linux, tmp_path, ("one",))
    plain.run(range_, to="plain")
    told = Several(linux, tmp_path, ("one",))
    turns = told.run(range_, to="told", known=known)
    assert culprit_of(turns["one"]) == commits[120]
    assert len(told.kernels.built) < len(plain.kernels.built)


def test_git_bisects_rules_share_sessions_where_they_meet(linux, tmp_path, history):
    """That strategy cannot say what other commits would tell: each goes its way."""
    range_, commits = history
    several = Several(linux, tmp_path, NAMES, strategy="classic")
    turns = several.run(range_)
    assert {name: culprit_of(turn) for name, turn in turns.items()} == {
        name: commits[at] for name, at in CULPRITS.items()
    }
    assert several.kernels.sessions[0][1] == NAMES


def test_with_room_for_several_sessions_tests_with_nothing_in_common_go_side_by_side(linux, tmp_path):
    good = linux.git("rev-parse", "HEAD")
    commits = grow(linux, 64, {"one": 10, "two": 55})
    several = Several(linux, tmp_path, ("one", "two"))
    looks = iter([5, 2] * 100)
    several.kernels.looks = lambda: next(looks)
    turns = several.run(f"{good}..HEAD", room=2)
    assert (culprit_of(turns["one"]), culprit_of(turns["two"])) == (commits[10], commits[55])


def test_a_fault_of_ours_is_told_as_such(linux, tmp_path, history, monkeypatch):
    range_, _ = history
    several = Several(linux, tmp_path, ("one",))
    monkeypatch.setattr("pytest_kbisect.bisection.search.Search.belief", lambda _: 1 / 0)
    turns = several.run(range_)
    assert isinstance(turns["one"].error, ZeroDivisionError)
