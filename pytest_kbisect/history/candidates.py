"""The candidates of a range A..B: commits, oldest first, on the real graph with all merges."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.history.ancestry import Ancestry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_kbisect.history.ancestry import Flags

GOOD_END = -1
"""The index of the good end A in histories, experiments and evidence."""

_FIRST_OUTSIDE = GOOD_END - 1


@dataclass(frozen=True)
class History:
    """The commits of A..B, oldest first. The last one is B, the bad end.

    `parents[i]` are indices below i: of another commit of the range, GOOD_END for A, or a lower number for
    one of `outside`, the ancestors of A from which branches start (-2 is the first). `dates` are committer
    times in seconds since the epoch; git's own order needs them. Fields other than `commits` and `parents`
    may be empty if they are not used. `repairs` are messages about faults of the graph (grafts, cycles) and
    how they were handled.
    """

    commits: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]
    titles: tuple[str, ...] = ()
    dates: tuple[int, ...] = ()
    repairs: tuple[str, ...] = field(default=(), compare=False)
    outside: tuple[str, ...] = ()

    @classmethod
    def from_log(cls, text: str, *, good: str = "") -> History:
        """Parse the output of LinuxTree.log_text. A parent link that would close a cycle is omitted.

        `good` is A's full hash. Without it, every parent outside the range counts as A.
        """
        rows = [row for line in text.split("\n") if len(row := line.split("\0", 3)) == 4]
        links = {sha: parents.split() for sha, parents, _, _ in rows}
        facts = {sha: (int(date or 0), title) for sha, _, date, title in rows}
        repairs: list[str] = []
        order = list(links) if _is_oldest_first(links) else _oldest_first(links, repairs)
        position = {sha: i for i, sha in enumerate(order)}
        outside: list[str] = []
        if good:
            position[good] = GOOD_END
            known = {parent: None for sha in order for parent in links[sha] if parent not in position}
            outside = list(known)
            position.update((sha, _FIRST_OUTSIDE - n) for n, sha in enumerate(outside))
        return cls(
            tuple(order),
            tuple(_indices(links[sha], position, below=i) for i, sha in enumerate(order)),
            tuple(facts[sha][1] for sha in order),
            tuple(facts[sha][0] for sha in order),
            tuple(repairs),
            tuple(outside),
        )

    @classmethod
    def line(cls, commits: Sequence[str]) -> History:
        """A history without merges."""
        return cls(tuple(commits), tuple((i - 1,) if i else (GOOD_END,) for i in range(len(commits))))

    def __len__(self) -> int:
        return len(self.commits)

    @property
    def bad_end(self) -> int:
        """Index of B, the bad end."""
        return len(self.commits) - 1

    @cached_property
    def position(self) -> dict[str, int]:
        """Index of a commit of the range by its full hash."""
        return {sha: i for i, sha in enumerate(self.commits)}

    @cached_property
    def _position_outside(self) -> dict[str, int]:
        return {sha: _FIRST_OUTSIDE - n for n, sha in enumerate(self.outside)}

    def index(self, sha: str) -> int | None:
        """Index of a commit of the range, or of a parent outside it; None for all others, including A."""
        return self.position.get(sha, self._position_outside.get(sha))

    def sha(self, i: int) -> str:
        """The full hash of a commit by its index; empty for A, whose hash is not stored."""
        if i >= 0:
            return self.commits[i]
        return "" if i == GOOD_END else self.outside[_FIRST_OUTSIDE - i]

    @cached_property
    def ancestry(self) -> Ancestry:
        """The ancestor sets of the commits."""
        return Ancestry(self.parents)

    @cached_property
    def suspects(self) -> Flags:
        """The commits that B contains: all of them if git printed A..B."""
        if not self.commits:
            return np.zeros(0, dtype=bool)
        return self.ancestry.ancestors(self.bad_end)

    def is_merge(self, i: int) -> bool:
        return len(self.parents[i]) > 1

    def title(self, i: int) -> str:
        if i < 0:
            return "the good end" if i == GOOD_END else "before the good end"
        return self.titles[i] if self.titles else ""


def _indices(parents: Iterable[str], position: dict[str, int], *, below: int) -> tuple[int, ...]:
    """Parents as indices, without duplicates. Parents without a position count as the good end."""
    found = [position.get(sha, GOOD_END) for sha in parents]
    if len(found) == 1 and found[0] < below:  # most commits; this is the fast path
        return (found[0],)
    return tuple(dict.fromkeys(p for p in found if p < below))


def _is_oldest_first(links: dict[str, list[str]]) -> bool:
    """Whether no commit is printed before one of its parents, as git prints every healthy history."""
    younger = set(links)
    for sha, parents in links.items():
        if not younger.isdisjoint(parents):
            return False
        younger.discard(sha)
    return True


def _oldest_first(links: dict[str, list[str]], repairs: list[str]) -> list[str]:
    """Sort the commits oldest first.

    Replace refs and grafts can make a commit its own ancestor. git tolerates this because it visits no commit
    twice. Here the link that closes the cycle is dropped and reported in `repairs`.
    """
    done: dict[str, None] = {}
    open_: set[str] = set()
    for start in links:
        stack = [start]
        while stack:
            sha = stack[-1]
            if sha in done:
                stack.pop()
                continue
            if sha not in open_:
                open_.add(sha)
                waiting = [p for p in reversed(links[sha]) if p in links and p not in done]
                repairs.extend(
                    f"{sha} is its own ancestor through {p}: that parent is ignored"
                    for p in waiting
                    if p in open_
                )
                stack += [p for p in waiting if p not in open_]
            else:
                open_.discard(sha)
                done[sha] = None
                stack.pop()
    return list(done)
