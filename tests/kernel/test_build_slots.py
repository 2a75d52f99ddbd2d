"""Slots: which one is taken, and that its files are the commit's whatever happened before."""

from __future__ import annotations

import contextlib
import os
import threading

import pytest

from pytest_kbisect import locks
from pytest_kbisect.kernel import host_limits, worktrees
from pytest_kbisect.kernel.tree import LinuxTree


@pytest.fixture
def tree(linux, cache):
    return LinuxTree(linux.path, cache)


def files(slot):
    return {
        str(path.relative_to(slot.tree))
        for path in slot.tree.rglob("*")
        if path.is_file() and not path.name.startswith(".git")
    }


def test_files_are_the_commits(linux, tree):
    second = linux.commit("second", {"init/new.c": "int a;\n"})
    for commit, there in ((second, True), (linux.base, False), (second, True)):
        with worktrees.slot(tree, commit, ".obj-1") as slot:
            assert (slot.tree / "init/new.c").exists() == there


def test_after_an_interrupted_checkout(linux, tree, cache):
    with worktrees.slot(tree, linux.base, ".obj-1") as slot:
        clean = files(slot)
    (slot.tree / "init/leftover.h").write_text("left by git when it was killed")
    (slot.tree / "init/main.c").write_text("half wri")
    (slot.tree / ".obj-1").mkdir()
    (slot.tree / ".obj-1/main.o").write_text("kept")
    (slot.tree.parent / "head").unlink()
    for lock in (cache / "trees").glob("*/git/worktrees/*"):
        for name in ("index.lock", "HEAD.lock"):
            (lock / name).write_text("")
    with worktrees.slot(tree, linux.base, ".obj-1") as slot:
        assert files(slot) == clean | {".obj-1/main.o"}
        assert (slot.tree / "init/main.c").read_text() == linux.git(
            "show", f"{linux.base}:init/main.c"
        ) + "\n"


def test_after_an_interrupted_creation(linux, tree, cache):
    with worktrees.slot(tree, linux.base, ".obj-1") as slot:
        clean = files(slot)
    (slot.tree / ".git").unlink()
    (slot.tree.parent / "head").unlink()
    with worktrees.slot(tree, linux.base, ".obj-1") as slot:
        assert files(slot) == clean


@pytest.mark.parametrize("moment", ["while it was added", "before HEAD was there"])
def test_after_a_worktree_was_added_by_half(linux, tree, cache, moment):
    with worktrees.slot(tree, linux.base, ".obj-1") as slot:
        clean = files(slot)
    (own,) = (cache / "trees").glob("*/git/worktrees/*")
    (own / "locked").write_text("initializing")
    if moment == "before HEAD was there":
        (own / "HEAD").unlink()
        (own / "commondir").unlink()
    (slot.tree.parent / "head").unlink()
    with worktrees.slot(tree, linux.base, ".obj-1") as slot:
        assert files(slot) == clean


def test_each_slot_needs_the_room_of_its_first_checkout(linux, tree, monkeypatch):
    needed = []
    monkeypatch.setattr(host_limits, "require_disk", lambda _, bytes_: needed.append(bytes_ >> 20))

    def slot():
        return worktrees.slot(tree, linux.base, ".obj-1", room=600 << 20)

    with slot(), slot():
        pass
    with slot(), slot():
        assert needed == [2200, 2200, 600, 600]


def test_unchanged_files_keep_their_times(linux, tree):
    second = linux.commit("second", {"init/new.c": "int a;\n"})
    with worktrees.slot(tree, linux.base, ".obj-1") as slot:
        before = (slot.tree / "init/main.c").stat().st_mtime_ns
    with worktrees.slot(tree, second, ".obj-1") as slot:
        assert (slot.tree / "init/main.c").stat().st_mtime_ns == before


def test_two_at_once_have_two_trees(linux, tree):
    with worktrees.slot(tree, linux.base, ".obj-1") as one, worktrees.slot(tree, linux.base, ".obj-1") as two:
        assert one.tree != two.tree


def test_the_nearest_warm_one_is_taken(linux, tree):
    commits = [linux.base, *(linux.commit(f"{n}", {f"file{n}": f"{n}"}) for n in range(6))]
    with contextlib.ExitStack() as stack:
        slots = [stack.enter_context(worktrees.slot(tree, commits[index], ".obj-1")) for index in (0, 6)]
        for slot in slots:
            (slot.tree / ".obj-1").mkdir()
    with worktrees.slot(tree, commits[5], ".obj-1") as slot:
        assert slot.tree == slots[1].tree
    with worktrees.slot(tree, commits[1], ".obj-1") as slot:
        assert slot.tree == slots[0].tree


def test_borrowed_objects_are_found_through_the_users_own_alternates(linux, tmp_path, cache):
    linux.git("clone", "-q", "--shared", ".", str(tmp_path / "one"))
    linux.git("clone", "-q", "--shared", str(tmp_path / "one"), str(tmp_path / "two"))
    tree = LinuxTree(tmp_path / "two", cache)
    with worktrees.slot(tree, tree.resolve("HEAD"), ".obj-1") as slot:
        assert (slot.tree / "init/main.c").exists()


def test_a_path_that_alternates_would_take_for_a_comment(linux, tmp_path, monkeypatch):
    odd = tmp_path / '#"odd" folder'
    linux.path.rename(odd)
    tree = LinuxTree(odd, tmp_path / "cache here")
    with worktrees.slot(tree, tree.resolve("HEAD"), ".obj-1") as slot:
        assert (slot.tree / "init/main.c").exists()


def test_a_shallow_clone_builds_what_it_has(linux, tmp_path, cache):
    linux.commit("second", {"a": "a"})
    linux.git("clone", "-q", "--depth=1", f"file://{linux.path}", str(tmp_path / "shallow"))
    tree = LinuxTree(tmp_path / "shallow", cache)
    with worktrees.slot(tree, tree.resolve("HEAD"), ".obj-1") as slot:
        assert (slot.tree / "a").exists()


def test_waiting_for_a_slot_is_said_once(linux, tree, cache):
    said = []
    taken = locks.take(cache / "trees" / tree.identity / "0" / "lock")
    threading.Timer(1.2, os.close, [taken]).start()
    with worktrees.slot(tree, linux.base, ".obj-1", slots=1, waiting=lambda: said.append(1)) as slot:
        assert (slot.tree / "init/main.c").exists()
    assert said == [1]
