"""Small git histories that pass for Linux as far as anything but a build looks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

MAKEFILE = "VERSION = 6\nPATCHLEVEL = 1\n"


class Linux:
    """A repository whose file `bug` says whether the kernel of a commit crashes."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.time = 1_700_000_000
        self.git("init", "-q", "-b", "main")
        self.commit("Linux 6.1", Makefile=MAKEFILE, Kconfig='mainmenu "Linux"\n', bug="no\n")

    def git(self, *words):
        names = ("GIT_AUTHOR", "GIT_COMMITTER")
        env = {f"{n}_{k}": v for n in names for k, v in (("NAME", "A"), ("EMAIL", "a@example.org"))}
        dates = {f"{n}_DATE": f"@{self.time} +0000" for n in names}
        env = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", **env, **dates}
        return subprocess.run(
            ["git", *words], cwd=self.path, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, title, tag="", **files):
        self.time += 60
        for name, text in files.items():
            (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", title)
        if tag:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")

    def grow(self, count, title="more"):
        return [self.commit(f"{title} {n}", **{f"{title}{n}": "1\n"}) for n in range(count)]


@pytest.fixture
def linux(tmp_path):
    return Linux(tmp_path / "linux")
