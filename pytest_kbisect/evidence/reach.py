"""Whether one run came to the code the bug is in: one that did not could not have shown it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.kinds import kind_of
from pytest_kbisect.evidence.outcome import Outcome
from pytest_kbisect.evidence.reference import function_of
from pytest_kbisect.symptoms.subtest import NAME as SUBTEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.evidence.outcome import Run
    from pytest_kbisect.evidence.reference import Reference


class Reach(StrEnum):
    """How far a run came."""

    REACHED = "reached"
    """To the bug's code, or to where that would be: this kernel's source does not have it."""
    SILENT = "silent"
    UNKNOWN = "unknown"
    """Nobody watched, or the compiler has left no function to watch."""


_ENDS_LOCKDEP: Final = ("LOCKDEP", "KASAN", "BUG", "DoS", "NULL-POINTER", "MEMORY_SAFETY_BUG")
"""Types of reports after which lockdep is off (debug_locks_off(), and add_taint(LOCKDEP_NOW_UNRELIABLE))."""
_ONE_SHOT: Final = {
    "LOCKDEP": _ENDS_LOCKDEP,
    "REFCOUNT": ("REFCOUNT",),  # a WARN_ONCE() in lib/refcount.c for all who call it
}
"""By the type of a report, the types of those after which a kernel does not make it any more.

KASAN is not one of them: guests boot with kasan_multi_shot.
"""
_STATEMENTS: Final = ("WARNING", "UBSAN", "MEMORY_SAFETY_UBSAN")
"""Types of reports that one statement makes whenever its condition holds; the kernel goes on after them."""


def reach_of(run: Run, path: Sequence[str]) -> Reach:
    """How far a run came on the `path` to the bug's code, of which the first is the innermost function.

    Where that was inlined, its caller stands for it. Where the source does not have it, the bug cannot be
    there: a run need not come anywhere then.
    """
    if path and path[0] in run.absent:
        return Reach.REACHED
    for function in path:
        if function in run.reached:
            return Reach.REACHED
        if function in run.unreached:
            return Reach.SILENT
    return Reach.UNKNOWN


def went_past_other_bugs(run: Run, reference: Reference) -> bool:
    """Whether a run that showed only other bugs also proves that the kernel does not have this one.

    The run went on to its end and reached the code of the bug, and no earlier report had silenced this one's.
    """
    if not run.whole or reach_of(run, reference.path) is not Reach.REACHED:
        return False
    shown = [report.type for report in run.shown]
    return not any(
        kind_of(title).startswith(kind) and any(type_.startswith(enders) for type_ in shown)
        for title in reference.titles
        for kind, enders in _ONE_SHOT.items()
    )


def went_past_statement(run: Run, reference: Reference) -> bool:
    """Whether a run shows that its reports, however similar, are not the bug's.

    The bug is known by one statement, such as a WARN_ON(), in a function that the run executed itself; the
    statement reports whenever its condition holds, and did not.
    """
    own = {name.strip("_") for name in reference.path[:1] if name in run.reached}
    return (
        any(function_of(title) in own for title in reference.main)
        and all(kind_of(title) in _STATEMENTS for title in reference.titles)
        and all(report.type in _STATEMENTS for report in run.shown)
        and went_past_other_bugs(run, reference)
    )


def is_cleared(run: Run, reference: Reference) -> bool:
    """Whether a run shows that the bug is not there, whatever else it shows: the bug's own subtest is ok."""
    return not reference.main.isdisjoint(run.cleared)


def is_not_heard(run: Run, reference: Reference) -> bool:
    """Whether a run that ended well says what it was good for, and the bug is none of that.

    The bug's own subtest is not among those that ran: it may not have been written yet.
    """
    known = [report for report in reference.examples if report.title in reference.main]
    if run.outcome is not Outcome.OK or not run.cleared or not known:
        return False
    names = {title for report in known for title in (report.title, *report.alt_titles)}
    return all(report.symptom == SUBTEST for report in known) and names.isdisjoint(run.cleared)
