"""Forty commits that change what a build of Linux did not read take its kernel, and a real build agrees."""

from __future__ import annotations

import os
import random

import bugs
import pytest

from pytest_kbisect.kernel import config, sources
from pytest_kbisect.kernel.provide import provide
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import Change, LinuxTree

pytestmark = pytest.mark.kernel

RULES = BuildRules(10 << 30)
FULL = BuildRules(10 << 30, full=True)
COMMITS, FILES = 40, 20
POISON = "#error this is read after all\n"


def unread(linux, kernel):
    """Files of the base commit that its build did not read."""
    read = sources.read(kernel.sources, whole=True)
    paths = linux.git("ls-tree", "-r", "--name-only", linux.base).splitlines()
    return [path for path in paths if not read.matters(Change(path, in_place=True))]


def poisoned(linux, paths, parent, index, title):
    """A child of `parent` in which these files hold nothing that a compiler or make would take."""
    blob = linux.git("hash-object", "-w", "--stdin", text=POISON).strip()
    linux.git("read-tree", parent, index=index)
    rows = "".join(f"100644 {blob}\t{path}\n" for path in paths)
    linux.git("update-index", "--index-info", text=rows, index=index)
    tree = linux.git("write-tree", index=index).strip()
    return linux.git("commit-tree", tree, "-p", parent, "-m", title).strip()


@pytest.fixture(scope="module")
def give(linux_clone, real_cache):
    lines = tuple(("bugs.py", line) for line in bugs.config())

    def give(commit, rules=RULES):
        tree = LinuxTree(linux_clone.path, real_cache)
        request = config.request([], lines)
        return provide(tree, commit, request, jobs=os.cpu_count() or 1, rules=rules)

    return give


def test_a_kernel_taken_over_has_the_signature_that_a_build_gives(linux_clone, give, tmp_path):
    """The last commit has the changes of all: what is built for it is checked for all of them."""
    index = tmp_path / "index"
    with give(linux_clone.base) as base:
        paths = unread(linux_clone, base)
        assert len(paths) > 50_000
        random.Random(0).shuffle(paths)
        commit = linux_clone.base
        for n in range(COMMITS):
            changed = paths[n * FILES : (n + 1) * FILES]
            commit = poisoned(linux_clone, changed, commit, index, f"Unread files {n}")
            with give(commit) as kernel:
                assert kernel.same_as
                assert kernel.signature == base.signature
    with give(commit, rules=FULL) as built:
        assert not built.same_as
        assert built.signature == base.signature
        assert built.vmlinux.read_bytes() == base.vmlinux.read_bytes()
