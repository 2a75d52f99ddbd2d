"""From changes to commits: what the demo's history looks like, and how git is told.

Everything is fixed, people and dates too: one source tree gives one set of hashes, on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
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


POOLS: tuple[Sequence[Change], ...] = (
    mm.CHANGES,
    net.CHANGES,
    core.CHANGES,
    lib.CHANGES,
    drivers.CHANGES,
    fs.CHANGES,
)


def spread(*groups: Sequence[Change]) -> list[Change]:
    """The groups merged so that each is evenly spread over the whole; order within a group is kept."""
    placed = [
        ((i + 0.5) / len(group), g, change)
        for g, group in enumerate(groups)
        for i, change in enumerate(group)
    ]
    return [change for _, _, change in sorted(placed, key=lambda entry: entry[:2])]


class _Line:
    """A line of development: contents as they are at its end, and the index of its last commit."""

    def __init__(self, files: Mapping[str, bytes], last: int) -> None:
        self.files = dict(files)
        self.last = last

    def fork(self) -> _Line:
        return _Line(self.files, self.last)


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
    commits = [first_commit()]
    wordless, on_fs = _by_branch()
    said = iter(wordless)
    ordinary = iter(spread(*POOLS[:-1]))
    seconds = count(_BEGIN + _STEP, _STEP)

    def add(line: _Line, change: Change) -> int:
        changed = change.apply(line.files)
        line.files.update(changed)
        who = subsystem_of(change.edits[0].path)
        author = who.contributors[len(commits) % len(who.contributors)]
        message = _message(change, author, who.maintainer)
        commits.append(Commit(message, author, who.maintainer, next(seconds), (line.last,), changed))
        line.last = len(commits) - 1
        return line.last

    def add_next(line: _Line, changes: Iterator[Change]) -> int | None:
        for change in changes:
            try:
                return add(line, change)
            except AnchorError as error:
                say(f'left out "{change.subject}": {error}')
        return None

    main = _Line(files, 0)
    side = main
    index_of_place: dict[int, int] = {}
    said_at: list[int] = []
    wordy = story.WORDS_EVERY // 2
    for place in range(story.TOTAL - story.SIDE_LENGTH):
        if place == story.FORK:
            side = main.fork()
            for change in on_fs:
                index = add_next(side, iter((change,)))
                if change in words.CHANGES and index is not None:
                    said_at.append(index)
        if place in story.PLACES:
            index_of_place[place] = add(main, story.PLACES[place])
        elif place == story.MERGE:
            commits.append(_merge(main, side, next(seconds), commits))
            main.last = len(commits) - 1
        else:
            index = add_next(main, said) if place >= wordy else None
            if index is not None:
                said_at.append(index)
                wordy += story.WORDS_EVERY
            else:
                index = add_next(main, ordinary)
            if index is not None:
                index_of_place[place] = index
    if len(commits) - 1 < story.LEAST:
        raise UsageError(
            f"only {len(commits) - 1} of the demo's commits fit Linux {version} (at least {story.LEAST} are needed):"
            " give it the source of a 6.1.y kernel with --tarball"
        )
    places = index_of_place
    culprit = next(place for place, change in story.PLACES.items() if change is story.CULPRIT)
    return History(
        tuple(commits),
        culprit=places[culprit],
        unbuildable=tuple(places[place] for place in story.UNBUILDABLE),
        unbootable=tuple(places[place] for place in story.UNBOOTABLE),
        words=tuple(said_at),
    )


def _by_branch() -> tuple[list[Change], list[Change]]:
    """Words for the main line, and everything for the side branch, which has fs/ to itself."""
    aside = [change for change in words.CHANGES if all(path.startswith("fs/") for path in change.paths)]
    length = story.SIDE_LENGTH - len(aside)
    wordless = [change for change in words.CHANGES if change not in aside]
    return wordless, spread(fs.CHANGES[:length], aside)


def _merge(main: _Line, side: _Line, seconds: int, commits: Sequence[Commit]) -> Commit:
    """The two lines touch different files, so merging is taking both."""
    changed = {path: content for path, content in side.files.items() if path.startswith("fs/")}
    changed = {path: content for path, content in changed.items() if main.files[path] != content}
    main.files.update(changed)
    subjects = [commit.message.splitlines()[0] for commit in commits if commit.message.startswith("fs: ")]
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
    return Commit(message, MERGER, MERGER, seconds, (main.last, side.last), changed)


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
