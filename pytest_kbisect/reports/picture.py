"""The history as a picture: the range as a strip, once for each step, with what was believed after it.

Geometry only, in per cent of the strip's width, so that it fits a telephone as well as a wall. Where
little of a strip is left, the following ones show that little, larger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_kbisect.reports.report_model import GOOD_END, State
from pytest_kbisect.reports.words import count, percent, short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kbisect.reports.report_model import Belief, ReportModel, Step

_MARGIN = 1.5
"""Per cent of the width on either side, so that marks at the ends are whole."""
_FAINT = 0.01
"""A slice with less than this part of the likeliest one's probability is not drawn."""
_NOTEWORTHY = 0.05
"""A likeliest commit with less probability is likeliest by chance."""
_LITTLE = 0.06
"""The part of a strip that is better shown larger."""
_SMALLEST = 24
"""Commits of a strip that is not enlarged any more."""


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of the range that a strip shows, by positions; `low` may be the good end's."""

    low: int
    high: int

    @property
    def size(self) -> int:
        return self.high - self.low

    def __contains__(self, position: int) -> bool:
        return self.low <= position <= self.high

    def x(self, position: float) -> float:
        """Per cent of the strip's width."""
        return _MARGIN + (100 - 2 * _MARGIN) * (position - self.low) / max(self.size, 1)


@dataclass(frozen=True, slots=True)
class Mark:
    """A tested commit on the strip; `now` is the one of this step."""

    x: float
    state: State
    now: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """Where the answer may be: a piece of the strip, `height` of 1 for the likeliest."""

    x: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Row:
    """One step: `words` say what the picture shows, `left` how many candidates remain.

    `reason` is empty where git's count of revisions was all there was to say; `scale` says what the
    strip shows where it is not what the one before showed.
    """

    step: Step
    state: State
    words: str
    left: str = ""
    likeliest: str = ""
    reason: str = ""
    scale: str = ""
    marks: tuple[Mark, ...] = ()
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Commits from `low` (not included) to `high`, and the probability that each of them has."""

    low: int
    high: int
    each: float


def rows(story: ReportModel) -> tuple[Row, ...]:
    """The steps in order; without bars and marks where positions were not kept."""
    size = story.commits or 0
    whole = window = Window(GOOD_END, size - 1)
    alive = whole
    seen: dict[int, State] = {}
    drawn = []
    for step in story.steps:
        state = step.state or story.by_commit[step.commit].state  # a known kernel shows what it showed before
        at = _position(story, step) if size else None
        if at is None:
            drawn.append(_row(story, step, state, 0))
            continue
        seen[at] = State.CRASHES if seen.get(at) is State.CRASHES else state
        before = window
        if window.size > _SMALLEST and alive.size <= _LITTLE * window.size:
            window = _around(alive, whole)
        if at not in window:
            window = whole
        pieces = _pieces(step.belief, seen, size, fix=story.fix)
        row = _row(story, step, state, sum(piece.high - piece.low for piece in pieces))
        drawn.append(
            replace(
                row,
                scale=_scale(window, whole) if window != before else "",
                marks=tuple(
                    Mark(round(window.x(there), 2), what, now=there == at)
                    for there, what in seen.items()
                    if there in window
                ),
                bars=_bars(pieces, window),
            )
        )
        if pieces:
            alive = Window(pieces[0].low, pieces[-1].high)
    return tuple(drawn)


def _position(story: ReportModel, step: Step) -> int | None:
    """Where the step's commit is in the range; what looks for the range knows of its ends alone."""
    if step.phase == "search" and step.position is not None:
        return step.position
    good, bad = story.result.range
    return {good: GOOD_END, bad: (story.commits or 0) - 1}.get(step.commit)


def _row(story: ReportModel, step: Step, state: State, left: int) -> Row:
    """A step in words."""
    candidates = step.belief.candidates if step.belief is not None else left
    parts = [f"{short(step.commit)} {story.word(state)}"]
    left_words = count(candidates, "commit") if candidates else ""
    likeliest = _likeliest(step.belief)
    parts += [f"{left_words} left"] if left_words else []
    parts += [likeliest] if likeliest else []
    reason = "" if step.reason.startswith("Bisecting: ") else step.reason
    return Row(step, state, "; ".join(parts), left_words, likeliest, reason)


def _likeliest(belief: Belief | None) -> str:
    if belief is None or not belief.top or belief.top[0][2] < _NOTEWORTHY:
        return ""
    sha, _, probability = belief.top[0]
    return f"likeliest {short(sha)}, {percent(probability)}"


def _around(alive: Window, whole: Window) -> Window:
    """What is left, with as much again on either side."""
    pad = max(alive.size, _SMALLEST // 3)
    return Window(max(whole.low, alive.low - pad), min(whole.high, alive.high + pad))


def _scale(window: Window, whole: Window) -> str:
    if window == whole:
        return "Zoomed out: the whole range"
    return f"Zoomed in: {window.size} of the {whole.size} commits"


def _pieces(belief: Belief | None, seen: Mapping[int, State], size: int, *, fix: bool) -> list[_Piece]:
    """Where the answer may be, oldest first."""
    if belief is None or not belief.spread:
        low, high = _between(seen, size, fix=fix)
        return [_Piece(low, high, 1.0)] if high > low else []
    width = belief.width or -(-size // len(belief.spread))
    pieces = []
    for i, mass in enumerate(belief.spread):
        low = belief.start + i * width - 1
        high = min(low + width, size - 1)
        if high > low:
            pieces.append(_Piece(low, high, mass / (high - low)))
    peak = max((piece.each for piece in pieces), default=0.0)
    return [piece for piece in pieces if piece.each > _FAINT * peak]


def _between(seen: Mapping[int, State], size: int, *, fix: bool) -> tuple[int, int]:
    """Positions of the newest commit of the old kind and the oldest of the new kind above it.

    Exact where the history is a line; with merges the picture is of the commits in topological order.
    """
    old, new = (State.CRASHES, State.WORKS) if fix else (State.WORKS, State.CRASHES)
    high = min((at for at, state in seen.items() if state is new), default=size - 1)
    low = max((at for at, state in seen.items() if state is old and at < high), default=GOOD_END)
    return low, high


def _bars(pieces: list[_Piece], window: Window) -> tuple[Bar, ...]:
    """A commit's bar ends where its mark is: it is what changed since the one before."""
    peak = max((piece.each for piece in pieces), default=1.0)
    bars = []
    for piece in pieces:
        low, high = max(piece.low, window.low), min(piece.high, window.high)
        if high > low:
            x = window.x(low)
            bars.append(
                Bar(round(x, 2), round(window.x(high) - x, 2), round(max(piece.each / peak, 0.06), 2))
            )
    return tuple(bars)
