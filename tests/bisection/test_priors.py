"""Priors from touched files."""

from __future__ import annotations

import subprocess

import pytest

from pytest_kbisect.strategies.bayes.priors import UNIFORM, read_files, weights

COMMITS = ("stack", "folder", "other", "docs", "kconfig", "merge", "unknown")
FILES = {
    "stack": ["net/core/skbuff.c", "Documentation/x.rst"],
    "folder": ["net/core/dev.c"],
    "other": ["mm/slub.c"],
    "docs": ["Documentation/y.rst"],
    "kconfig": ["net/Kconfig"],
    "merge": [],
}


def test_files_of_the_stack_weigh_most_and_unread_ones_least():
    prior = dict(
        zip(
            COMMITS,
            weights(
                COMMITS,
                FILES,
                stack={"net/core/skbuff.c"},
                read={"net/core/skbuff.c", "net/core/dev.c", "mm/slub.c"},
            ),
            strict=True,
        )
    )
    assert sum(prior.values()) == pytest.approx(1)
    assert prior["stack"] > prior["folder"] > prior["other"] > prior["merge"] > prior["docs"]
    assert prior["unknown"] == prior["other"]
    assert prior["kconfig"] > prior["docs"]
    assert min(prior.values()) >= UNIFORM / len(COMMITS)


def test_without_hints_the_prior_is_flat_but_for_merges():
    prior = weights(COMMITS[:5], FILES)
    assert prior.tolist() == pytest.approx([0.2] * 5)


def test_nothing_to_weigh():
    assert weights((), {}).size == 0


def test_reads_what_git_prints(tmp_path):
    def git(*args):
        return subprocess.run(
            ["git", "-C", tmp_path, *args], check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q", "--template=")
    git("config", "user.email", "a@b")
    git("config", "user.name", "A")
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        git("add", name)
        git("commit", "-qm", f"title\n\nbody of {name}")
    git("commit", "-q", "--allow-empty", "-m", "nothing")
    found = read_files(git("log", "--format=%x00%H", "--name-only"))
    assert list(found.values()) == [(), ("two",), ("one",)]
