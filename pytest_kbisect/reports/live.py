"""The status line of the terminal: the facts about the steps in progress, and the line."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_kbisect.evidence.outcome import Outcome
from pytest_kbisect.reports.text import one_line
from pytest_kbisect.reports.words import halvings, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_STEPS = re.compile(r",? \d+ steps$")
"""Progress of a build whose total is unknown; the count means nothing to a reader."""
_RECENT = 5
"""Steps whose mean predicts the next ones. The first build is a full one and would mislead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A step in progress, and the state of the search.

    `host` is where the session runs, if not on this machine. `done` of `runs` tests have ended; `crash` is
    the title of the latest crash, or of what else was `bad`. `left` is the number of candidates, `likely` are
    (hash, probability), most likely first. `spent` is the time before this step in seconds, `remaining` the
    expected time after it, or None if it is unknown.
    """

    commit: str
    title: str = ""
    host: str = ""
    stage: str = ""
    percent: int | None = None
    done: int = 0
    runs: int = 0
    crash: str = ""
    bad: str = "crashed"
    left: int | None = None
    likely: tuple[tuple[str, float], ...] = ()
    builds: int = 0
    spent: float = 0.0
    remaining: float | None = None


def remaining(left: int | None, steps: Sequence[float]) -> float | None:
    """Expected seconds until the answer, from the seconds of the latest `steps`; None if it is unknown.

    Assumes that each step halves the candidates, and one more step to confirm.
    """
    if not left or not steps:
        return None
    recent = steps[-_RECENT:]
    return (halvings(left) + 1) * sum(recent) / len(recent)


def heard(status: Status, event: Mapping[str, Any]) -> Status:
    """The status after an event of the session (see events.Events); unknown events are ignored."""
    if "stage" in event:
        percent = event.get("percent")
        stage = _STEPS.sub("", one_line(str(event["stage"])))
        return replace(status, stage=stage, percent=None if percent is None else int(percent))
    if "host" in event:
        return replace(status, host=one_line(str(event["host"])))
    if "outcome" in event:
        bad = event["outcome"] in {Outcome.CRASHED, Outcome.FAILED}
        crash = one_line(str(event.get("title") or "")) if bad else status.crash
        word = "crashed" if event["outcome"] == Outcome.CRASHED else "bad"
        return replace(status, stage="run", percent=None, done=status.done + 1, crash=crash, bad=word)
    return status


def event_line(before: Status, now: Status) -> str:
    """The change between two statuses as a line; empty if only a percentage changed."""
    name = short(now.commit)
    if now.done != before.done:
        crashed = now.crash if now.crash != before.crash else ""
        return f"{name}: run {now.done} of {now.runs}" + (f", {now.bad}: {crashed}" if crashed else "")
    if now.host != before.host:
        return f"{name}: on {now.host}"
    return f"{name}: {now.stage}" if now.stage != before.stage else ""


def render(steps: Sequence[Status], width: int, *, elapsed: float = 0.0) -> str:
    """The steps in progress, newest last, in at most `width` columns; less important parts are dropped first.

    `elapsed` is the time of the newest step so far, in seconds.
    """
    newest = steps[-1]
    time = clock(newest.spent + elapsed)
    if newest.remaining is not None:
        time += f" of ~{clock(newest.spent + max(newest.remaining, elapsed))}"
    sha, probability = newest.likely[0] if newest.likely else ("", 0.0)
    # In the order of the line, each with its rank: higher ones are dropped first.
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
    host = f" on {status.host}" if status.host else ""
    return short(status.commit) + host + stage + ("" if status.percent is None else f" {status.percent}%")


def _runs(status: Status) -> str:
    return f"{status.done}/{status.runs}" if status.runs and (status.done or status.stage == "run") else ""


def clock(seconds: float) -> str:
    """4:05, 1:02:03."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def columns(text: str) -> int:
    """Width of a text in terminal columns."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def cut(text: str, width: int) -> str:
    """The text, cut to `width` columns."""
    if columns(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += _columns(character)
        if used > width:
            break
        kept += character
    return kept + "~" if width > 0 else ""
