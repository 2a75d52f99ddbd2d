"""Arranges changes as commits: the layout of the demo's history, and its input for git.

Everything is fixed, including people and dates: one source tree gives the same hashes on every machine.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.demo import key_commits
from pytest_kbisect.demo.change import AnchorError, Change
from pytest_kbisect.demo.commits import core, drivers, fs, lib, mm, net, no_code
from pytest_kbisect.demo.people import MERGER, Person, subsystem_of
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_BEGIN = 1740992400  # Monday, 3 March 2025, 09:00 UTC
_STEP = 17_389
"""Seconds between two commits: slightly less than five hours, so that all times of day occur."""


_SIDE = "fs/"
"""The side branch changes only files below this folder; the main line does not touch them."""

POOLS: tuple[Sequence[Change], ...] = (
    mm.CHANGES,
    net.CHANGES,
    core.CHANGES,
    lib.CHANGES,
    drivers.CHANGES,
    fs.CHANGES,
)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit with everything that is needed to write it. `parents` are indices of the history, in order.

    `files` are the new contents of the paths that differ from the first parent.
    """

    message: str
    author: Person
    committer: Person
    seconds: int
    parents: tuple[int, ...]
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class History:
    """`commits[0]` is the tree as prepared for `bug`. The other fields are indices of `commits`."""

    commits: tuple[Commit, ...]
    bug: key_commits.Bug
    culprit: int
    unbuildable: tuple[int, ...]
    unbootable: tuple[int, ...]
    words: tuple[int, ...]


def paths() -> frozenset[str]:
    """The files that are needed to lay out the history."""
    bugs = [change for bug in key_commits.BUGS for change in (bug.preparation, bug.culprit)]
    mishaps = [
        change
        for mishap in (*key_commits.DO_NOT_BUILD, *key_commits.DO_NOT_BOOT)
        for change in (mishap.broken, mishap.repair)
    ]
    return frozenset(
        path
        for group in (*POOLS, no_code.CHANGES, bugs, mishaps)
        for change in group
        for path in change.paths
    )


def spread(*groups: Sequence[Change]) -> list[Change]:
    """Merge the groups so that each is evenly spread over the whole. The order within a group is kept."""
    placed = [
        ((i + 0.5) / len(group), g, change)
        for g, group in enumerate(groups)
        for i, change in enumerate(group)
    ]
    return [change for _, _, change in sorted(placed, key=lambda entry: entry[:2])]


@dataclass
class _Line:
    """A line of development: the file contents at its end, and the index of its last commit."""

    files: dict[str, bytes]
    last: int


class _Writer:
    """Appends commits to the history."""

    def __init__(self, first: Commit) -> None:
        self.commits = [first]
        self.words: list[int] = []

    def add(self, line: _Line, change: Change) -> int:
        """Add a commit to a line and return its index. Raises AnchorError if the change does not fit."""
        changed = change.apply(line.files)
        who = subsystem_of(min(changed))
        author = who.contributors[len(self.commits) % len(who.contributors)]
        message = _message(change, author, who.maintainer)
        self._append(line, Commit(message, author, who.maintainer, self._now(), (line.last,), changed))
        if change in no_code.CHANGES:
            self.words.append(line.last)
        return line.last

    def add_next(self, line: _Line, changes: Iterator[Change]) -> int | None:
        """Add the next change that fits, or None if no more does."""
        for change in changes:
            with contextlib.suppress(AnchorError):
                return self.add(line, change)
        return None

    def merge(self, main: _Line, side: _Line) -> None:
        """Merge the side branch. The lines touch different files, so the merge takes the files of both."""
        changed = {path: content for path, content in side.files.items() if path.startswith(_SIDE)}
        changed = {path: content for path, content in changed.items() if main.files[path] != content}
        subjects = [
            commit.message.splitlines()[0] for commit in self.commits if commit.files.keys() & changed.keys()
        ]
        message = "\n".join(
            [
                "Merge tag 'vfs-for-demo' of git://git.example.org/vfs",
                "",
                "Pull vfs updates from Casimir Wolanski:",
                "",
                *(f"  {subject}" for subject in subjects),
                "",
            ]
        )
        parents = (main.last, side.last)
        self._append(main, Commit(message, MERGER, MERGER, self._now(), parents, changed))

    def _now(self) -> int:
        return _BEGIN + _STEP * len(self.commits)

    def _append(self, line: _Line, commit: Commit) -> None:
        self.commits.append(commit)
        line.files.update(commit.files)
        line.last = len(self.commits) - 1


def lay_out(version: str, files: Mapping[str, bytes], say: Callable[[str], None] = print) -> History:
    """The history on top of a tree in which the files of `paths()` have these contents; some may be missing.

    An ordinary change that does not fit is omitted, and replaced by another one while there are any. Raises
    UsageError if no bug fits, if too few mishaps fit, or if fewer than 120 commits remain.
    """
    bug, prepared = _bug(version, files)
    breaking = _fitting(key_commits.DO_NOT_BUILD, files)[: len(key_commits.UNBUILDABLE)]
    hanging = _fitting(key_commits.DO_NOT_BOOT, files)[:1]
    if len(breaking) < len(key_commits.UNBUILDABLE) or not hanging:
        raise _unfit(version, "the commits that do not build or boot")
    fixed = {key_commits.CULPRIT: bug.culprit}
    for mishap, (start, end) in zip(
        (*breaking, *hanging), (*key_commits.UNBUILDABLE, key_commits.UNBOOTABLE), strict=True
    ):
        fixed |= {start: mishap.broken, end: mishap.repair}

    writer = _Writer(_first_commit(version, bug, prepared))
    main = side = _Line({**files, **prepared}, 0)
    side_words = [change for change in no_code.CHANGES if _aside(change)]
    wordy = iter([change for change in no_code.CHANGES if change not in side_words])
    next_wordy = key_commits.WORDS_EVERY // 2
    ordinary = iter(spread(*(pool for pool in POOLS if pool is not fs.CHANGES)))
    index_of: dict[int, int | None] = {}
    for place in range(key_commits.TOTAL - key_commits.SIDE_LENGTH):
        if place == key_commits.FORK:
            side = _Line(dict(main.files), main.last)
            _write_side_branch(writer, side, side_words)
        if place == key_commits.MERGE:
            writer.merge(main, side)
        elif place in fixed:
            index_of[place] = writer.add(main, fixed[place])
        elif (
            place >= next_wordy
            and len(writer.words) < key_commits.WORDS
            and writer.add_next(main, wordy) is not None
        ):
            next_wordy += key_commits.WORDS_EVERY
        else:
            index_of[place] = writer.add_next(main, ordinary)
    above_first = len(writer.commits) - 1
    if above_first < key_commits.LEAST:
        raise _unfit(version, f"{key_commits.LEAST} of the demo's commits (only {above_first} fit)")
    if above_first < key_commits.TOTAL:
        say(
            f"{key_commits.TOTAL - above_first} of the demo's {key_commits.TOTAL} commits do not fit Linux {version}"
        )

    def indices(*places: int) -> tuple[int, ...]:
        return tuple(index for place in places if (index := index_of[place]) is not None)

    (culprit,) = indices(key_commits.CULPRIT)
    return History(
        tuple(writer.commits),
        bug,
        culprit=culprit,
        unbuildable=indices(*(place for stretch in key_commits.UNBUILDABLE for place in range(*stretch))),
        unbootable=indices(*range(*key_commits.UNBOOTABLE)),
        words=tuple(writer.words),
    )


def _first_commit(version: str, bug: key_commits.Bug, prepared: Mapping[str, bytes]) -> Commit:
    """The source tree with the preparation for the bug. `files` has only the files that this changes."""
    return Commit(f"Linux {version}\n\n{bug.preparation.body}\n", MERGER, MERGER, _BEGIN, (), prepared)


def _bug(version: str, files: Mapping[str, bytes]) -> tuple[key_commits.Bug, dict[str, bytes]]:
    """The first bug that fits this tree, and the files that its preparation changes."""
    problems = []
    for bug in key_commits.BUGS:
        try:
            prepared = bug.preparation.apply(files)
            bug.culprit.apply({**files, **prepared})
        except AnchorError as error:
            problems.append(str(error))
        else:
            return bug, prepared
    raise _unfit(version, f"any of the demo's bugs ({'; '.join(problems)})")


def _fitting(mishaps: Sequence[key_commits.Mishap], files: Mapping[str, bytes]) -> list[key_commits.Mishap]:
    fitting = []
    for mishap in mishaps:
        with contextlib.suppress(AnchorError):
            mishap.repair.apply({**files, **mishap.broken.apply(files)})
            fitting.append(mishap)
    return fitting


def _unfit(version: str, what: str) -> UsageError:
    return UsageError(
        f"cannot apply {what} to Linux {version}: the demo is made for 5.10 and later; give it the source of"
        " another version with --tarball or --tree"
    )


def _aside(change: Change) -> bool:
    return all(path.startswith(_SIDE) for path in change.paths)


def _write_side_branch(writer: _Writer, side: _Line, worded: Sequence[Change]) -> None:
    """Write the side branch: the ordinary changes to fs/, and one that changes only text there."""
    ordinary = iter(fs.CHANGES)
    wordy = iter(worded)
    for place in range(key_commits.SIDE_LENGTH):
        if place == key_commits.SIDE_LENGTH // 2 and writer.add_next(side, wordy) is not None:
            continue
        writer.add_next(side, ordinary)


def _message(change: Change, author: Person, maintainer: Person) -> str:
    signed = [f"Signed-off-by: {author.address}", *change.tags, f"Signed-off-by: {maintainer.address}"]
    return "\n".join([change.subject, "", change.body, "", *signed, ""])


def stream(commits: Sequence[Commit], base: Iterator[bytes]) -> Iterator[bytes]:
    """The input of `git fast-import` for the commits.

    `base` yields the commands for the files of the source tree. Commit `i` gets mark `i + 1`.
    """
    for index, commit in enumerate(commits):
        yield from _header(index, commit)
        if index == 0:
            yield from base
        for path, content in sorted(commit.files.items()):
            yield file_command(path, "inline", "100644")
            yield b"data %d\n%s\n" % (len(content), content)


def _header(index: int, commit: Commit) -> Iterator[bytes]:
    message = commit.message.encode()
    yield b"commit refs/heads/main\nmark :%d\n" % (index + 1)
    for role, person in (("author", commit.author), ("committer", commit.committer)):
        yield f"{role} {person.address} {commit.seconds} {person.zone}\n".encode()
    yield b"data %d\n%s" % (len(message), message)
    for word, parent in zip((b"from", b"merge"), commit.parents, strict=False):
        yield b"%s :%d\n" % (word, parent + 1)


def blob(mark: int, content: bytes) -> bytes:
    """The fast-import command for the contents of a file (the target of a symbolic link) with this mark."""
    return b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(content), content)


def file_command(path: str, mark: str, mode: str) -> bytes:
    """The fast-import command for a file of a commit. `mark` names a blob; after "inline" contents follow."""
    return b"M %s %s %s\n" % (mode.encode(), mark.encode(), os.fsencode(path))
