"""A commit taken back on top of another: in our own repository, the user's is only read."""

from __future__ import annotations

import os

from pytest_kbisect.kernel import worktrees
from pytest_kbisect.kernel.revert import reverted
from pytest_kbisect.kernel.tree import LinuxTree


def test_what_came_after_stays(linux, tmp_path):
    culprit = linux.commit("culprit", {"a": "1\n", "b": "new\n"})
    top = linux.commit("later", {"c": "2\n"})
    before = linux.git("for-each-ref"), linux.git("count-objects", "-v")
    tree = LinuxTree(linux.path, tmp_path / "cache")
    without = reverted(tree, culprit, top)
    assert not without.why
    assert reverted(tree, culprit, top) == without, "the same revert is the same commit"
    assert tree.resolve(without.commit) == without.commit, "it can be built like any other"
    assert {change.path for change in tree.changes(top, without.commit)} == {"a", "b"}
    assert [change.path for change in tree.changes(linux.base, without.commit)] == ["c"]
    assert tree.parents(without.commit) == (top,)
    assert before == (linux.git("for-each-ref"), linux.git("count-objects", "-v"))


def test_what_cannot_be_reverted(linux, tmp_path):
    culprit = linux.commit("culprit", {"a": "1\n"})
    again = linux.commit("builds on it", {"a": "2\n"})
    undone = linux.commit("back", {"a": "1\n"})
    tree = LinuxTree(linux.path, tmp_path / "cache")
    assert "does not revert cleanly" in reverted(tree, culprit, again).why
    assert not reverted(tree, culprit, undone).why
    linux.git("checkout", "-q", "-b", "side", linux.base)
    linux.commit("s", {"s": "1"})
    linux.git("checkout", "-q", "master")
    linux.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    assert reverted(tree, linux.git("rev-parse", "HEAD"), undone).why == "a merge is not reverted"
    assert reverted(tree, linux.base, undone).why == "a root commit is not reverted"
    gone = linux.git("revert", "--no-edit", undone) and linux.git("rev-parse", "HEAD")
    assert reverted(tree, undone, gone).why == "nothing of it is left to revert"


def test_what_git_says_is_why(linux, tmp_path, monkeypatch):
    culprit = linux.commit("culprit", {"a": "1\n"})
    top = linux.commit("later", {"b": "2\n"})
    tree = LinuxTree(linux.path, tmp_path / "cache")

    def git(script):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "git").write_text(
            f'#!/bin/sh\nPATH=${{PATH#*:}}\ncase "$*" in\n{script}\nesac\nexec git "$@"\n'
        )
        (folder / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    git("*commit-tree*) echo 'fatal: unable to write file: No space left on device'; exit 128;;")
    assert reverted(tree, culprit, top).why == "git: unable to write file: No space left on device"
    git("*merge-tree*) echo 'fatal: unknown rev --write-tree'; exit 128;;")
    assert "git is too old" in reverted(tree, culprit, top).why


def test_a_user_who_wants_bare_repositories_named(linux, tmp_path, monkeypatch):
    """Ours is bare, theirs may be; git 2.38 and newer heed this setting."""
    linux.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    settings = tmp_path / "gitconfig"
    settings.write_text("[safe]\n\tbareRepository = explicit\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    culprit = linux.commit("culprit", {"a": "1\n"})
    top = linux.commit("later", {"b": "2\n"})
    tree = LinuxTree(linux.path, tmp_path / "cache")
    without = reverted(tree, culprit, top)
    assert not without.why
    with worktrees.slot(tree, without.commit, ".obj") as slot:
        assert not (slot.tree / "a").exists()
        assert (slot.tree / "b").exists()
    assert LinuxTree(tmp_path / "bare.git", tmp_path / "cache").resolve("HEAD") == linux.base
