"""Commits that a worker lacks, as a git pack: what a bundle holds, for repositories with a cut history.

A worker needs the files of the commits that it builds, and no older history. So the commits just before a
range count as roots: a worker that has no clone of its own gets one tree and the changes since, not thirty
years of Linux. (`git bundle` cannot say that; the pack is made and taken in with the commands that it
consists of.)
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING, Any

from pytest_kbisect import locks, process
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.kernel.git import GIT_SETTINGS, environment, first_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_kbisect.kernel.tree import LinuxTree


# -- the driver's side -------------------------------------------------------------------------------------


def make(tree: LinuxTree, wanted: Sequence[str], known: dict[str, Any], path: Path) -> list[str]:
    """Write a pack of commits that a worker lacks; returns those whose parents it leaves out.

    `wanted` are full hashes; everything between them travels, too. `known` is what `Clone.known` says of the
    worker. Raises UsageError if git cannot read the tree.
    """
    here = [tip for tip in _existing(tree, known["tips"]) if tip not in wanted]
    roots = _roots(tree, wanted)
    lines = [f"--shallow {commit}" for commit in sorted({*roots, *_existing(tree, known["shallow"])})]
    lines += [*wanted, *(f"^{tip}" for tip in here)]
    settings = [word for setting in GIT_SETTINGS for word in ("-c", setting)]
    env = environment() | {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1"}
    if tree.own_objects.is_dir():
        env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = f'"{tree.own_objects}"'
    command = ["git", *settings, "pack-objects", "--revs", "--stdout", "--thin", "--shallow", "-q"]
    with path.open("wb") as pack:
        child = process.start(
            [*command, "--delta-base-offset"],
            cwd=tree.git_dir,
            env=env,
            stdin=subprocess.PIPE,
            stdout=pack,
            stderr=subprocess.PIPE,
        )
        try:
            _, complaint = child.communicate("".join(f"{line}\n" for line in lines).encode())
        finally:
            if child.returncode is None:
                process.kill(child)
    if child.returncode:
        raise UsageError(
            f"git cannot pack {tree.path}: {first_line(complaint.decode('utf-8', 'replace'))}: see git fsck"
        )
    return roots


def _roots(tree: LinuxTree, wanted: Sequence[str]) -> list[str]:
    """The commits whose parents need not travel: one alone, or those just before a range."""
    newest, *older = wanted
    if not older:
        return [newest]
    listed = tree.read("rev-list", "--boundary", newest, *(f"^{commit}" for commit in older), "--").split()
    return sorted({line[1:] for line in listed if line.startswith("-")} | {*older})


def _existing(tree: LinuxTree, commits: Sequence[str]) -> list[str]:
    """Those of a worker's commits that are in the driver's tree."""
    if not commits:
        return []
    _, output, _ = tree.ask("cat-file", "--batch-check", stdin="".join(f"{c}\n" for c in commits).encode())
    rows = (line.split() for line in output.decode("utf-8", "replace").splitlines())
    return [row[0] for row in rows if len(row) == 3 and row[1] == "commit"]


# -- the worker's side -------------------------------------------------------------------------------------


class Clone:
    """A worker's bare repository, with the objects of a clone on its host if there is one."""

    def __init__(self, folder: Path, objects: Path | None, shallow: Path | None = None) -> None:
        """`objects` and `shallow` belong to the host's own clone, which is only read."""
        self._folder = folder
        self._objects = objects
        self._shallow = shallow

    def path(self, object_format: str) -> Path:
        """The repository for hashes of a kind, made if need be. Raises HostError."""
        if object_format not in {"sha1", "sha256"}:
            raise HostError(f"git object format {object_format!r} is unknown: update pytest-kbisect")
        repository = self._folder / f"linux-{object_format}.git"
        with locks.held(self._folder / "clone.lock"):
            if not (repository / "HEAD").exists():
                self._git(
                    "init", "-q", "--bare", "--template=", f"--object-format={object_format}", repository
                )
                self._git("config", "gc.auto", "0", at=repository)
            if self._objects is not None:
                alternates = repository / "objects/info/alternates"
                alternates.parent.mkdir(parents=True, exist_ok=True)
                alternates.write_text(f"{self._objects}\n")
                if self._shallow is not None and self._shallow.exists():
                    _add_lines(repository / "shallow", self._shallow.read_text().split())
        return repository

    def known(self, object_format: str, wanted: Iterable[str]) -> dict[str, Any]:
        """`lacking` of the wanted commits; the `tips` of what is here, and the `shallow` commits."""
        repository = self.path(object_format)
        asked = "".join(f"{commit}^{{tree}}\n" for commit in wanted).encode()
        rows = self._git("cat-file", "--batch-check", at=repository, stdin=asked).splitlines()
        lacking = [row.partition("^")[0] for row in rows if row.endswith(" missing")]
        tips = set(self._git("for-each-ref", "--format=%(objectname)", at=repository).split())
        if lacking and self._objects is not None:
            tips |= {
                *self._git(
                    "for-each-ref", "--format=%(objectname) %(*objectname)", at=self._objects.parent
                ).split()
            }
        shallow = repository / "shallow"
        cut = shallow.read_text().split() if shallow.exists() else []
        return {"lacking": lacking, "tips": sorted(tips), "shallow": cut}

    def take(self, object_format: str, pack: Path, wanted: Sequence[str], roots: Sequence[str]) -> None:
        """Take in a pack that `make` wrote. Raises HostError if that fails; nothing is half there then."""
        repository = self.path(object_format)
        with locks.held(self._folder / "pack.lock"):
            with pack.open("rb") as file:
                self._git("index-pack", "--stdin", "--fix-thin", at=repository, stdin=file.fileno())
            _add_lines(repository / "shallow", roots)
            for commit in wanted:
                self._git("update-ref", f"refs/kbisect/{commit}", commit, at=repository)

    def _git(self, *words: str | Path, at: Path | None = None, stdin: bytes | int = b"") -> str:
        child = process.start(
            ["git", "-c", "safe.bareRepository=all", *words],
            cwd=at,
            env=environment() | {"LC_ALL": "C"},
            stdin=stdin if isinstance(stdin, int) else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            output, complaint = child.communicate(None if isinstance(stdin, int) else stdin)
        finally:
            if child.returncode is None:
                process.kill(child)
        if child.returncode:
            raise HostError(
                f"the worker's git {words[0]} failed: {first_line(complaint.decode('utf-8', 'replace'))}: "
                f"free some disk space, or remove {self._folder}"
            )
        return output.decode("utf-8", "replace")


def _add_lines(path: Path, lines: Iterable[str]) -> None:
    known = path.read_text().split() if path.exists() else []
    every = sorted({*known, *lines})
    if every == known:
        return
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        new.write_text("".join(f"{line}\n" for line in every))
        new.rename(path)
