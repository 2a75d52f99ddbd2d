"""Whether a run crashed with the bug that is looked for: crash's own judgement, for whole references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.bisection.reference import Match
from pytest_kbisect.crash import CrashReport, same_bug

if TYPE_CHECKING:
    from pytest_kbisect.bisection.outcome import Run
    from pytest_kbisect.bisection.reference import Reference

_ORDER = (Match.MATCH, Match.RELATED, Match.UNRELATED)


def match_crash(run: Run, reference: Reference) -> Match:
    """The closest relation to any of the reference's titles; an empty reference matches every crash."""
    known = reference.titles | reference.alt_titles
    if not known:
        return Match.MATCH
    report = CrashReport(
        title=run.title, alt_titles=run.alt_titles, type=run.type, frame=run.frame, report=run.report
    )
    found = (Match(same_bug(report, CrashReport(title=title)).kind) for title in sorted(known))
    return min(found, key=_ORDER.index)
