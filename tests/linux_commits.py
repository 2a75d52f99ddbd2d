"""The real Linux that slow tests work on: the demo's history, cloned, with commits of the tests' own.

It is made from the distribution's kernel source, or from what KBISECT_TEST_SOURCE names: a tarball or a tree
of Linux 5.10 or later.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from pytest_kbisect import host
from pytest_kbisect.demo import repository

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.demo.change import Change


SOURCE = "KBISECT_TEST_SOURCE"


class Linux:
    """A clone that shares the demo's objects, in which commits are made without a checkout.

    Authors and dates are fixed: the same test makes the same commits, which the store has.
    """

    def __init__(self, path: Path, source: repository.Demo) -> None:
        self.path = path
        self.demo = source
        self.base = source.good
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # both processes of the tests want it
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

    def line(self, commits: Iterable[tuple[str, str, str]]) -> list[str]:
        """Commits in a line on the base, each a title, a file and its text; their hashes, on no branch."""
        stream, ref = [], "refs/heads/line"
        for number, (title, path, text) in enumerate(commits):
            before = f":{number}" if number else self.base
            stream += [
                f"commit {ref}\nmark :{number + 1}",
                f"committer A U Thor <author@example.org> 1610525{number + 199} +0000",
                f"data {len(title)}\n{title}\nfrom {before}",
                f"M 100644 inline {path}\ndata {len(text.encode('latin-1'))}\n{text}\nget-mark :{number + 1}",
            ]
        made = self.git("fast-import", "--quiet", "--force", text="\n".join([*stream, ""])).split()
        self.git("update-ref", "-d", ref)
        return made

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

    def edited(self, title: str, changes: Iterable[Change], index: Path, parent: str) -> str:
        """A child of `parent` with these changes."""
        files: dict[str, bytes] = {}
        for change in changes:
            before = {path: self._bytes(path, parent) for path in change.paths}
            files |= change.apply({path: text for path, text in before.items() if text is not None} | files)
        return self.commit(
            title, {path: text.decode("latin-1") for path, text in files.items()}, index, parent
        )

    def _bytes(self, path: str, commit: str) -> bytes | None:
        """A file's contents, None where there is no such file."""
        try:
            return self.read(path, commit).encode("latin-1")
        except subprocess.CalledProcessError:
            return None


def clone_of_demo(cache: Path) -> Linux:
    """The clone in the user's cache; skips the test where the host has no kernel source."""
    named = os.environ.get(SOURCE)
    source = Path(named).absolute() if named else host.source_tarball()
    if source is None:
        pytest.skip(f"no kernel source is installed: run `kbisect setup --demo`, or name one in {SOURCE}")
    # Not the demo's own folder: a history made from other source would take its place.
    folder = cache / "tests" / f"demo-{source.name}" if named else cache / "demo"
    demo = repository.prepare(folder, source)
    return Linux(cache / "tests" / f"linux-{demo.bad[:12]}.git", demo)
