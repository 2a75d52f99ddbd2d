"""Whether another kernel of the same commit shows the same bug, as often: one of another configuration."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

from pytest_kbisect.evidence.reference import Match, function_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.evidence.outcome import Run
    from pytest_kbisect.evidence.reference import Matcher, Reference

_UNLIKELY = 0.05
"""Chance of so few crashes in so many runs, below which the rate is another one."""


def matching(runs: Iterable[Run], reference: Reference, matcher: Matcher, *, stated: bool = False) -> int:
    """How many of the runs show the bug: by a title, or by the function that a report names.

    Without a detector a bug has another title, at the same place. Where a reproducer has `stated` what to
    expect, titles alone count: the search goes by them.
    """

    def shows(run: Run) -> bool:
        return any(
            matcher(report, reference) is Match.MATCH
            or (not stated and bool(name := function_of(report.title)) and name in reference.functions)
            for report in run.shown
        )

    return sum(map(shows, runs))


def is_comparable(shown: int, runs: int, of_shown: int, of_runs: int) -> bool:
    """Whether `shown` of `runs` is a rate like `of_shown` of `of_runs`: half of it, or no unlikely sample.

    A rate that is halved doubles the runs that a good verdict takes, which a small kernel makes up for.
    """
    if not shown or not runs:
        return False
    if not of_runs:
        return True
    if shown / runs >= of_shown / of_runs / 2:
        return True
    rate = (of_shown + 0.5) / (of_runs + 1)
    chance = sum(comb(runs, k) * rate**k * (1 - rate) ** (runs - k) for k in range(shown + 1))
    return chance >= _UNLIKELY
