"""The demo's git repository. It is created completely or not at all, and reused the next time.

It is bare: bisections use worktrees of their own, so 1.3 GB of checked out files would be wasted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import host, process
from pytest_kbisect.demo import commit_graph, source
from pytest_kbisect.errors import KbisectError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD, BAD = "demo-good", "demo-bad"
"""The tags of the two ends of the range."""

_FACTS = "demo.json"
_PROGRESS = 16_000
"""Number of files between progress lines. 5.10 has 70,000 files, 7.1 has 93,000."""
_FIRST_BLOB = 1_000_000
"""fast-import marks below this are commits; the others are files of the first commit."""


@dataclass(frozen=True, slots=True)
class Demo:
    """An existing demo repository. Commits are full hashes; `path` is the git directory.

    `reproducer` is a file of this package; it causes `crash` (a title).
    """

    path: Path
    version: str
    reproducer: str
    crash: str
    commits: int
    good: str
    bad: str
    culprit: str
    unbuildable: tuple[str, ...]
    unbootable: tuple[str, ...]
    words: tuple[str, ...]


def prepare(folder: Path, tree: Path, say: Callable[[str], None] = print) -> Demo:
    """The repository in `folder`. It is created from a kernel's source unless that was done before.

    `tree` is anything that `source.read` accepts.

    If two processes call this at the same time, one creates the repository and the other waits.
    """
    from filelock import FileLock

    host.require("git")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        return _prepare(folder, tree, say)


def _prepare(folder: Path, tree: Path, say: Callable[[str], None]) -> Demo:
    place = folder / "linux.git"
    made_from = _fingerprint(tree)
    if known := _known(place, made_from):
        say(f"The history is already there: {place}")
        return known
    for leftover in folder.glob("unfinished-*"):  # left by a killed process; we hold the lock
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=folder) as work:
        unfinished = Path(work, "linux.git")
        demo = _make(unfinished, place, tree, say)
        (unfinished / _FACTS).write_text(
            json.dumps({"made_from": made_from, **asdict(demo), "path": ""}, indent=1)
        )
        if place.exists():
            place.rename(Path(work, "old.git"))
        unfinished.rename(place)
    return demo


def _fingerprint(tree: Path) -> str:
    """A hash of everything that the repository depends on: the source and the code of this package."""
    digest = hashlib.sha256(source.fingerprint(tree).encode())
    for folder in (resources.files(__package__), resources.files(f"{__package__}.commits")):
        for module in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if module.name.endswith(".py"):
                digest.update(module.read_bytes())
    return digest.hexdigest()


def _known(place: Path, made_from: str) -> Demo | None:
    try:
        facts = json.loads((place / _FACTS).read_text())
    except (OSError, ValueError):
        return None
    if facts.pop("made_from", None) != made_from:
        return None
    lists = {name: tuple(facts.pop(name)) for name in ("unbuildable", "unbootable", "words")}
    return Demo(**{**facts, **lists, "path": place})


def _make(path: Path, place: Path, tree: Path, say: Callable[[str], None]) -> Demo:
    """Write the repository to `path`. It will be moved to `place`."""
    # The user's own settings (templates, hooks, signing) must not affect this repository.
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    process.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], env=environment)
    marks, words = path / "marks", path / "import.log"
    files = _Base(tree, say)
    with words.open("wb") as log:
        importer = process.start(
            # Searching for deltas between neighbouring files takes minutes and gains nothing here.
            f"git -c core.compression=1 fast-import --quiet --depth=0 --export-marks={marks.name}".split(),
            cwd=path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
        )
        assert importer.stdin is not None
        try:
            laid = files.import_into(importer.stdin.write)
            importer.stdin.close()
            failed = importer.wait() != 0
        except BrokenPipeError:
            failed = True
        finally:
            process.kill(importer)
            with contextlib.suppress(BrokenPipeError):
                importer.stdin.close()
    if failed:
        raise KbisectError(f"git fast-import failed: {process.tail(words.read_bytes(), 3)}")
    with marks.open() as lines:
        hashes = {mark: name for mark, name in map(str.split, lines) if int(mark[1:]) < _FIRST_BLOB}
    marks.unlink()
    named = [hashes[f":{index + 1}"] for index in range(len(laid.commits))]
    for name, commit in ((GOOD, named[0]), (BAD, named[-1])):
        process.run(["git", "-C", path, "tag", name, commit], env=environment)
    return Demo(
        place,
        files.version,
        laid.bug.reproducer,
        laid.bug.crash,
        len(named) - 1,
        good=named[0],
        bad=named[-1],
        culprit=named[laid.culprit],
        unbuildable=tuple(named[index] for index in laid.unbuildable),
        unbootable=tuple(named[index] for index in laid.unbootable),
        words=tuple(named[index] for index in laid.words),
    )


class _Base:
    """Passes the files of the source to git, and remembers what the history needs of them."""

    def __init__(self, tree: Path, say: Callable[[str], None]) -> None:
        self.version = ""
        self._tree = tree
        self._say = say
        self._wanted = commit_graph.paths()
        self._kept: dict[str, bytes] = {}
        self._sent: list[tuple[str, str]] = []

    def import_into(self, write: Callable[[bytes], object]) -> commit_graph.History:
        """Send the whole history to fast-import.

        The contents of the files are sent first, while they are read. The commits, including the first one,
        can only be computed after all files were read.
        """
        for piece in self._contents():
            write(piece)
        if not self.version:
            raise UsageError(f"{self._tree} has no Makefile at its top: is it the source of Linux?")
        laid = commit_graph.lay_out(self.version, self._kept, self._say)
        for piece in commit_graph.stream(laid.commits, self._commands()):
            write(piece)
        return laid

    def _contents(self) -> Iterator[bytes]:
        for number, file in enumerate(source.read(self._tree)):
            if number % _PROGRESS == 0 and number:
                self._say(f"  {number} files")
            if file.path == "Makefile":
                self.version = source.version(file.content)
            if file.path in self._wanted:
                self._kept[file.path] = file.content
            yield commit_graph.blob(_FIRST_BLOB + number, file.content)
            self._sent.append((file.path, file.mode))

    def _commands(self) -> Iterator[bytes]:
        for number, (path, mode) in enumerate(self._sent):
            yield commit_graph.file_command(path, f":{_FIRST_BLOB + number}", mode)
