"""Ancestor sets of a hundred thousand commits: rows of bits for merges, ranges for all other commits.

Most commits have one parent. The ancestors of such a commit are the commits before it on its strand and all
ancestors of the strand's foot, so only feet that are merges need a row of bits. Commits are renumbered so
that strands are contiguous; a strand is added to a row by filling a range. 100,000 commits with 8,000 merges
take 100 MB, instead of 1.2 GB with a row for each commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Flags: TypeAlias = NDArray[np.bool_]
"""One truth value per commit, in the history's order."""
Weights: TypeAlias = NDArray[np.float64]
"""One weight per commit, in the history's order."""
Words: TypeAlias = NDArray[np.uint64]

_WORD = 64
_AT_ONCE = 1 << 18
"""Words of bit rows counted at once: 2 MiB, which fit the cache."""


class Ancestry:
    """The ancestor sets of commits, which are given by their parents, oldest first.

    A commit is in its own set. Negative parents are outside the history. Raises nothing: a parent that is not
    older is ignored.
    """

    def __init__(self, parents: Sequence[Sequence[int]]) -> None:
        self._size = len(parents)
        inside = [[p for p in row if 0 <= p < i] for i, row in enumerate(parents)]
        self._strands(inside)
        self._rows_of_merges(inside)

    def __len__(self) -> int:
        return self._size

    def _strands(self, inside: list[list[int]]) -> None:
        """Cut the graph into strands: a foot, then the first child of each commit, unless it is a merge."""
        size = self._size
        strand_of = [0] * size
        members: list[list[int]] = []
        below: list[int] = []  # the foot's only parent, or -1
        taken = [False] * size
        for i, row in enumerate(inside):
            if len(row) == 1 and not taken[row[0]]:
                taken[row[0]] = True
                strand_of[i] = strand_of[row[0]]
                members[strand_of[i]].append(i)
            else:
                strand_of[i] = len(members)
                members.append([i])
                below.append(row[0] if len(row) == 1 else -1)
        order = np.fromiter((i for strand in members for i in strand), dtype=np.int64, count=size)
        self._order = order
        self._place = np.empty(size, dtype=np.int64)
        self._place[order] = np.arange(size)
        lengths = np.array([len(strand) for strand in members], dtype=np.int64)
        self._start = np.concatenate(([0], np.cumsum(lengths)[:-1])) if size else np.zeros(0, dtype=np.int64)
        self._strand = np.repeat(np.arange(len(members)), lengths)
        self._foot = [strand[0] for strand in members]
        self._below = below
        self._place_of_below = [int(self._place[i]) if i >= 0 else -1 for i in below]
        self._strand_of = strand_of

    def _rows_of_merges(self, inside: list[list[int]]) -> None:
        merges = [i for i in self._foot if len(inside[i]) > 1]
        self._row = {i: n for n, i in enumerate(merges)}
        words = -(-self._size // _WORD)
        self._bits: Words = np.zeros((len(merges), words), dtype=np.uint64)
        for i in merges:  # feet are in the history's order, so the rows of parents already exist
            row = self._bits[self._row[i]]
            for parent in inside[i]:
                self._add_ancestors(parent, row)
            self._fill(row, int(self._place[i]), int(self._place[i]) + 1)

    def _add_ancestors(self, i: int, row: Words) -> None:
        """Add the ancestors of i to the row, strand by strand down to a merge or a root."""
        while i >= 0:
            strand = self._strand_of[i]
            foot = self._foot[strand]
            self._fill(row, int(self._start[strand]), int(self._place[i]) + 1)
            if foot in self._row:
                row |= self._bits[self._row[foot]]
                return
            i = self._below[strand]

    @staticmethod
    def _fill(row: Words, start: int, stop: int) -> None:
        """Set the bits [start, stop)."""
        first, last = start // _WORD, (stop - 1) // _WORD
        head = np.uint64((0xFFFFFFFFFFFFFFFF << (start % _WORD)) & 0xFFFFFFFFFFFFFFFF)
        tail = np.uint64(0xFFFFFFFFFFFFFFFF >> (_WORD - 1 - (stop - 1) % _WORD))
        if first == last:
            row[first] |= head & tail
            return
        row[first] |= head
        row[first + 1 : last] = np.uint64(0xFFFFFFFFFFFFFFFF)
        row[last] |= tail

    def ancestors(self, i: int) -> Flags:
        """The commits that i contains, including itself; none for the good end (a negative index)."""
        row = np.zeros(-(-self._size // _WORD), dtype=np.uint64)
        if i >= 0:
            self._add_ancestors(i, row)
        bits = np.unpackbits(row.view(np.uint8), bitorder="little", count=self._size)
        flags: Flags = bits[self._place].astype(bool)
        return flags

    def count(self, members: Flags) -> NDArray[np.int64]:
        """For every commit, the number of `members` that it contains."""
        row = np.zeros(-(-self._size // _WORD) * _WORD, dtype=np.uint8)
        row[: self._size] = members[self._order]
        mask = np.packbits(row, bitorder="little").view(np.uint64)
        sums = np.zeros(len(self._bits), dtype=np.int64)
        step = max(1, _AT_ONCE // max(1, len(mask)))
        for at in range(0, len(sums), step):
            sums[at : at + step] = np.bitwise_count(self._bits[at : at + step] & mask).sum(axis=1)
        return self._along_strands(row[: self._size].astype(np.int64), sums)

    def _along_strands(self, own: NDArray[np.int64], sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """The totals of all commits, from their own values (in strand order) and the totals of merges."""
        running = np.cumsum(own)
        before = running - own
        # The totals below the foot of each strand. Plain lists, because one strand's total needs another's.
        base = [0] * len(self._foot)
        at_start, at_end = before[self._start].tolist(), running.tolist()
        place = self._place_of_below
        for strand, foot in enumerate(self._foot):
            row = self._row.get(foot)
            if row is not None:
                base[strand] = int(sums[row] - own[self._start[strand]])
            elif self._below[strand] >= 0:
                lower = self._strand_of[self._below[strand]]
                base[strand] = base[lower] + at_end[place[strand]] - at_start[lower]
        totals = running - before[self._start[self._strand]] + np.array(base, dtype=np.int64)[self._strand]
        result: NDArray[np.int64] = totals[self._place]
        return result
