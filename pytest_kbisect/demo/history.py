"""From changes to commits: what the demo's history looks like, and how git is told.

Everything is fixed, people and dates too: one source tree gives one set of hashes, on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.demo import story
from pytest_kbisect.demo.change import AnchorError, Change
from pytest_kbisect.demo.commits import core, drivers, fs, lib, mm, net, words
from pytest_kbisect.demo.people import MERGER, Person, subsystem_of
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_BEGIN = 1740992400  # Monday, 3 March 2025, 09:00 UTC
_STEP = 17_389
"""Seconds between two commits: a bit less than five hours, so that all times of day occur."""


_SIDE = "fs/"
"""What the side branch works on; the main line leaves it alone."""

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
    """A commit with all it takes to write it. `parents` are indices into the history, first parent first.

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
    """`commits[0]` is the tree as it was prepared. The other fields are indices into `commits`."""

    commits: tuple[Commit, ...]
    culprit: int
    unbuildable: tuple[int, ...]
    unbootable: tuple[int, ...]
    words: tuple[int, ...]


def paths() -> frozenset[str]:
    """The files that are needed to lay out the history."""
    changes = (*POOLS, [*story.PLACES.values()], words.CHANGES)
    return frozenset(path for group in changes for change in group for path in change.paths)


def spread(*groups: Sequence[Change]) -> list[Change]:
    """The groups merged so that each is evenly spread over the whole; order within a group is kept."""
    placed = [
        ((i + 0.5) / len(group), g, change)
        for g, group in enumerate(groups)
        for i, change in enumerate(group)
    ]
    return [change for _, _, change in sorted(placed, key=lambda entry: entry[:2])]


@dataclass
class _Line:
    """A line of development: contents as they are at its end, and the index of its last commit."""

    files: dict[str, bytes]
    last: int


class _Writer:
    """The history as it grows."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.commits = [first_commit()]
        self.words: list[int] = []
        self._say = say

    def add(self, line: _Line, change: Change) -> int:
        """Put one more commit on a line, and return its index. Raises AnchorError if it does not fit."""
        changed = change.apply(line.files)
        who = subsystem_of(change.edits[0].path)
        author = who.contributors[len(self.commits) % len(who.contributors)]
        message = _message(change, author, who.maintainer)
        self._append(line, Commit(message, author, who.maintainer, self._now(), (line.last,), changed))
        if change in words.CHANGES:
            self.words.append(line.last)
        return line.last

    def add_next(self, line: _Line, changes: Iterator[Change]) -> int | None:
        """Add the next change that fits, or None if no more does."""
        for change in changes:
            try:
                return self.add(line, change)
            except AnchorError as error:
                self._say(f'left out "{change.subject}": {error}')
        return None

    def merge(self, main: _Line, side: _Line) -> None:
        """The two lines touch different files, so merging is taking both."""
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


def first_commit() -> Commit:
    """The tree as the distribution ships it, but for the story's preparation. Its files are not told here."""
    message = (
        "Linux 6.1.y as the distribution ships it\n\n"
        "But for one check: tun_napi_alloc_frags() takes any length, so that the\n"
        "allocator is the last to object to a long one.\n"
    )
    return Commit(message, MERGER, MERGER, _BEGIN, (), {})


def lay_out(version: str, files: Mapping[str, bytes], say: Callable[[str], None] = print) -> History:
    """The history on top of a tree in which the files of `paths()` have these contents (prepared).

    An ordinary change that does not fit is left out, and another takes its place while there are any.
    Raises UsageError if a commit of the story does not fit, or if fewer than 120 are left.
    """
    writer = _Writer(say)
    main = side = _Line(dict(files), 0)
    wordy = iter([change for change in words.CHANGES if not _aside(change)])
    next_wordy = story.WORDS_EVERY // 2
    ordinary = iter(spread(*(pool for pool in POOLS if pool is not fs.CHANGES)))
    index_of: dict[int, int | None] = {}
    for place in range(story.TOTAL - story.SIDE_LENGTH):
        if place == story.FORK:
            side = _Line(dict(main.files), main.last)
            for change in _side_branch():
                writer.add_next(side, iter((change,)))
        if place == story.MERGE:
            writer.merge(main, side)
        elif place in story.PLACES:
            index_of[place] = writer.add(main, story.PLACES[place])
        elif place >= next_wordy and writer.add_next(main, wordy) is not None:
            next_wordy += story.WORDS_EVERY
        else:
            index_of[place] = writer.add_next(main, ordinary)
    above_first = len(writer.commits) - 1
    if above_first < story.LEAST:
        raise UsageError(
            f"only {above_first} of the demo's commits fit Linux {version} (at least {story.LEAST} are needed):"
            " give it the source of another 6.1.y with --tarball"
        )

    def indices(*places: int) -> tuple[int, ...]:
        return tuple(index for place in places if (index := index_of[place]) is not None)

    (culprit,) = indices(*(place for place, change in story.PLACES.items() if change is story.CULPRIT))
    return History(
        tuple(writer.commits),
        culprit=culprit,
        unbuildable=indices(*story.UNBUILDABLE),
        unbootable=indices(*story.UNBOOTABLE),
        words=tuple(writer.words),
    )


def _aside(change: Change) -> bool:
    return all(path.startswith(_SIDE) for path in change.paths)


def _side_branch() -> list[Change]:
    """The side branch has fs/ to itself: its ordinary changes, and what only changes words there."""
    worded = [change for change in words.CHANGES if _aside(change)]
    return spread(fs.CHANGES[: story.SIDE_LENGTH - len(worded)], worded)


def _message(change: Change, author: Person, maintainer: Person) -> str:
    signed = [f"Signed-off-by: {author.address}", *change.tags, f"Signed-off-by: {maintainer.address}"]
    return "\n".join([change.subject, "", change.body, "", *signed, ""])


def stream(commits: Sequence[Commit], base: Iterator[bytes], begin: int = 0) -> Iterator[bytes]:
    """The input of `git fast-import` for the commits from index `begin` on.

    `base` yields the file commands of the first commit. Commit `i` gets mark `i + 1`.
    """
    for index in range(begin, len(commits)):
        commit = commits[index]
        yield from _header(index, commit)
        if index == 0:
            yield from base
        for path, content in sorted(commit.files.items()):
            yield file_command(path, content)


def _header(index: int, commit: Commit) -> Iterator[bytes]:
    message = commit.message.encode()
    yield b"commit refs/heads/main\nmark :%d\n" % (index + 1)
    for role, person in (("author", commit.author), ("committer", commit.committer)):
        yield f"{role} {person.address} {commit.seconds} {person.zone}\n".encode()
    yield b"data %d\n%s" % (len(message), message)
    for word, parent in zip((b"from", b"merge"), commit.parents, strict=False):
        yield b"%s :%d\n" % (word, parent + 1)


def file_command(path: str, content: bytes, mode: str = "100644") -> bytes:
    """Tell fast-import a file's contents (of a symbolic link: its target)."""
    return b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), path.encode(), len(content), content)
