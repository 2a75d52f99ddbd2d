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
        self.git("init", "-q", "--template=", "-b", "main")
        self.commit("Linux 6.1", Makefile=MAKEFILE, Kconfig='mainmenu "Linux"\n', bug="no\n")

    def git(self, *words, stdin=""):
        names = ("GIT_AUTHOR", "GIT_COMMITTER")
        env = {f"{n}_{k}": v for n in names for k, v in (("NAME", "A"), ("EMAIL", "a@example.org"))}
        dates = {f"{n}_DATE": f"@{self.time} +0000" for n in names}
        env = {"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", **env, **dates}
        return subprocess.run(
            ["git", *words], cwd=self.path, env=env, input=stdin, check=True, capture_output=True, text=True
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
        """Commits of a new file each, imported at once: one by one they are three processes each."""
        branch = self.git("symbolic-ref", "HEAD")
        stream = []
        for n in range(count):
            self.time += 60
            stream.append(f"commit {branch}\nmark :{n + 1}\ncommitter A <a@example.org> {self.time} +0000\n")
            stream.append(f"data <<.\n{title} {n}\n.\n" + f"from {branch}^0\n" * (n == 0))
            stream.append(f"M 100644 inline {title}{n}\ndata 2\n1\n\nget-mark :{n + 1}\n")
        commits = self.git("fast-import", "--quiet", stdin="".join(stream)).split()
        self.git("reset", "-q", "--hard")
        return commits


@pytest.fixture
def linux(tmp_path):
    return Linux(tmp_path / "linux")
