"""What the user asked of all kernels and guests of a bisection, in words: (name, words) of each."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pytest_kbisect.reports.text import one_line
from pytest_kbisect.reports.words import count, short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_kbisect.reports.report_model import ReportModel


def conditions(story: ReportModel) -> Iterator[tuple[str, str]]:
    """Only what differs from the default; names begin a list's entry, words end it."""
    result = story.result
    if result.patches:
        names = ", ".join(one_line(PurePath(name).name) for name in result.patches)
        yield "Patches", f"{names} (applied to each commit that does not contain them)"
    if result.known:
        yield "Known verdicts", _known(result.known)
    if result.paths:
        yield "Paths", f"{one_line(' '.join(result.paths))} (their commits were searched first)"
    if result.first_parent:
        merge = f", then the commits of the merge {short(result.merge)}" if result.merge else ""
        yield "Commits", f"the first-parent line{merge}"
    if result.cmdline:
        yield "Kernel arguments", one_line(" ".join(result.cmdline))
    if result.icount:
        yield "Clock", "guests count instructions (QEMU's -icount)"
    if result.qemu:
        yield "QEMU arguments", one_line(" ".join(result.qemu))


def _known(known: Sequence[Mapping[str, Any]]) -> str:
    """How many verdicts the user gave, how far they were trusted, and which the answer contradicts."""
    wrong = [one for one in known if one.get("outvoted")]
    listed = ", ".join(
        f"{short(str(one['commit']))} {one['verdict']} ({one_line(str(one['where']))})" for one in wrong
    )
    said = f"{count(len(known), 'commit')} (each right with probability {known[0]['trust']:g})"
    return f"{said}; outvoted: {listed}" if listed else said


def sentence(story: ReportModel) -> str:
    """The same in a mail; "" where there is nothing to say."""
    parts = [
        f"{name.replace('Kernel', 'kernel').replace('Patches', 'patches').replace('Known', 'known')} {words}"
        for name, words in conditions(story)
    ]
    return f"Tested with {'; '.join(parts)}." if parts else ""
