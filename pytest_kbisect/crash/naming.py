"""Derives the title, the alternative titles and the key frame of a report from its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_kbisect.crash.cleaning import clean_title
from pytest_kbisect.crash.formats.format import Stack
from pytest_kbisect.crash.frames import is_generic, plain_names
from pytest_kbisect.crash.pattern import Pattern
from pytest_kbisect.crash.stack import follow, trace_fault

if TYPE_CHECKING:
    import re
    from collections.abc import Sequence

    from pytest_kbisect.crash.formats.format import CrashFormat
    from pytest_kbisect.crash.formats.headers import Header

CUT: Final = "corrupted"
"""Replaces the key frame in a title if no key frame was found."""

_LINES_READ: Final = 600
"""The title is derived from this many lines of a report. A kernel stack trace has at most 64 lines."""

# The last "in", because some titles contain another ("using x() in preemptible code in y").
_FRAME_IN_TITLE: Final = Pattern(r".* in (?P<frame>[\w:]+|<[^>\n]{1,100}>(?:::[\w:]+)?)")
_STAMP_IN_TITLE: Final = Pattern(r"\[ *\d{1,9}\.\d{6}\]")
_STAMPED_TITLE: Final = "timestamp in report title"


class Name(NamedTuple):
    """The names of a crash. `reason` states why the report is cut short; "" if it is not."""

    title: str
    alternatives: tuple[str, ...]
    frame: str
    reason: str


def name_crash(lines: Sequence[str], title_lines: int, header: Header) -> Name:
    """Name a crash by the lines of its report; the first is the oops line.

    Only the first `title_lines` are used for the title: later lines may belong to another crash.
    """
    text = lines[: min(title_lines, _LINES_READ)]
    found = _find_format(text, header)
    if found is None:
        signed = any(entry.sign.search(lines[0]) for entry in header.formats)
        # Text before the word comes from another program or task.
        title = clean_title(lines[0][max(0, lines[0].find(header.word)) :])
        reason = "matched title but not report regexp" if signed else trace_fault(lines)
        if _STAMP_IN_TITLE.search(lines[0]):
            reason = _STAMPED_TITLE
        return Name(title, (), frame_of_title(title), reason)
    entry, at, groups = found
    reason = ""
    frames: tuple[str, ...] = ("",)
    if entry.steps:
        frames, trusted = _key_frame(text[at:], entry)
        if frames == (CUT,) or not trusted:
            reason = "extracted no frames"
    if entry.origin_steps:
        functions, _ = follow(text[at:], entry.origin_steps)
        groups["origin"] = _choose(functions, entry)[0]
    titles = _all_titles(entry, groups, frames)
    title = titles[0]
    if not reason:
        if entry.cut_short:
            reason = "report format is marked as corrupted"
        elif _STAMP_IN_TITLE.search(entry.title.format_map({**groups, "frame": ""})):
            reason = _STAMPED_TITLE
        elif not entry.traceless:
            reason = trace_fault(lines)
    return Name(title, tuple(sorted({*titles[1:]} - {title})), frame_of_title(title), reason)


def _find_format(text: Sequence[str], header: Header) -> tuple[CrashFormat, int, dict[str, str]] | None:
    """The format whose sign comes first and whose details follow; the sign's line; the named groups."""
    for at, line in enumerate(text):
        signs: list[tuple[int, CrashFormat, re.Match[str]]] = []
        for entry in header.formats:
            sign = entry.sign.search(line)
            if sign is not None:
                signs.append((sign.start(), entry, sign))
        signs.sort(key=lambda candidate: candidate[0])
        for _, entry, sign in signs:
            details = _read_details(entry, text, at)
            if details is not None:
                groups = {key: value or "" for key, value in sign.groupdict().items()}
                return entry, at, groups | details
        if at > 60:
            break
    return None


def _read_details(entry: CrashFormat, text: Sequence[str], at: int) -> dict[str, str] | None:
    groups: dict[str, str] = {}
    at += 1
    for detail in entry.details:
        while at < len(text):
            match = detail.search(text[at])
            at += 1
            if match is not None:
                groups |= {key: value or "" for key, value in match.groupdict().items()}
                break
        else:
            return None
    return groups


def _key_frame(lines: Sequence[str], entry: CrashFormat) -> tuple[tuple[str, ...], bool]:
    """The names of the key frame (the one for the title first), and whether the trace can be trusted."""
    functions, trusted = follow(lines, entry.steps)
    frames = _choose(functions[:trusted], entry)
    for way in entry.fallbacks:
        if frames != (CUT,):
            return frames, True
        complete = trusted == len(functions)
        functions, trusted = follow(lines, way)
        frames = _choose(functions[:trusted], entry)
        if frames == (CUT,) and isinstance(way[0], Stack):
            return _choose(functions, entry), False
        if not complete:
            return (CUT,), False
    return frames, True


def _choose(functions: Sequence[str], entry: CrashFormat) -> tuple[str, ...]:
    own = Pattern("|".join(entry.skip)) if entry.skip else None
    telling = [
        name for name in functions if not is_generic(name) and not (own is not None and own.search(name))
    ]
    if entry.choose is not None:
        name, raw = entry.choose(telling)
        if not name:
            return (CUT,)
        if name != raw:
            return (name, raw)
        return plain_names(raw)
    if not telling:
        return (CUT,)
    return plain_names(telling[0])


def _all_titles(entry: CrashFormat, groups: dict[str, str], frames: tuple[str, ...]) -> list[str]:
    return [
        clean_title(form.format_map({**groups, "frame": frame}))
        for frame in frames
        for form in (entry.title, *entry.alternatives)
    ]


def frame_of_title(title: str) -> str:
    """The key frame that a title names, or ""."""
    found = _FRAME_IN_TITLE.search(title)
    return found["frame"] if found is not None else ""
