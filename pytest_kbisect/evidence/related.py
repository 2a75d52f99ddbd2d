"""Whether a crash is the bug's, by its trace as well: what titles alone cannot tell.

A title drifts over history: a helper is inlined, another detector comes first, a function gets another name.
Where the titles say no more than that two crashes may be one bug, or not even that, the reports are compared.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_kbisect.crash import CrashReport, parse_console, same_bug
from pytest_kbisect.crash.cleaning import clean_title
from pytest_kbisect.crash.matching import oops_line
from pytest_kbisect.evidence.reference import Match, has_trace, match_names, names_a_place

if TYPE_CHECKING:
    from pytest_kbisect.evidence.outcome import Report, Run
    from pytest_kbisect.evidence.reference import Reference


def match_crashes(run: Report | Run, reference: Reference) -> Match:
    """The matcher of real bisections: `match_names`, and where that is not sure, `crash.same_bug`.

    Traces can only bring a crash nearer to the bug: `match_names` was measured on bisections of which
    nothing but the titles is known, and knows kinships that no trace shows.
    """
    named = match_names(run, reference)
    if named is Match.MATCH or not has_trace(run) or not names_a_place(run.title):
        return named
    if run.title in reference.others:
        return named
    best = named
    for kind, _ in _compared(run, reference):
        if kind is Match.MATCH:
            return Match.MATCH
        if kind is Match.RELATED:
            best = Match.RELATED
    return best


def why_related(run: Report | Run, reference: Reference) -> str:
    """What a crash not surely the bug's has in common with it, in words; "" if only the titles say so."""
    return next((why for kind, why in _compared(run, reference) if kind is not Match.UNRELATED), "")


def _compared(run: Report | Run, reference: Reference) -> list[tuple[Match, str]]:
    """The crash beside each of the crashes the bug is known by.

    Of one that a reproducer expects and no run has shown, the title alone is known.
    """
    if not has_trace(run):
        return []
    report = _report(run.title, run.alt_titles, run.type, run.frame, run.report)
    found = []
    shown = [known for known in reference.examples if known.title in reference.main and has_trace(known)]
    for known in shown:
        other = _report(known.title, known.alt_titles, known.type, known.frame, known.report)
        kind, why = same_bug(report, other)
        found.append((Match(kind), why))
    for title in sorted(reference.main - {known.title for known in shown}):
        kind, why = same_bug(report, CrashReport(title))
        # A crash that others name by its whole first line, and the reproducer with them.
        found.append((Match.MATCH if oops_line(report) == clean_title(title) else Match(kind), why))
    return found


@lru_cache(maxsize=256)
def _report(title: str, alt_titles: tuple[str, ...], kind: str, frame: str, text: str) -> CrashReport:
    """A run's crash as read from the console; its text alone is read again for its traces' functions."""
    read = next((one for one in parse_console(text.encode()) if one.title == title), None)
    frames = read.frames if read is not None else ()
    return CrashReport(title, alt_titles, kind, frame, frames=frames, report=text)
