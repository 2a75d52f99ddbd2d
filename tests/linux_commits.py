"""The real Linux that slow tests work on: the demo's history, cloned, with commits of the tests' own."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import host
from pytest_kbisect.demo import repository

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_kbisect.demo.change import Edit


class Linux:
    """A clone that shares the demo's objects, in which commits are made without a checkout.

    Authors and dates are fixed: the same test makes the same commits, which the store has.
    """

    def __init__(self, path: Path, source: repository.Demo) -> None:
        self.path = path
        self.demo = source
        self.base = source.good
        if not path.exists():
            subprocess.run(["git", "clone", "-q", "--bare", "--shared", source.path, path], check=True)

    def git(self, *words: str, text: str = "", index: Path | None = None) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        for who in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{who}_NAME": "A U Thor", f"GIT_{who}_EMAIL": "author@example.org"}
            env |= {f"GIT_{who}_DATE": "2021-01-13T08:18:19 +0000"}
        if index:
            env["GIT_INDEX_FILE"] = str(index)
        command = ["git", "--git-dir", str(self.path), *words]
        done = subprocess.run(command, env=env, input=text.encode("latin-1"), check=True, capture_output=True)
        return done.stdout.decode("latin-1")

    def read(self, name: str, commit: str = "") -> str:
        return self.git("show", f"{commit or self.base}:{name}")

    def commit(self, title: str, files: dict[str, str], index: Path, parent: str = "") -> str:
        """A child of the base commit (or of `parent`), and its full hash."""
        parent = parent or self.base
        self.git("read-tree", parent, index=index)
        for name, text in files.items():
            blob = self.git("hash-object", "-w", "--stdin", text=text).strip()
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", index=index)
        tree = self.git("write-tree", index=index).strip()
        return self.git("commit-tree", tree, "-p", parent, "-m", title).strip()

    def edited(self, title: str, edits: Iterable[Edit], index: Path, parent: str) -> str:
        """A child of `parent` with these edits."""
        files: dict[str, str] = {}
        for edit in edits:
            files[edit.path] = edit.apply(files.get(edit.path) or self.read(edit.path, parent))
        return self.commit(title, files, index, parent)


def clone_of_demo(cache: Path) -> Linux:
    """The clone in the user's cache; skips the test where the host has no kernel source."""
    if not host.SOURCE_TARBALL.exists():
        pytest.skip(f"{host.SOURCE_TARBALL} is not there: kbisect setup")
    return Linux(cache / "tests" / "kernel.git", repository.prepare(cache / "demo", host.SOURCE_TARBALL))
