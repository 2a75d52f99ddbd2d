"""The status of the steps in progress, for the terminal: the facts, and the line made of them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_kbisect.reports.text import one_line
from pytest_kbisect.reports.words import halvings, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STEPS = re.compile(r",? \d+ steps$")
"""Progress of a build that cannot tell how much is left; the count means nothing to a reader."""
_RECENT = 5
"""Steps whose mean says what the next ones take: the first build from nothing tells nothing of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The step that is being made, and what is known besides.

    `done` of `runs` tests have ended, `crash` is the title of the latest crash. `left` candidates
    remain, `likely` are (hash, probability), most likely first. `spent` are the seconds before this
    step, `remaining` those expected after it; None where nothing is known yet.
    """

    commit: str
    title: str = ""
    stage: str = ""
    percent: int | None = None
    done: int = 0
    runs: int = 0
    crash: str = ""
    left: int | None = None
    likely: tuple[tuple[str, float], ...] = ()
    builds: int = 0
    spent: float = 0.0
    remaining: float | None = None


def remaining(left: int | None, steps: Sequence[float]) -> float | None:
    """Seconds until the answer, from what the latest `steps` took (seconds each); None where none is known.

    Halving the candidates, and one step more to confirm.
    """
    if not left or not steps:
        return None
    recent = steps[-_RECENT:]
    return (halvings(left) + 1) * sum(recent) / len(recent)


def heard(status: Status, event: Mapping[str, Any]) -> Status:
    """The status after an event of the session (see events.Events); what is not known is ignored."""
    if "stage" in event:
        percent = event.get("percent")
        stage = _STEPS.sub("", one_line(str(event["stage"])))
        return replace(status, stage=stage, percent=None if percent is None else int(percent))
    if "outcome" in event:
        crash = one_line(str(event.get("title") or "")) if event["outcome"] == "crashed" else status.crash
        return replace(status, stage="run", percent=None, done=status.done + 1, crash=crash)
    return status


def event_line(before: Status, now: Status) -> str:
    """What happened between two statuses, as a line of its own; empty where only a percentage grew."""
    name = short(now.commit)
    if now.done != before.done:
        crashed = now.crash if now.crash != before.crash else ""
        return f"{name}: run {now.done} of {now.runs}" + (f", crashed: {crashed}" if crashed else "")
    return f"{name}: {now.stage}" if now.stage != before.stage else ""


def render(steps: Sequence[Status], width: int, *, elapsed: float = 0.0) -> str:
    """The steps being made, newest last, in at most `width` columns; what matters least is left out first.

    `elapsed` are the seconds of the newest so far.
    """
    newest = steps[-1]
    time = clock(newest.spent + elapsed)
    if newest.remaining is not None:
        time += f" of ~{clock(newest.spent + max(newest.remaining, elapsed))}"
    sha, probability = newest.likely[0] if newest.likely else ("", 0.0)
    # In the order of the line, each with how early it is left out.
    parts = [(0, _step(newest)), (1, _runs(newest)), (6, newest.crash)]
    parts += [(4, " ".join(filter(None, (_step(step), _runs(step))))) for step in steps[:-1]]
    parts += [
        (2, f"{newest.left} left" if newest.left is not None else ""),
        (7, f"likely {short(sha)} {probability:.0%}" if sha else ""),
        (5, f"{newest.builds} built" if newest.builds else ""),
        (3, time),
    ]
    kept = [part for part in parts if part[1]]
    while len(kept) > 1 and columns(" | ".join(text for _, text in kept)) > width:
        kept.remove(max(kept))
    return cut(" | ".join(text for _, text in kept), width)


def _step(status: Status) -> str:
    stage = f" {status.stage}" if status.stage else ""
    return short(status.commit) + stage + ("" if status.percent is None else f" {status.percent}%")


def _runs(status: Status) -> str:
    return f"{status.done}/{status.runs}" if status.runs and (status.done or status.stage == "run") else ""


def clock(seconds: float) -> str:
    """4:05, 1:02:03."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def columns(text: str) -> int:
    """Columns that a terminal needs for it."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def cut(text: str, width: int) -> str:
    """As much of it as fits."""
    if columns(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += _columns(character)
        if used > width:
            break
        kept += character
    return kept + "~" if width > 0 else ""
