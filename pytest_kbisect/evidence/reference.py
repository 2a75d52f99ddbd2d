"""The failures a bisection is about, and whether another one is the same bug."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

from pytest_kbisect.symptoms.boot_failure import NAME as BOOT
from pytest_kbisect.symptoms.exit_status import NAME as EXIT_STATUS
from pytest_kbisect.symptoms.symptom import CRASH_NAME as CRASH
from pytest_kbisect.symptoms.symptom import OTHER_NAME as OTHER
from pytest_kbisect.symptoms.symptom import TEST_NAME as TEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_kbisect.evidence.outcome import Report, Run


class Match(StrEnum):
    """How a crash relates to the reference; RELATED might be the same bug, and is not sure to be."""

    MATCH = "match"
    RELATED = "related"
    UNRELATED = "unrelated"


MINOR: Final = 0.15
"""A title with a smaller part of the reference's crashes is not what the bug is known by: a quarter
of syzbot's reports come with crashes of other bugs on the very commit they were reported on."""


@dataclass(frozen=True)
class Reference:
    """What the bug is known by: titles a reproducer says to expect, crashes seen on bad commits.

    `titles` are all of them, `counts` says how often each was seen, `examples` are crashes seen, one of
    each title. `others` are titles known to be another bug's, however like this one's. Empty, it matches
    every crash: nothing is known yet about the bug.

    `path` are functions whose execution shows that a run came to the bug's code, the innermost first; empty
    where none are known.
    """

    titles: frozenset[str] = frozenset()
    alt_titles: frozenset[str] = frozenset()
    counts: tuple[tuple[str, int], ...] = ()
    examples: tuple[Report, ...] = ()
    others: frozenset[str] = frozenset()
    path: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.titles)

    def own(self, runs: Iterable[Run], matcher: Matcher) -> list[Report]:
        """Of runs on a commit known to be bad the reports that are the bug's, where this is what is expected.

        Where a reproducer says what to expect, other reports stay other bugs'.
        """
        shown = (report for run in runs for report in run.shown)
        return [report for report in shown if not self or matcher(report, self) is Match.MATCH]

    def grown(self, reports: Iterable[Report]) -> Reference:
        """With these reports."""
        counts = dict(self.counts)
        alt_titles = set(self.alt_titles)
        examples = {report.title: report for report in self.examples}
        for report in reports:
            counts[report.title] = counts.get(report.title, 0) + 1
            alt_titles.update(report.alt_titles)
            examples.setdefault(report.title, report)
        return replace(
            self,
            titles=self.titles | set(counts),
            alt_titles=frozenset(alt_titles),
            counts=tuple(counts.items()),
            examples=tuple(examples.values()),
        )

    def joined_by(self, reports: Iterable[Report]) -> Reference:
        """With what comes with the bug's own reports every time, and is not counted besides."""
        more = [report for report in reports if report.title not in self.titles]
        return replace(
            self,
            titles=self.titles | {report.title for report in more},
            alt_titles=self.alt_titles.union(*(report.alt_titles for report in more)),
            examples=(*self.examples, *more),
        )

    @cached_property
    def main(self) -> frozenset[str]:
        """The titles without those seen on the side."""
        total = sum(count for _, count in self.counts)
        return self.titles - {title for title, count in self.counts if count < MINOR * total}

    @cached_property
    def functions(self) -> frozenset[str]:
        return frozenset(filter(None, map(function_of, self.titles)))

    @cached_property
    def places(self) -> frozenset[tuple[str, str]]:
        """(subsystem, class) of all titles."""
        return frozenset((subsystem_of(title), class_of(title)) for title in self.titles)

    @cached_property
    def hangs(self) -> bool:
        """Whether the bug shows as hangs, among others."""
        return any(_HANG.search(title) for title in self.main)

    @cached_property
    def only_hangs(self) -> bool:
        """Whether the bug shows as hangs and nothing else."""
        return bool(self.main) and all(_HANG.search(title) for title in self.main)


Matcher: TypeAlias = "Callable[[Report | Run, Reference], Match]"
"""Judges one report; of a run the one that it is known by. Must be pure: journals are replayed through it."""

# These name no place in the kernel, or one where many bugs surface: alone they prove nothing.
_PLACELESS: Final = re.compile(r"unregister_netdevice| in corrupted|^no output|lost connection|^SYZ")
_HARNESS: Final = re.compile(r"lost connection|^SYZ")
_CUT: Final = re.compile(r" in corrupted$")
_FUNCTION: Final = re.compile(r" in ([A-Za-z_][\w.]*)")
_HANG: Final = re.compile(r"^INFO: (?:rcu|task|.*stall)|lockup|hung_task|no output")
_CLASSES: Final = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        # A deadlock is seen by lockdep, or as a hang where lockdep is off or too late.
        (
            "locking",
            r"deadlock|lock(?:ing)? (?:bug|state|freed)|lockdep|sleeping function|RCU usage|bad unlock",
        ),
        ("locking", _HANG.pattern),
        # A lock that was never initialised is memory that was never, or is no more, the object it should be.
        (
            "memory",
            r"^K(?:A|M)SAN|KFENCE|general protection|unable to handle|refcount|non-static key|corrupted list",
        ),
        # What is freed while a timer or a work item still needs it is used afterwards.
        ("memory", r"bad usercopy|invalid-free|NULL pointer|stack segment|ODEBUG"),
        ("leak", r"memory leak"),
        ("machine", r"program execution|Out of memory"),
        ("check", r"WARNING|BUG|UBSAN"),
    )
)
# First words of function names that belong to the whole kernel.
_COMMON_WORDS: Final = frozenset(
    [
        "add",
        "alloc",
        "call",
        "copy",
        "del",
        "dev",
        "do",
        "exit",
        "free",
        "get",
        "inet",
        "init",
        "inode",
        "is",
        "kernel",
        "kfree",
        "kmem",
        "list",
        "lock",
        "mem",
        "mod",
        "mutex",
        "net",
        "netlink",
        "page",
        "process",
        "put",
        "rb",
        "rcu",
        "register",
        "release",
        "sched",
        "schedule",
        "set",
        "sk",
        "skb",
        "sock",
        "synchronize",
        "sys",
        "syscall",
        "task",
        "timer",
        "to",
        "try",
        "unregister",
        "vfs",
        "work",
    ]
)


def function_of(title: str) -> str:
    """The function a title names, without leading underscores; empty where it names none."""
    found = _FUNCTION.findall(title)
    name: str = found[-1].strip("_") if found else ""
    return "" if name == "corrupted" else name


def subsystem_of(title: str) -> str:
    """The first word of the function's name, where it says something: `nr` of `nr_insert_socket`."""
    word, joint, _ = function_of(title).partition("_")
    return word if joint and len(word) > 1 and word not in _COMMON_WORDS else ""


def class_of(title: str) -> str:
    """What kind of damage a title speaks of."""
    return next((name for name, pattern in _CLASSES if pattern.search(title)), "other")


def names_a_place(title: str) -> bool:
    """Whether a title says where in the kernel something went wrong."""
    return not _PLACELESS.search(title)


def is_of_the_harness(run: Run) -> bool:
    """Whether a crash is the test machine's rather than the kernel's."""
    return all(_HARNESS.search(report.title) for report in run.shown)


_NEAREST: Final = tuple(Match)


def match_of(run: Run, reference: Reference, matcher: Matcher) -> Match:
    """How a run that crashed relates to the reference: by the one of its reports that is nearest to it."""
    return min((matcher(report, reference) for report in run.shown), key=_NEAREST.index)


def known_by(run: Run, reference: Reference, matcher: Matcher) -> Run:
    """The run, known by the report of it that is nearest to the reference; the first of several such."""
    if len(run.shown) < 2:
        return run
    best = min(run.shown, key=lambda report: _NEAREST.index(matcher(report, reference)))
    return replace(
        run,
        title=best.title,
        alt_titles=best.alt_titles,
        type=best.type,
        frame=best.frame,
        report=best.report,
        symptom=best.symptom,
        said=best.said,
    )


def match_names(run: Report | Run, reference: Reference) -> Match:
    """By titles alone: the same title, the same function, or the same kind of crash in the same subsystem.

    Of 139 crashes of other bugs that had been taken for the bug by syzbot 8 still are, against 10 with exact
    titles and 81 with any crash at all; six of the 8 are other bugs of the very same title.
    """
    if run.symptom == OTHER:
        return Match.UNRELATED
    if not reference:
        return Match.MATCH
    if run.title in reference.others:
        return Match.UNRELATED
    if not has_trace(run):
        return _match_stated(run, reference)
    names = {run.title, *run.alt_titles}
    if not names.isdisjoint(reference.main | reference.alt_titles):
        return Match.MATCH if names_a_place(run.title) or not _placed(reference) else Match.UNRELATED
    if reference.only_hangs and _HANG.search(run.title) and not _CUT.search(run.title):
        # Which task is found hanging first, and by which watchdog, is chance.
        return Match.MATCH
    if run.title in reference.titles:
        return Match.RELATED
    if _CUT.search(run.title):
        return Match.RELATED if _kind(run.title) in map(_kind, reference.main) else Match.UNRELATED
    if function_of(run.title) in reference.functions:
        return Match.RELATED
    subsystem = subsystem_of(run.title)
    if subsystem and (subsystem, class_of(run.title)) in reference.places:
        return Match.RELATED
    return Match.RELATED if reference.hangs and _HANG.search(run.title) else Match.UNRELATED


_OTHERWISE_THE_SAME: Final = (BOOT, EXIT_STATUS)
"""Symptoms that one bug may show in several ways: which report a boot ends with, or which exit status."""


def has_trace(run: Report | Run) -> bool:
    """Whether it is known by a kernel's words, or a test's: by more than an identity, and they may drift."""
    return run.symptom in {CRASH, TEST}


def _match_stated(run: Report | Run, reference: Reference) -> Match:
    """By its identity alone: that of a subtest, say, is its name, and no other name is like it."""
    names = {run.title, *run.alt_titles}
    if not names.isdisjoint(reference.main | reference.alt_titles):
        return Match.MATCH
    if run.title in reference.titles:
        return Match.RELATED
    known = {example.symptom for example in reference.examples if example.title in reference.main}
    return Match.RELATED if run.symptom in _OTHERWISE_THE_SAME and run.symptom in known else Match.UNRELATED


def _kind(title: str) -> str:
    """What the title says before it names a place."""
    return title.partition(" in ")[0]


def _placed(reference: Reference) -> bool:
    return any(names_a_place(title) for title in reference.main)
