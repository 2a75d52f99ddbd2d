"""Entering few directories of a real Linux leaves nothing undone: a make entering all finds nothing to do."""

from __future__ import annotations

import os
import random
import re

import bugs
import pytest

from pytest_kbisect.kernel import build, config, partial_make, sources, toolchain, worktrees
from pytest_kbisect.kernel.tree import LinuxTree

pytestmark = pytest.mark.kernel

ROUNDS, FILES, WIDELY = int(os.environ.get("KBISECT_TEST_ROUNDS", "4")), 4, 60
MADE = re.compile(r"^  [A-Z0-9_]+ +\S+$")


@pytest.fixture(scope="module")
def make(linux_clone, real_cache, tmp_path_factory):
    """Build a commit in its slot: the steps of make, how many directories were entered (0: all), and O=."""
    tree = LinuxTree(linux_clone.path, real_cache)
    request = config.request([], tuple(("bugs.py", line) for line in bugs.config()))

    def make(commit):
        log = tmp_path_factory.mktemp("log") / "build.log"
        with build.build(
            tree,
            commit,
            request,
            toolchain.find(),
            jobs=os.cpu_count() or 1,
            log=log,
            progress=lambda _: None,
        ) as built:
            output = built.files["vmlinux"].parent
            folders = {str(path.relative_to(output)) for path in output.glob(f"{partial_make.ENTERED}/**")}
            steps = [line for line in log.read_text().splitlines() if MADE.match(line)]
            return steps, len(folders), output

    return make


@pytest.fixture
def make_all(make, monkeypatch):
    """The same, entering all directories."""

    def make_all(commit):
        with monkeypatch.context() as patched:
            patched.setattr(partial_make, "directories", lambda *_: None)
            return make(commit)

    return make_all


def winding(output, read):
    """Files that somebody reads by a path like ../lib/zstd/compress/../common/bits.h."""
    commands = (path.read_text("utf-8", "replace") for path in output.rglob(".*.cmd"))
    found = {path for text in commands for path in re.findall(r"^  \.\./(\S+/\.\./\S+)", text, re.MULTILINE)}
    return sorted({os.path.normpath(path) for path in found} & set(read))


def test_nothing_is_left_undone(linux_clone, make, make_all, tmp_path):
    chance = random.Random(0)
    commit = linux_clone.base
    make(commit)
    idle, _, output = make_all(commit)
    targets = sources.read(output / worktrees.SOURCES).targets
    read = [
        path
        for path, count in sorted(targets.items())
        if path.endswith((".c", ".h", ".S")) and count < WIDELY
    ]
    picked = [[path] for path in chance.sample(winding(output, read), 2)]
    picked += [chance.sample(read, chance.randint(1, FILES)) for _ in range(ROUNDS)]
    narrowed = 0
    for paths in picked:
        changed = {path: f"{linux_clone.read(path, commit)}\n/* changed */\n" for path in paths}
        commit = linux_clone.commit("Comments", changed, tmp_path / "index", commit)
        made, entered, _ = make(commit)
        assert len(made) > len(idle), f"nothing was made for {paths}"
        narrowed += entered > 0
        left, _, _ = make_all(commit)
        assert set(left) <= set(idle), f"left undone after a change of {paths}"
    assert narrowed > len(picked) / 2
