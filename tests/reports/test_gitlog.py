"""git-bisect.log, replayed by git itself on real repositories."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from folders import Folder

from pytest_kbisect.bisection.replay import read_log
from pytest_kbisect.evidence.outcome import Verdict
from pytest_kbisect.reports import gitlog
from pytest_kbisect.reports.reading import read

ENVIRONMENT = {
    **{
        f"GIT_{who}_{what}": f"{who}@example.org"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


class Repository:
    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.time = 1_600_000_000
        self.git("init", "-q", "--template=", "-b", "main")

    def git(self, *words: str, check: bool = True) -> str:
        self.time += 60
        date = {f"GIT_{who}_DATE": f"{self.time} +0000" for who in ("AUTHOR", "COMMITTER")}
        done = subprocess.run(
            ["git", *words],
            cwd=self.path,
            env={**os.environ, **ENVIRONMENT, **date},
            capture_output=True,
            check=False,
        )
        assert not check or not done.returncode, done.stderr
        return (done.stdout + done.stderr).decode("utf-8", "replace").strip()

    def commit(self, title: str) -> str:
        self.git("commit", "-q", "--allow-empty", "-m", title)
        return self.git("rev-parse", "HEAD")

    def replay(self, log: str, path: Path) -> str:
        path.write_text(log)
        said = self.git("bisect", "replay", str(path))
        self.git("bisect", "reset")
        return said


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, list[str]]:
    repository = Repository(tmp_path_factory.mktemp("git") / "linux")
    return repository, [repository.commit(f"commit {i}") for i in range(17)]


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, dict[str, str]]:
    """A side branch beside three commits of main, merged, and one commit on top."""
    repository = Repository(tmp_path_factory.mktemp("git") / "linux")
    made = {"A": repository.commit("A")}
    repository.git("checkout", "-q", "-b", "side")
    for name in ("s1", "s2", "s3"):
        made[name] = repository.commit(name)
    repository.git("checkout", "-q", "main")
    for name in ("m1", "m2", "m3"):
        made[name] = repository.commit(name)
    repository.git("merge", "-q", "--no-ff", "-m", "M", "side")
    made["M"] = repository.git("rev-parse", "HEAD")
    made["B"] = repository.commit("B")
    return repository, made


def order(repository: Repository, good: str, bad: str) -> dict[str, int]:
    listed = repository.git("log", "--topo-order", "--reverse", "--format=%H", f"{good}..{bad}").split()
    return {good: -1} | {sha: i for i, sha in enumerate(listed)}


def log_of(
    tmp_path: Path,
    repository: Repository,
    ends: tuple[str, str],
    tests: list[tuple[str, str]],
    found: dict[str, Any],
    **folder: Any,
) -> str:
    places = order(repository, *ends)
    made = Folder(tmp_path / "results", commits=len(places) - 1, **folder)
    for sha, runs in tests:
        made.test(sha, runs, position=places.get(sha))
    if found.get("culprit"):
        found["parents"] = repository.git("rev-parse", f"{found['culprit']}^@").split()
        found["title"] = repository.git("log", "-1", "--format=%s", found["culprit"])
    return gitlog.text(read(made.write(range=list(ends), **found)))


def first_bad(said: str) -> str:
    found = re.search(r"([0-9a-f]{40}) is the first (?:bad|new) commit", said)
    assert found, said
    return found[1]


def test_git_replays_a_search_on_a_line_to_the_same_answer(
    tmp_path: Path, line: tuple[Repository, list[str]]
) -> None:
    repository, c = line
    tests = [
        (c[16], "ccc"),
        (c[0], "ooo"),
        (c[8], "ooo"),
        (c[12], "ccc"),
        (c[10], ""),
        (c[9], "ooo"),
        (c[11], "ccc"),
    ]
    tests += [(c[10], "coo")]  # it was built at last
    log = log_of(tmp_path, repository, (c[0], c[16]), tests, {"culprit": c[10]}, strategy="classic")
    assert first_bad(repository.replay(log, tmp_path / "log")) == c[10]
    read = read_log(log)
    assert read.culprit == c[10]
    assert (Verdict.GOOD, c[9]) in read.marks


def test_neighbours_that_were_not_tested_are_implied(
    tmp_path: Path, line: tuple[Repository, list[str]]
) -> None:
    repository, c = line
    tests = [(c[16], "ccc"), (c[0], "ooo"), (c[3], "ooo"), (c[12], "ccc")]
    log = log_of(tmp_path, repository, (c[0], c[16]), tests, {"culprit": c[7], "confidence": 0.9})
    assert f"# good, implied by the answer: [{c[6]}]\ngit bisect good {c[6]}\n" in log
    assert first_bad(repository.replay(log, tmp_path / "log")) == c[7]


def test_verdicts_that_the_answer_overrules_are_comments(
    tmp_path: Path, line: tuple[Repository, list[str]]
) -> None:
    repository, c = line
    # A flaky crash that did not show at 9, and an odd one at 2: the answer is 7 all the same.
    tests = [(c[16], "cco"), (c[0], "ooo"), (c[9], "o"), (c[7], "coc"), (c[6], "ooooo"), (c[2], "coooooooo")]
    log = log_of(tmp_path, repository, (c[0], c[16]), tests, {"culprit": c[7]})
    assert f"# good, overruled by the answer: [{c[9]}]" in log
    assert f"# bad, overruled by the answer: [{c[2]}]" in log
    assert first_bad(repository.replay(log, tmp_path / "log")) == c[7]


@pytest.mark.parametrize("culprit", ["s2", "m2", "M", "m1"])
def test_git_replays_a_search_among_merges_to_the_same_answer(
    tmp_path: Path, merged: tuple[Repository, dict[str, str]], culprit: str
) -> None:
    repository, c = merged
    descendants = {c["M"], c["B"]} | {c[n] for n in c if n[0] == culprit[0] and n >= culprit}
    tests = [
        (c[n], "ccc" if c[n] in descendants else "ooo") for n in ("B", "A", "s3", "m3", "m2", culprit, "s1")
    ]
    log = log_of(tmp_path, repository, (c["A"], c["B"]), tests, {"culprit": c[culprit]})
    assert first_bad(repository.replay(log, tmp_path / "log")) == c[culprit]


def test_git_replays_the_search_for_a_fix_with_old_and_new(
    tmp_path: Path, line: tuple[Repository, list[str]]
) -> None:
    repository, c = line
    tests = [(c[0], "ccc"), (c[16], "ooo"), (c[8], "coc"), (c[12], "ooo"), (c[10], "o"), (c[9], "c")]
    log = log_of(tmp_path, repository, (c[0], c[16]), tests, {"culprit": c[10]}, fix=True)
    said = repository.replay(log, tmp_path / "log")
    assert f"{c[10]} is the first new commit" in said
    assert read_log(log).culprit == c[10]


def test_skipped_commits_that_cannot_be_told_apart(
    tmp_path: Path, line: tuple[Repository, list[str]]
) -> None:
    repository, c = line
    tests = [(c[16], "ccc"), (c[0], "ooo"), (c[8], "ooo"), (c[9], "bbb"), (c[10], ""), (c[11], "ccc")]
    left = {"kind": "candidates", "candidates": [[c[i], "t", 0.3] for i in (9, 10, 11)]}
    log = log_of(tmp_path, repository, (c[0], c[16]), tests, left, strategy="classic")
    path = tmp_path / "log"
    path.write_text(log)
    said = repository.git("bisect", "replay", str(path), check=False)  # git's exit code is 2 then
    repository.git("bisect", "reset")
    assert "only 'skip'ped commits left" in said
    assert set(re.findall("[0-9a-f]{40}", said.partition("could be any of:")[2])) >= {c[9], c[10], c[11]}


def test_what_contradicts_all_candidates_does_not_keep_git_from_going_on(
    tmp_path: Path, line: tuple[Repository, list[str]]
) -> None:
    repository, c = line
    # The budget is spent. A flaky crash that did not show at 10; another bug's at 2.
    tests = [
        (c[16], "ccc"),
        (c[0], "ooo"),
        (c[10], "oo"),
        (c[7], "coo"),
        (c[3], "ooooo"),
        (c[2], "coooooooo"),
    ]
    has_them = {c[16]: True, c[0]: False, c[10]: True, c[7]: True, c[3]: False, c[2]: False}
    left = {
        "kind": "candidates",
        "candidates": [[c[i], "t", 0.24] for i in (4, 5, 6, 7)],
        "tested": [{"commit": sha, "affected": affected} for sha, affected in has_them.items()],
    }
    log = log_of(tmp_path, repository, (c[0], c[16]), tests, left)
    assert f"# good, overruled by the answer: [{c[10]}]" in log
    assert f"# bad, overruled by the answer: [{c[2]}]" in log
    assert f"[{c[5]}] commit 5" in repository.replay(log, tmp_path / "log")


def test_ends_that_are_not_so_make_no_log(tmp_path: Path, line: tuple[Repository, list[str]]) -> None:
    repository, c = line
    found = {"kind": "not-reproduced"}
    assert not log_of(tmp_path, repository, (c[0], c[16]), [(c[16], "ooo")], found)


def test_titles_cannot_add_commands(tmp_path: Path, line: tuple[Repository, list[str]]) -> None:
    repository, c = line
    places = order(repository, c[0], c[16])
    made = Folder(tmp_path / "results", commits=16)
    for sha, runs in ((c[16], "c"), (c[0], "o"), (c[9], "c"), (c[8], "o")):
        made.test(sha, runs, position=places[sha], title=f"x\ngit bisect good {c[16]}\rgit bisect reset")
    found = {"culprit": c[9], "parents": [c[8]], "title": f"x\ngit bisect good {c[16]}"}
    log = gitlog.text(read(made.write(range=[c[0], c[16]], **found)))
    assert first_bad(repository.replay(log, tmp_path / "log")) == c[9]
