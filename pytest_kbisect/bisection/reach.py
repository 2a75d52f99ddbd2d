"""Whether one run came to the code the bug is in: one that did not could not have shown it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.bisection.outcome import Run
    from pytest_kbisect.bisection.reference import Reference


class Reach(StrEnum):
    """How far a run came."""

    REACHED = "reached"
    """To the bug's code, or to where that would be: this kernel's source does not have it."""
    SILENT = "silent"
    UNKNOWN = "unknown"
    """Nobody watched, or the compiler has left no function to watch."""


_ONE_SHOT: Final = "LOCKDEP"
"""The type of reports after the first of which a kernel makes no more: lockdep turns itself off."""


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
    """Whether a run that showed other bugs only has shown, too, that the one looked for is not there.

    It went on to its end, and came to the code of the bug.
    """
    if not run.whole or reach_of(run, reference.path) is not Reach.REACHED:
        return False
    spent = any(report.type == _ONE_SHOT for report in run.shown)
    return not (spent and any(kind_of(title) == _ONE_SHOT for title in reference.titles))
