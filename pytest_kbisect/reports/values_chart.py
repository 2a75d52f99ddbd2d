"""A metric along the range as a picture: the median of each kernel against its position, with its interval.

Geometry only, as in `picture`: x in per cent of the width, y in pixels from the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kbisect.evidence.measured import number, percent
from pytest_kbisect.reports.words import count, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TOP, _BOTTOM = 12.0, 168.0
_LEFT, _RIGHT = 10.0, 98.0


@dataclass(frozen=True, slots=True)
class Spot:
    """A kernel: where its median is, and the ends of its interval; `words` say it all."""

    commit: str
    x: float
    y: float
    high: float
    low: float
    words: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A value on the vertical axis."""

    y: float
    words: str


@dataclass(frozen=True, slots=True)
class Level:
    """A stretch of the range in which the metric is the same, as a line."""

    left: float
    right: float
    y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn. `steps` are in words, in order."""

    name: str
    worse: str
    spots: tuple[Spot, ...]
    ticks: tuple[Tick, ...]
    levels: tuple[Level, ...]
    steps: tuple[str, ...]


def chart(metric: Mapping[str, Any]) -> Chart | None:
    """The chart of what a result says of a metric; None where there is nothing to draw."""
    points: Sequence[Mapping[str, Any]] = metric.get("points") or ()
    if len(points) < 2:
        return None
    positions = [int(one["position"]) for one in points]
    lowest, highest = min(float(one["low"]) for one in points), max(float(one["high"]) for one in points)
    first, last = min(positions), max(positions)

    def x(position: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (position - first) / max(last - first, 1), 2)

    def y(value: float) -> float:
        part = (value - lowest) / (highest - lowest) if highest > lowest else 0.5
        return round(_BOTTOM - (_BOTTOM - _TOP) * part, 1)

    spots = tuple(
        Spot(
            str(one["commit"]),
            x(int(one["position"])),
            y(float(one["median"])),
            y(float(one["high"])),
            y(float(one["low"])),
            f"{short(str(one['commit']))}: {number(one['median'])} ({number(one['low'])} to "
            f"{number(one['high'])}, {count(int(one['runs']), 'run')})",
        )
        for one in points
    )
    steps: Sequence[Mapping[str, Any]] = metric.get("steps") or ()
    at = {str(one["commit"]): int(one["position"]) for one in points}
    values = sorted({lowest, (lowest + highest) / 2, highest})
    return Chart(
        str(metric["name"]),
        str(metric["worse"]),
        spots,
        tuple(Tick(y(value), number(value)) for value in values),
        tuple(
            Level(x(left), x(right), y(value))
            for left, right, value in _levels(steps, at, first, last)
            if lowest <= value <= highest
        ),
        tuple(map(_words, steps)),
    )


def _levels(
    steps: Sequence[Mapping[str, Any]], at: Mapping[str, int], first: int, last: int
) -> list[tuple[int, int, float]]:
    """The stretches between the steps: first and last position, and value."""
    found, left = [], first
    for step in steps:
        found.append((left, at[str(step["low"])], float(step["before"])))
        left = at[str(step["high"])]
    if steps:
        found.append((left, last, float(steps[-1]["after"])))
    return found


def _words(step: Mapping[str, Any]) -> str:
    part = f" ({percent(step['part'])})" if step.get("part") is not None else ""
    change = f"{number(step['before'])} to {number(step['after'])}{part}"
    if step["commits"] == 1:
        return f"{change} at {short(str(step['high']))}"
    between = f"{short(str(step['low']))}..{short(str(step['high']))}"
    return f"{change} in {between}, {count(int(step['commits']), 'commit')}"
