"""Sentences that several reports have: `Fixes:`, regzbot's line, what became of the revert.

Documentation/process/submitting-patches.rst and Documentation/admin-guide/reporting-regressions.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.reports.text import one_line
from pytest_kbisect.reports.words import count, short

if TYPE_CHECKING:
    from pytest_kbisect.reports.report_model import ReportModel


def fixes(story: ReportModel) -> str:
    """`Fixes: 54a4f0239f2e ("KVM: MMU: ...")`, for the patch that will fix it; empty without a culprit."""
    if story.fix or not story.result.culprit:
        return ""
    return f'Fixes: {short(story.result.culprit)} ("{one_line(story.result.title)}")'


def regzbot(story: ReportModel) -> str:
    """What tells the regression tracker where it began; empty where no culprit is known."""
    if story.fix or not story.result.culprit:
        return ""
    return f"#regzbot introduced: {story.result.culprit}"


def without(story: ReportModel) -> str:
    """What the end of the range does with the commit reverted; empty where nobody knows."""
    seen = story.confirmation
    if seen.revert not in {"passed", "crashed"}:
        return (
            f"The end of the range without the commit was not tested: {one_line(seen.why)}."
            if seen.why
            else ""
        )
    gone = (seen.revert == "passed") != story.fix
    words = story.result.words
    became = "gone" if gone else "back" if story.fix else "still there"
    what = f"the {words.noun} is {became}"
    runs = (
        f"{seen.revert_runs[0]} of {count(seen.revert_runs[1], 'run')} {words.had}: "
        if seen.revert_runs
        else ""
    )
    return f"With the commit reverted on top of {short(story.result.range[1])}, {runs}{what}."
