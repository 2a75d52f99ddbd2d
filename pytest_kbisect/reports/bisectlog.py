"""The bisection log, in syzbot's format, so that its readers and tools can read ours.

Each function returns the lines of one event. Source of the format: syzkaller's pkg/bisect as of 2021,
which wrote the logs that syzbot publishes.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from pytest_kbisect.evidence.measured import number
from pytest_kbisect.evidence.outcome import Outcome
from pytest_kbisect.reports.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_kbisect.evidence.outcome import CommitResult, Run


NOT_RUN = ("same kernel as ", "no runs")
"""In place of the runs of a commit whose kernel was not run."""
MEASURED = "measured: "
"""Before what a run has measured, which is good or bad only beside the values of other commits."""
_LEAST = 0.05
"""Shorter times, in seconds, are omitted."""


def duration(seconds: float) -> str:
    """A duration as Go prints it: 1h18m29.4s."""
    hours, rest = divmod(round(seconds, 1), 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours:.0f}h{minutes:.0f}m{rest:.1f}s"
    return f"{minutes:.0f}m{rest:.1f}s" if minutes else f"{rest:.1f}s"


def start(commit: str, *, fix: bool = False) -> list[str]:
    """The first line: the commit where the crash was reported."""
    if fix:
        return [f"bisecting fixing commit since {commit}"]
    return [f"bisecting cause commit starting from {commit}"]


def commit(result: CommitResult, *, same_as: str = "") -> list[str]:
    """A tested commit: compiler, signature, and the outcome of each run ("all runs" if they are equal)."""
    if result.absent:
        return [f"# {result.commit} is not tested: {result.absent}"]
    compiler = f" with {result.compiler}" if result.compiler else ""
    lines = [f"testing commit {result.commit}{compiler}"]
    if result.signature:
        lines.append(f"kernel signature: {result.signature}")
    if result.build_error:
        lines += [
            f"failed building {result.commit}: {line}" if i == 0 else line
            for i, line in enumerate(result.build_error.splitlines())
        ]
    elif not result.runs:
        same, none = NOT_RUN
        lines.append(f"{same}{same_as}, not run again" if same_as else none)
    else:
        lines += runs(result.runs)
    return lines


def took(tested: Iterable[CommitResult]) -> str:
    """The time of sessions by part. Guests run at the same time, so their parts may add up to more."""
    parts: Counter[str] = Counter()
    guests: Counter[str] = Counter()
    for one in tested:
        parts.update(one.seconds_by)
        for run in one.runs:
            guests.update(run.seconds_by)
    words = []
    for part, seconds in parts.items():
        inside = f" ({_list(guests)})" if part == "guests" else ""
        if seconds >= _LEAST:
            words.append(f"{part} {duration(seconds)}{inside}")
    return ", ".join(words)


def _list(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {duration(value)}" for part, value in seconds.items() if value >= _LEAST)


def runs(made: Iterable[Run]) -> list[str]:
    """`all runs: V`, or `run #i: V` for each."""
    ends = [end_of(run) for run in made]
    if len(set(ends)) == 1:
        return [f"all runs: {ends[0]}"]
    return [f"run #{i}: {end}" for i, end in enumerate(ends)]


def end_of(run: Run) -> str:
    """The outcome of a run, as the log states it."""
    if run.outcome is Outcome.OK:
        name, _, _ = run.metric.rpartition(" ")
        return "OK" if run.value is None else f"{MEASURED}{name} {number(run.value)}"
    word = {
        Outcome.CRASHED: "crashed",
        Outcome.FAILED: "bad",
        Outcome.SILENT: "no evidence",
        Outcome.BOOT_FAILED: "boot failed",
        Outcome.INFRA_FAILED: "infra problem",
        Outcome.BUILD_FAILED: "failed",
    }[run.outcome]
    return f"{word}: {one_line(run.said or run.title) or 'no title'}"


def go_list(addresses: Iterable[str]) -> str:
    """A list of strings, as Go's %q prints it."""
    return "[" + " ".join(json.dumps(address, ensure_ascii=False) for address in addresses) + "]"
