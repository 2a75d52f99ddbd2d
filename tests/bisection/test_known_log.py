"""Verdicts read from files, and what the tree says of first parents and paths."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_kbisect.bisection import known_log, path_prior
from pytest_kbisect.bisection.known_log import Known
from pytest_kbisect.errors import UsageError
from pytest_kbisect.evidence.journal import Journal, read_records, standing
from pytest_kbisect.evidence.outcome import SKIPPED, CommitResult, Outcome, Run, Verdict
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.kernel.tree import LinuxTree

CRASH, OK = Run(Outcome.CRASHED, title="WARNING in foo", type="WARNING"), Run(Outcome.OK)


@pytest.fixture
def tree(linux, tmp_path) -> LinuxTree:
    return LinuxTree(linux.path, tmp_path / "cache")


def read(tree, tmp_path, text: str, *, fix: bool = False) -> dict[str, Verdict]:
    path = tmp_path / "log"
    path.write_text(text)
    return {one.commit: one.verdict for one in known_log.read([path], tree, fix=fix)}


def test_lines_name_commits_as_git_does(linux, tree, tmp_path) -> None:
    one, two, three = linux.grow(3)
    linux.git("tag", "v1", one)
    path = tmp_path / "log"
    path.write_text(f"\n# comment\ngood v1   12 runs\nbad {two[:8]} 1 run # why\nskip HEAD\n")
    assert known_log.read([path], tree, fix=False) == (
        Known(one, Verdict.GOOD, 12, "log:3"),
        Known(two, Verdict.BAD, 1, "log:4"),
        Known(three, Verdict.SKIP, None, "log:5"),
    )


def test_a_later_verdict_replaces_a_skip_and_more_runs_fewer(linux, tree, tmp_path) -> None:
    one, two = linux.grow(2)
    path = tmp_path / "log"
    path.write_text(f"skip {one}\ngood {one}\ngood {two} 3 runs\ngood {two} 9 runs\n")
    found = known_log.read([path], tree, fix=False)
    assert [(known.verdict, known.runs) for known in found] == [(Verdict.GOOD, None), (Verdict.GOOD, 9)]


def test_own_words_of_a_log_of_gits(linux, tree, tmp_path) -> None:
    """Who looks for a fix calls the fixed end new: it is without the bug."""
    one, _, three = linux.grow(3)
    git = linux.git
    git("bisect", "start", "--term-new=fixed", "--term-old=broken")
    git("bisect", "broken", one)
    git("bisect", "fixed", three)
    text = git("bisect", "log")
    assert read(tree, tmp_path, text, fix=True) == {one: Verdict.BAD, three: Verdict.GOOD}
    assert read(tree, tmp_path, text) == {one: Verdict.GOOD, three: Verdict.BAD}


def test_a_journal_says_how_many_runs(linux, tree, tmp_path) -> None:
    one, two, three, broken = linux.grow(4)
    journal = Journal(tmp_path / "journal.jsonl", {"crash": []})
    journal.add(CommitResult(three, (CRASH,) * 3, "c"))
    journal.add(CommitResult(one, (OK,) * 5, "a"))
    journal.add(CommitResult(one, (OK,) * 3, "a"))
    journal.add(CommitResult(two, (), "a"))
    journal.add(CommitResult(broken, build_error="error"))
    found = known_log.read([journal.path], tree, fix=False)
    assert [(known.commit, known.verdict, known.runs) for known in found] == [
        (three, Verdict.BAD, 3),
        (one, Verdict.GOOD, 8),
        (broken, Verdict.SKIP, 0),
    ]


def test_what_an_answer_says_of_them() -> None:
    history = History.line([f"{i:040x}" for i in range(4)])
    known = [
        Known(history.commits[i], verdict, None, "log")
        for i, verdict in ((1, Verdict.BAD), (2, Verdict.GOOD))
    ]
    affected = {1: False, 2: True}
    found = known_log.facts(known, 0.9, history, affected.get, fix=False)
    assert [one["outvoted"] for one in found] == [True, True]
    found = known_log.facts(known, 0.9, history, affected.get, fix=True)
    assert [one["outvoted"] for one in found] == [False, False]
    found = known_log.facts(known, 0.9, history, lambda _: None, fix=False)
    assert [one["outvoted"] for one in found] == [None, None]


def test_an_answer_is_taken_back(tmp_path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, {})
    journal.undo()
    journal.add(CommitResult("a", (CRASH,), "a"))
    journal.add(CommitResult("b", build_error="error"))
    journal.add(CommitResult("c", build_error=SKIPPED))
    journal.add(CommitResult("d", build_error="error"))
    journal.undo()
    assert [one.commit for one in journal.tested] == ["a", "b", "d"], "nobody was asked about the others"
    assert [one.commit for one in Journal(path, {}).tested] == ["a", "b", "d"]
    again = Journal(path, {})
    again.add(CommitResult("c", (OK,), "c"))
    assert len(again.records) == len(again.tested) == 4
    again.undo()
    again.undo()
    again.undo()
    assert [one.commit for one in Journal(path, {}).tested] == ["b", "d"]
    assert len(standing(read_records(path))) == 2
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()].count("undone") == 3


# -- the tree ----------------------------------------------------------------------------------------------


@pytest.fixture
def merged(linux) -> tuple[str, list[str], str]:
    """Before all, the first-parent line, and a commit of the branch."""
    start = linux.git("rev-parse", "HEAD")
    one = linux.commit("one", one="1")
    linux.git("checkout", "-q", "-b", "side", start)
    side = linux.commit("side", side="1")
    linux.git("checkout", "-q", "main")
    linux.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    merge = linux.git("rev-parse", "HEAD")
    last = linux.commit("last", last="1")
    return start, [one, merge, last], side


def test_the_first_parent_line(merged, tree) -> None:
    start, line, side = merged
    log = tree.log_text(start, line[-1], first_parent=True)
    history = History.from_log(log, good=start)
    assert list(history.commits) == line
    assert history.parents == ((GOOD_END,), (0,), (1,))
    assert side not in history.outside
    assert len(History.from_log(tree.log_text(start, line[-1]), good=start)) == 4


def test_commits_that_touch_a_path(merged, tree, linux) -> None:
    start, line, side = merged
    assert tree.touching(start, line[-1], ["side"]) == {side}
    assert tree.touching(start, line[-1], ["side"], first_parent=True) == {line[1]}
    assert tree.touching(start, line[-1], [str(linux.path / "last"), "one"]) == {line[0], line[2]}
    assert not tree.touching(start, line[-1], ["*"]), "a name, and no pattern"
    with pytest.raises(UsageError, match="touches nothing: name a file or folder"):
        path_prior.require(tree, start, line[-1], ["one", "nothing"])


def test_the_prior_of_paths(merged, tree) -> None:
    start, line, side = merged
    history = History.from_log(tree.log_text(start, line[-1]), good=start)
    weights = path_prior.weights(tree, start, history, ["side"])
    assert weights.sum() == pytest.approx(1)
    assert weights[history.position[side]] == pytest.approx(1 - path_prior.ELSEWHERE)
    assert np.all(weights > 0)
    assert path_prior.weights(tree, start, history, []) is None
