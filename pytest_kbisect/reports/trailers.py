"""The lines that kernel people expect of a report: `Fixes:` and regzbot's.

Documentation/process/submitting-patches.rst and Documentation/admin-guide/reporting-regressions.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.reports.consoles import plain
from pytest_kbisect.reports.words import short

if TYPE_CHECKING:
    from pytest_kbisect.reports.story import Story


def fixes(story: Story) -> str:
    """`Fixes: 54a4f0239f2e ("KVM: MMU: ...")`, for the patch that will mend it; empty where no culprit is known."""
    if story.fix or not story.result.culprit:
        return ""
    return f'Fixes: {short(story.result.culprit)} ("{one_line(story.result.title)}")'


def regzbot(story: Story) -> str:
    """What tells the regression tracker where it began; empty where no culprit is known."""
    if story.fix or not story.result.culprit:
        return ""
    return f"#regzbot introduced: {story.result.culprit}"


def one_line(text: str) -> str:
    """Text without line breaks and control characters, whatever a commit's author wrote."""
    return " ".join(plain(text).split())
