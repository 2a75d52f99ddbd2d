"""Small git trees that pass for Linux as far as everything before a build looks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

# A session inside a test forgets what it imported, and numpy cannot be imported twice.
import pytest_kbisect.bisection.driver  # noqa: F401

_IDENTITY = {
    "GIT_AUTHOR_NAME": "A U Thor",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_COMMITTER_NAME": "C O Mitter",
    "GIT_COMMITTER_EMAIL": "committer@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


class Tree:
    """A git repository in a temporary folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "--template=", "-b", "main")

    def git(self, *words: str) -> str:
        return subprocess.run(
            ["git", *words],
            cwd=self.path,
            env={**os.environ, **_IDENTITY},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self, title: str, **files: str) -> str:
        for name, text in files.items():
            (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", title)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def linux(tmp_path: Path) -> Tree:
    """Three commits of something with Linux' Makefile and Kconfig."""
    tree = Tree(tmp_path / "linux")
    tree.commit(
        "Linux 6.1", Makefile="VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n", Kconfig='mainmenu "Linux"\n'
    )
    tree.commit("one")
    tree.commit("two")
    return tree
