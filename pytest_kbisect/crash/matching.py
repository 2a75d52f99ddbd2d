"""Is this crash the one that is looked for?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pytest_kbisect.crash.frames import is_generic
from pytest_kbisect.crash.guilty import guilty_file
from pytest_kbisect.crash.kinds import kind_of
from pytest_kbisect.crash.naming import CUT, frame_of_title
from pytest_kbisect.crash.pattern import Pattern

if TYPE_CHECKING:
    from pytest_kbisect.crash.report import CrashReport

Kind = Literal["match", "related", "unrelated"]

_NEAR: Final = 4
"""How many telling functions of a trace the key frame may move by: inlining moves it by one or two."""

# Functions are renamed more often than replaced; these endings come and go between kernels.
_DRIFT: Final = Pattern(
    r"^_+|(?:_checked|_saturate|_warn_saturate|_noprof|_nested|_locked|_unlocked|_common|_slow(?:path)?|_fast(?:path)?"
    r"|_internal|_inner|_one|_core|_nolock)+$|_(?=_)"
)
_NUMBERS: Final = Pattern(r"\d+|\b(?:ADDR|NUM)\b")

_CLASSES: Final = (
    ("memory access", Pattern(r"K(?:ASAN|FENCE|MSAN)|MEMORY_SAFETY|NULL-POINTER|REFCOUNT")),
    ("race", Pattern(r"KCSAN")),
    ("locking", Pattern(r"LOCKDEP|ATOMIC_SLEEP")),
    ("hang", Pattern(r"HANG|NO_OUTPUT")),
    ("leak", Pattern(r"LEAK")),
    ("check", Pattern(r"WARNING|BUG|UBSAN")),
    ("machine", Pattern(r"LOST_CONNECTION|SYZ_FAILURE|REBOOT")),
)
_FAULT_TITLE: Final = Pattern(
    r"general protection fault|Unhandled fault|stack segment|BUG: unable to handle|bad-access"
)


class Match(NamedTuple):
    """How a crash relates to the one looked for, and why, in words for a person."""

    kind: Kind
    reason: str


def same_bug(report: CrashReport, reference: CrashReport) -> Match:
    """Whether `report` is the crash of `reference`, of which only the title need be known.

    "match": both have a title or an alternative title in common. "related": they may well be one bug
    seen by two kernels: a title that drifted, a key frame moved by inlining, a report cut short. "unrelated": somebody
    else's crash, which speaks neither for good nor for bad.
    """
    if _is_cut(report) or _is_cut(reference):
        return _compare_cut(report, reference)
    if report.title == reference.title:
        return Match("match", f"same title: {report.title}")
    shared = sorted(_titles(report) & _titles(reference))
    if shared:
        return Match("match", f'"{report.title}" and "{reference.title}" are both "{shared[0]}"')
    if _NUMBERS.sub("N", report.title) == _NUMBERS.sub("N", reference.title):
        return Match("related", f'"{report.title}" differs from "{reference.title}" in numbers only')
    return _compare_frames(report, reference)


# What a title stands for: which of two accesses comes first, or which detector, is chance.
_STANDS_FOR: Final = (
    (
        Pattern(
            r"(?:K(?:ASAN|FENCE|MSAN): .{1,60} (?:Read|Write|read|write)|KMSAN: uninit-value|general protection fault"
            r"|Unhandled fault|Internal error|BUG: unable to handle kernel .{1,60}) in (?P<frame>\S+)$"
        ),
        "bad-access",
    ),
    (Pattern(r"(?:INFO: rcu detected stall|BUG: (?:soft|hard) lockup) in (?P<frame>\S+)$"), "stall"),
    (Pattern(r"INFO: task (?:hung|can't die) in (?P<frame>\S+)$"), "hang"),
    (Pattern(r"(?:KASAN: invalid-free|KFENCE: invalid free) in (?P<frame>\S+)$"), "invalid-free"),
)


def _titles(report: CrashReport) -> set[str]:
    titles = {report.title, *report.alt_titles}
    for pattern, word in _STANDS_FOR:
        found = pattern.match(report.title)
        if found is not None:
            titles.add(f"{word} in {found['frame']}")
    return titles


def _compare_frames(report: CrashReport, reference: CrashReport) -> Match:
    ours, theirs = _frame(report), _frame(reference)
    our_class, their_class = crash_class(report), crash_class(reference)
    alike = our_class == their_class
    if ours and theirs and _root(ours) == _root(theirs):
        how = f"both in {ours}" if ours == theirs else f"{ours} is {theirs} by another name"
        return Match("related", f"{how}; {_both(our_class, their_class)}")
    if alike:
        if theirs and _root(theirs) in map(_root, _near_functions(report)):
            return Match(
                "related",
                f"{theirs} is near the top of the trace of {ours or report.title}; both {our_class}",
            )
        if ours and _root(ours) in map(_root, _near_functions(reference)):
            return Match(
                "related",
                f"{ours} is near the top of the trace of {theirs or reference.title}; both {our_class}",
            )
        our_file, their_file = guilty_file(report.report), guilty_file(reference.report)
        if our_file and our_file == their_file:
            return Match("related", f"both blamed on {our_file}; both {our_class}")
        return Match("unrelated", f'"{report.title}" has no function in common with "{reference.title}"')
    return Match(
        "unrelated",
        f'"{report.title}" ({our_class or "of no known class"}) is another kind of fault than "{reference.title}"'
        f" ({their_class or 'of no known class'}), in another function",
    )


def _compare_cut(report: CrashReport, reference: CrashReport) -> Match:
    """A report without its key frame can be anything of its class, and nothing outside it."""
    if _headline(report.title) == _headline(reference.title):
        return Match(
            "related", f'"{_headline(report.title)}" in both, but a report was cut before its key frame'
        )
    if crash_class(report) and crash_class(report) == crash_class(reference):
        return Match("related", f"both {crash_class(report)}, but a report was cut before its key frame")
    return Match("unrelated", f'"{report.title}" is another kind of fault than "{reference.title}"')


def crash_class(report: CrashReport) -> str:
    """The class of fault, in which one bug tends to stay: "" if none is known."""
    if _FAULT_TITLE.search(report.title):
        return "memory access"
    kind = report.type or kind_of(report.title)
    for name, pattern in _CLASSES:
        if pattern.match(kind):
            return name
    return ""


def _both(ours: str, theirs: str) -> str:
    if ours == theirs:
        return f"both {ours}" if ours else "both of no known class"
    return f"{ours or 'no known class'} here, {theirs or 'no known class'} there"


def _is_cut(report: CrashReport) -> bool:
    return _frame(report) == CUT or report.title.endswith(f" {CUT}")


def _frame(report: CrashReport) -> str:
    return report.frame or frame_of_title(report.title)


def _headline(title: str) -> str:
    return title.partition(" in ")[0]


def _root(function: str) -> str:
    return _DRIFT.sub("", function) or function


def _near_functions(report: CrashReport) -> list[str]:
    """The telling functions at the top of the report's first trace that has any."""
    for trace in report.frames:
        telling = [name for name in trace if not is_generic(name)]
        if telling:
            return telling[:_NEAR]
    return []
