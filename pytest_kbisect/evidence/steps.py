"""Where a metric changes along a range: in which steps, between which tested commits, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from pytest_kbisect.evidence import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEAST: Final = 0.15
"""A smaller part of the difference between the ends is no step."""


@dataclass(frozen=True, slots=True)
class Point:
    """A tested kernel: its commit's index, and the values of its runs, at least one."""

    index: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A change between two tested commits, of which the second contains the first, or is next to it.

    `before` and `after` are the medians of all kernels up to it and from it on, as far as these are alike.
    """

    low: int
    high: int
    before: float
    after: float

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(slots=True)
class _Group:
    """Neighbouring points that are alike."""

    points: list[Point] = field(default_factory=list)

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(value for point in self.points for value in point.values)


def chain(points: Sequence[Point], contains: Callable[[int, int], bool]) -> list[Point]:
    """The most points of which each contains the one before it; `contains(newer, older)` says so."""
    ordered = sorted(points, key=lambda point: point.index)
    best: list[list[Point]] = []
    for point in ordered:
        before = [line for line in best if contains(point.index, line[-1].index)]
        best.append([*max(before, key=len, default=[]), point])
    return max(best, key=len, default=[])


def steps(points: Sequence[Point]) -> tuple[Step, ...]:
    """The steps along points in order, of which the first and the last are the ends.

    Neighbours are joined, the most similar ones first, until all can be told apart.
    """
    if len(points) < 2:
        return ()
    whole = abs(median(points[-1].values) - median(points[0].values))
    groups = [_Group([point]) for point in points]
    while len(groups) > 1:
        apart = [_apart(one, other, whole) for one, other in pairwise(groups)]
        at = min(range(len(apart)), key=lambda n: apart[n])
        if apart[at][0]:
            break
        groups[at : at + 2] = [_Group([*groups[at].points, *groups[at + 1].points])]
    return tuple(
        Step(one.points[-1].index, other.points[0].index, median(one.values), median(other.values))
        for one, other in pairwise(groups)
    )


def _apart(one: _Group, other: _Group, whole: float) -> tuple[bool, float]:
    """Whether two groups differ, and by how much."""
    found = measured.difference(other.values, one.values)
    size = abs(found.shift)
    return found.sure and size >= LEAST * whole, size
