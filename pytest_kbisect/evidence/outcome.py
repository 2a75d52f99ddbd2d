"""What one run and one tested commit came to: the facts that travel from JUnit XML to a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import median
from typing import Final

from pytest_kbisect.symptoms.symptom import CRASH_NAME as CRASH

UNREPORTED: Final = "the run was never reported: its worker died"
"""Title of a run of which the session's XML has nothing."""
UNKNOWN: Final = "UNKNOWN"
"""Type of a silent run that went well, and has nothing of what the reproducer asks for."""


SKIPPED: Final = "skipped: a person has said so"
"""Why a commit has no runs that a person was asked about and could not test."""


class Outcome(StrEnum):
    """How a run ended; BUILD_FAILED is a commit's, not a run's.

    CRASHED and FAILED runs have shown a symptom: a crash, or another one. A SILENT one says nothing of the
    bug, by the reproducer's own words: it was skipped, say.
    """

    OK = "ok"
    CRASHED = "crashed"
    FAILED = "failed"
    SILENT = "silent"
    BOOT_FAILED = "boot-failed"
    INFRA_FAILED = "infra-failed"
    BUILD_FAILED = "build-failed"

    @property
    def shows_symptom(self) -> bool:
        return self in {Outcome.CRASHED, Outcome.FAILED}


class Verdict(StrEnum):
    """Of a commit, as in git bisect."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Report:
    """One report in a run: of the kernel on the console, or of another symptom that the reproducer looks for.

    `report` is its text, `frame` the function it is titled by. `symptom` is the name of its kind of symptom:
    OTHER of a crash that the reproducer does not look for. `said` is what this run said, where the title
    leaves out what differs between runs.
    """

    title: str = ""
    alt_titles: tuple[str, ...] = ()
    type: str = ""
    frame: str = ""
    report: str = ""
    symptom: str = CRASH
    said: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a reproducer in a pristine guest.

    Of one that shows a symptom, `title` to `report`, `symptom` and `said` are of the report that the run is
    known by, and `reports` are all, in order, where there are several. `whole`: it crashed and went to its
    end all the same. `cut_short` is the kernel's setting that made a panic of a report. `cleared` are titles
    of failures that the run would have shown and did not.

    `values` are what it has measured of a `metric`: its name, and the direction that is bad.

    `configuration` is the name of its kernel's (empty where the reproducer names none), `signature` that
    kernel's own. `host` is where it was made, and `machine` the accelerator and the processor there.
    `seconds` is boot and run together, `seconds_by` by part.

    Of the functions of the crash that are in its kernel, `reached` were executed and `unreached` were not;
    both are empty where nobody watched, and `unwatched` says why, where it was to be watched. `inlined` ones
    the image does not have, nor the source the `absent` ones. `idle` were executed before the reproducer
    began: an empty name where that was looked at, and none was.

    `code` are the objects of the kernel of which it executed something, each with the functions behind it;
    `unrecorded` says why that is not known, where it was asked for.
    """

    outcome: Outcome
    title: str = ""
    alt_titles: tuple[str, ...] = ()
    type: str = ""
    frame: str = ""
    message: str = ""
    report: str = ""
    reports: tuple[Report, ...] = ()
    whole: bool = False
    cut_short: str = ""
    seconds: float = 0.0
    seconds_by: dict[str, float] = field(default_factory=dict)
    reached: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    configuration: str = ""
    signature: str = ""
    host: str = ""
    machine: str = ""
    inlined: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    unwatched: str = ""
    code: tuple[str, ...] = ()
    unrecorded: str = ""
    symptom: str = CRASH
    said: str = ""
    cleared: tuple[str, ...] = ()
    metric: str = ""
    values: tuple[float, ...] = ()

    @property
    def value(self) -> float | None:
        """What it has measured, in one number: the median; None where it is no evidence of a metric."""
        return median(self.values) if self.values and self.outcome is Outcome.OK else None

    @property
    def shown(self) -> tuple[Report, ...]:
        """All reports of a run that shows a symptom, in order."""
        if not self.outcome.shows_symptom:
            return ()
        own = Report(self.title, self.alt_titles, self.type, self.frame, self.report, self.symptom, self.said)
        return self.reports or (own,)

    @property
    def watched(self) -> bool:
        """Whether it is known which functions it executed."""
        return bool(self.reached or self.unreached)

    @property
    def own_seconds(self) -> float:
        """What one more such run would take: without the boot, where others are restored from that too."""
        shared = self.seconds_by.get("boot", 0.0) if self.seconds_by.get("restore") else 0.0
        return max(0.0, self.seconds - shared)


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What one session at one commit found. Without runs it did not build, and `build_error` says why.

    `build_seconds` and `test_seconds` are wall-clock, `seconds_by` is the same time by what it went to;
    `cached` means no make was run. `absent` says why the bug cannot be in this commit at all, which
    was then neither built nor run (a fix is looked for, and the commit is older than the bug); `never`:
    that is known, and not only feared. `sources` are the paths of the lists of files that the builds
    read, one for each configuration, with os.pathsep between them; on the machine of the session, whose
    name is `host`.
    """

    commit: str
    runs: tuple[Run, ...] = ()
    signature: str = ""
    compiler: str = ""
    build_error: str = ""
    build_seconds: float = 0.0
    test_seconds: float = 0.0
    cached: bool = False
    seconds_by: dict[str, float] = field(default_factory=dict)
    absent: str = ""
    never: bool = False
    sources: str = ""
    host: str = ""


def merged(before: CommitResult, after: CommitResult) -> CommitResult:
    """Two sessions at one commit as one."""
    parts = before.seconds_by.keys() | after.seconds_by.keys()
    return replace(
        after,
        runs=before.runs + after.runs,
        build_seconds=before.build_seconds + after.build_seconds,
        test_seconds=before.test_seconds + after.test_seconds,
        cached=before.cached and after.cached,
        seconds_by={part: before.seconds_by.get(part, 0) + after.seconds_by.get(part, 0) for part in parts},
    )
