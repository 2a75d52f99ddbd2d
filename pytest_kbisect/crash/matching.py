"""Decides whether two crashes are the same bug."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pytest_kbisect.crash.cleaning import clean_title
from pytest_kbisect.crash.frames import is_generic, plain_names
from pytest_kbisect.crash.guilty import guilty_file, is_called_by_all
from pytest_kbisect.crash.known import KnownFormats, current
from pytest_kbisect.crash.naming import CUT, frame_of_title
from pytest_kbisect.crash.pattern import Pattern

if TYPE_CHECKING:
    from pytest_kbisect.crash.crash_report import CrashReport

Kind = Literal["match", "related", "unrelated"]

_NEAR: Final = 4
"""The key frame may move by this many distinctive functions of a trace. Inlining moves it by one or two."""

# Functions are renamed more often than replaced. These prefixes and suffixes come and go between kernels:
# wrappers that check, profile (6.10) or lock; halves of a function that was split (do_x does the work after x
# has checked its arguments); suffixes that the compiler adds.
_DRIFT: Final = Pattern(
    r"^(?:_|do_(?=[a-z]))+|(?:_checked|_saturate|_warn_saturate|_noprof|_nested|_locked|_unlocked|_common|_slow(?:path)?|_fast(?:path)?"
    r"|_internal|_inner|_one|_core|_nolock|_reason|_or_report|_sync|_rcu|_node|_cold|_func|_fn)+$|_(?=_)"
)
_COMPILERS: Final = Pattern(r"\.(?:part|isra|constprop|cold|llvm|lto_priv)\b.*$")
# "page" became "folio" in most names between 5.16 and 6.12; pages without a refcount are "frozen" since 6.14.
_REWORDED: Final = (
    (Pattern(r"(?<![a-z])(?:pages|folios|page)(?![a-z])"), "folio"),
    (Pattern(r"(?<![a-z])frozen_(?=folio)"), ""),
)
_NUMBERS: Final = Pattern(r"(?:\d|ADDR|NUM)+")
_SAME_WORDS: Final = 3
"""Two names of a function must share at least this many words if one has an additional word."""

# While a CPU stalls, no grace period ends and the locks that it holds are not released.
_STALLED: Final = Pattern(r"INFO: rcu detected stall|BUG: (?:soft|hard) lockup")
_BLOCKED_BY_IT: Final = Pattern(
    r"INFO: task (?:hung|can't die) in (?:synchronize_\w+|rcu_barrier|rtnl_lock)$|no output from test machine$"
)

_CYCLE: Final = Pattern(r"possible deadlock in (?!corrupted)")
# A function with an offset, as reports print addresses.
_FUNCTION: Final = Pattern(r"\b(?P<func>[A-Za-z_][\w.]{1,200})\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}")
_OOPS_LINES: Final = 80
"""The key frame and the functions above it are within this many lines of a report."""

_CLASSES: Final = (
    ("memory access", Pattern(r"K(?:ASAN|FENCE|MSAN)|MEMORY_SAFETY|NULL-POINTER|REFCOUNT")),
    ("race", Pattern(r"KCSAN")),
    ("locking", Pattern(r"LOCKDEP|ATOMIC_SLEEP")),
    ("hang", Pattern(r"HANG|NO_OUTPUT")),
    ("leak", Pattern(r"LEAK")),
    ("check", Pattern(r"WARNING|BUG|UBSAN")),
    ("machine", Pattern(r"LOST_CONNECTION|SYZ_FAILURE|REBOOT")),
)
_MANY_HEADLINES: Final = frozenset({"memory access", "hang"})
_FAULT_TITLE: Final = Pattern(
    r"general protection fault|Unhandled fault|stack segment|BUG: unable to handle|bad-access"
    # An object that is freed while in use, or was never initialized, is noticed by its next user.
    r"|ODEBUG bug|non-static key"
)


class Match(NamedTuple):
    """How a crash relates to the reference, and why, in words for a person."""

    kind: Kind
    reason: str


def same_bug(report: CrashReport, reference: CrashReport) -> Match:
    """Compare `report` with `reference`, of which only the title is required.

    "match": they share a title or an alternative title. "related": they may be one bug on two kernels, for
    example if the title drifted, inlining moved the key frame, or a report was cut short.
    "unrelated": another crash, which is evidence neither of good nor of bad.
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


# Titles of one fault on different kernels: lockdep printed INFO and BUG before 4.13, and syzbot's old titles
# named both kinds of wrong free.
_RENAMED: Final = (
    (
        Pattern(
            r"(?:BUG|INFO|WARNING): (?P<word>(?:bad unlock balance|held lock freed|still has locks held"
            r"|lock held when returning to user space|nested lock was not taken|suspicious RCU usage) in \S+)$"
        ),
        "{word}",
    ),
    (Pattern(r"KASAN: double-free(?: or invalid-free)? in (?P<frame>\S+)$"), "invalid-free in {frame}"),
)
_PLACEHOLDER: Final = re.compile(r"(\{[a-z]{1,20}\})")
# The values that the groups of a format's sign can have in a title.
_SAID: Final = {
    "{kind}": r"[a-z-]{1,40}",
    "{access}": r"(?:[Rr]ead|[Ww]rite)",
    "{what}": r"[a-z -]{1,60}",
    "{frame}": r"(?P<frame>\S+)$",
}


@cache
def _stands_for(known: KnownFormats) -> tuple[tuple[Pattern[str], str], ...]:
    """The alternative titles of a title that comes without a report.

    Which of two accesses comes first, or which detector notices a fault, is random. The formats of such
    crashes therefore have an alternative title. Each pattern matches the titles of one format; the string is
    the alternative title of that format.
    """
    found = {}
    for entry in known.formats:
        words = [word for word in entry.alternatives if _PLACEHOLDER.findall(word) == ["{frame}"]]
        if words and entry.title.endswith("{frame}"):
            parts = _PLACEHOLDER.split(entry.title)
            sign = "".join(_SAID.get(part, re.escape(part)) for part in parts)
            found[sign, words[0]] = (Pattern(sign), words[0])
    return (*found.values(), *_RENAMED)


def _titles(report: CrashReport) -> set[str]:
    titles = {report.title, *report.alt_titles}
    for pattern, word in _stands_for(current()):
        found = pattern.match(report.title)
        if found is not None:
            titles.add(word.format_map(found.groupdict()))
    return titles


def _compare_frames(report: CrashReport, reference: CrashReport) -> Match:
    ours, theirs = _frame(report), _frame(reference)
    our_class, their_class = crash_class(report), crash_class(reference)
    alike = our_class == their_class
    if ours and theirs and _root(ours) == _root(theirs):
        how = f"both in {ours}" if ours == theirs else f"{ours} is {theirs} by another name"
        return Match("related", f"{how}; {_both(our_class, their_class)}")
    for one, other in ((report, reference), (reference, report)):
        if oops_line(one) == other.title:
            return Match("related", f'"{one.title}" began with "{other.title}"')
        if _STALLED.match(one.title) and _BLOCKED_BY_IT.match(other.title):
            return Match("related", f'a stall such as "{one.title}" can cause "{other.title}"')
    if alike:
        if ours and theirs and _reworded(ours, theirs):
            return Match("related", f"{ours} may be {theirs} by another name; both {our_class}")
        for one, other in ((report, reference), (reference, report)):
            if _frame(other) and _root(_frame(other)) in map(_root, _functions_above(one)):
                return Match(
                    "related", f"{_frame(other)} is above the key frame of {one.title}; both {our_class}"
                )
            # Which lock of a cycle is taken last is random. The chain lists where the others were taken.
            if _CYCLE.match(one.title) and _CYCLE.match(other.title) and f" {_frame(other)}+0x" in one.report:
                return Match("related", f"{_frame(other)} is in the cycle of {one.title}")
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
        if our_file and our_file == their_file and not is_called_by_all(our_file):
            return Match("related", f"{our_file} is the file to blame for both; both {our_class}")
        return Match("unrelated", f'"{report.title}" has no function in common with "{reference.title}"')
    return Match(
        "unrelated",
        f'"{report.title}" ({our_class or "unknown class"}) is another kind of fault than "{reference.title}"'
        f" ({their_class or 'unknown class'}), in another function",
    )


def _compare_cut(report: CrashReport, reference: CrashReport) -> Match:
    """A report without its key frame may be any report with its headline, or of its class.

    The latter applies only to classes with many headlines.
    """
    if _headline(report.title) == _headline(reference.title):
        return Match(
            "related", f'"{_headline(report.title)}" in both, but a report was cut before its key frame'
        )
    if crash_class(report) in _MANY_HEADLINES and crash_class(report) == crash_class(reference):
        return Match("related", f"both {crash_class(report)}, but a report was cut before its key frame")
    return Match("unrelated", f'"{report.title}" is another kind of fault than "{reference.title}"')


def crash_class(report: CrashReport) -> str:
    """The class of fault; one bug tends to stay in one class. "" if the class is not known."""
    if _FAULT_TITLE.search(report.title):
        return "memory access"
    kind = report.type or current().kind_of(report.title)
    for name, pattern in _CLASSES:
        if pattern.match(kind):
            return name
    return ""


def _both(ours: str, theirs: str) -> str:
    if ours == theirs:
        return f"both {ours}" if ours else "both of unknown class"
    return f"{ours or 'unknown class'} in this report, {theirs or 'unknown class'} in the reference"


def _is_cut(report: CrashReport) -> bool:
    return _frame(report) == CUT or report.title.endswith(f" {CUT}")


def _frame(report: CrashReport) -> str:
    return report.frame or frame_of_title(report.title)


def _headline(title: str) -> str:
    return title.partition(" in ")[0]


def _root(function: str) -> str:
    """A function's name without the parts that change between kernels and builds."""
    name = _COMPILERS.sub("", function)
    while (plain := plain_names(name)[0]) != name:
        name = plain
    name = _DRIFT.sub("", name) or name
    for pattern, word in _REWORDED:
        name = pattern.sub(word, name)
    return _NUMBERS.sub("N", name)


def _reworded(ours: str, theirs: str) -> bool:
    """Whether one name is the other with one additional word: btf_tag_resolve, btf_decl_tag_resolve."""
    fewer, more = sorted((_root(ours).split("_"), _root(theirs).split("_")), key=len)
    rest = iter(more)
    return len(fewer) >= _SAME_WORDS and len(more) == len(fewer) + 1 and all(word in rest for word in fewer)


def oops_line(report: CrashReport) -> str:
    """The first line of a report, cleaned like a title. Other tools use it as the title of some crashes."""
    return clean_title(report.report.partition("\n")[0])


def _functions_above(report: CrashReport) -> list[str]:
    """The functions above the key frame. Other tools use these in the titles of crashes."""
    lines = report.report.split("\n", _OOPS_LINES)[:_OOPS_LINES]
    functions = [found["func"] for found in _FUNCTION.finditer("\n".join(lines))]
    key = _root(_frame(report))
    stops = [at for at, function in enumerate(functions) if _root(function) == key][:2]
    if not stops:
        return []
    above = functions[: stops[0]]
    between = functions[stops[0] + 1 : stops[-1]]  # if the headline names the key frame, too
    return above + between if all(map(is_generic, between)) else above


def _near_functions(report: CrashReport) -> list[str]:
    """The distinctive functions at the top of the report's first trace that has any."""
    for trace in report.frames:
        telling = [name for name in trace if not is_generic(name)]
        if telling:
            return telling[:_NEAR]
    return []
