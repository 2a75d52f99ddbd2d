"""Remedies that edit sources: in each commit that has the pattern, without making anything else new."""

from __future__ import annotations

import re

import pytest

from pytest_kbisect.arch.trouble import Edit
from pytest_kbisect.kernel import worktrees
from pytest_kbisect.kernel.tree import LinuxTree

FILE = "init/main.c"
EDIT = Edit(FILE, re.compile(rb"answer = (\d+)"), rb"answer = -\1")
OTHER = Edit(FILE, re.compile(rb"answer"), b"reply")


@pytest.fixture
def checked_out(linux, cache):
    """Check out a commit with edits; give the edited file's text and its time."""
    tree = LinuxTree(linux.path, cache)

    def checked_out(commit, edits=()):
        with worktrees.slot(tree, commit, ".obj-x", edits=edits) as slot:
            path = slot.tree / FILE
            return path.read_text(), path.stat().st_mtime_ns

    return checked_out


def test_a_commit_has_the_edits_that_are_asked_for_and_no_others(linux, checked_out) -> None:
    text, _ = checked_out(linux.base)
    edited, _ = checked_out(linux.base, [EDIT])
    assert edited == text.replace("= 42", "= -42") != text
    assert checked_out(linux.base, [OTHER])[0] == text.replace("answer", "reply")
    assert checked_out(linux.base)[0] == text


def test_a_file_that_comes_out_as_it_was_is_not_new_to_make(linux, checked_out) -> None:
    second = linux.commit("Elsewhere", {"lib/other.c": ""})
    third = linux.commit("Here", {FILE: (linux.path / FILE).read_text().replace("42", "43")})
    first = checked_out(linux.base, [EDIT])
    assert checked_out(second, [EDIT]) == first
    assert checked_out(second, [EDIT]) == first
    text, time = checked_out(third, [EDIT])
    assert "= -43" in text
    assert time > first[1]


def test_a_commit_without_the_pattern_stays_as_it_is(linux, checked_out) -> None:
    repaired = linux.commit("Repaired", {FILE: "int reply;\n"})
    without = linux.commit("Gone", {"lib/x.c": ""})
    checked_out(linux.base, [EDIT])
    assert checked_out(repaired, [EDIT])[0] == "int reply;\n"
    assert checked_out(without, [EDIT, Edit("lib/none.c", re.compile(b"x"), b"y")])[0] == "int reply;\n"
    assert "= -42" in checked_out(linux.base, [EDIT])[0]


def test_the_users_tree_is_left_alone(linux, checked_out) -> None:
    before = linux.snapshot()
    checked_out(linux.base, [EDIT])
    assert linux.snapshot() == before
