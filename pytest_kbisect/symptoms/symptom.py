"""What a symptom is: it judges what a run left behind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pytest_kbisect.crash import CrashReport

CRASH_NAME: Final = "crash"
"""The symptom of a report that states no other."""
TEST_NAME: Final = "test"
"""The symptom of a Python test that fails by its own words, which is none of `kbisect-bad-when`."""
OTHER_NAME: Final = "other"
"""In place of the symptom of a crash that the reproducer does not look for, and that ended its run."""


class Stage(StrEnum):
    """How far a commit must come before a symptom can be judged."""

    BUILD = "build"
    BOOT = "boot"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class SymptomReport:
    """A failure that a run showed.

    `title` is what the failure is known by: the same in each run that shows it. `said` is what this run said,
    where the title leaves out numbers that differ between runs. `alt_titles` are other titles of the same
    failure, `text` is the output that shows it.
    """

    title: str
    symptom: str
    said: str = ""
    alt_titles: tuple[str, ...] = ()
    text: str = ""

    @property
    def type(self) -> str:
        """As crash reports have one."""
        return self.symptom.upper()


@dataclass(frozen=True, slots=True)
class BootFailure:
    """A kernel that did not come up: the kind of BootError, and its words."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """A commit that does not build: the lines of make's output that explain it, at least one."""

    cause: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run left behind.

    `name` is the reproducer's, without suffix. `exit_status` is None where its program did not end: it was
    stopped at its time limit of `seconds` (`timed_out`), or the kernel went down first (`crashes`, then
    `fatal`). Of a run whose reproducer has several programs it is None, too. `stdout` is the output of all of
    them. `console` is the guest's, from its boot on. `boot_reports` came on the way up, `crashes` in the run.

    A kernel that did not boot or build has left no more than that.
    """

    name: str
    exit_status: int | None = None
    timed_out: bool = False
    seconds: float = 0.0
    stdout: str = ""
    stderr: str = ""
    console: str = ""
    boot_reports: tuple[CrashReport, ...] = ()
    crashes: tuple[CrashReport, ...] = ()
    fatal: bool = False
    boot_failure: BootFailure | None = None
    build_failure: BuildFailure | None = None

    @property
    def whole(self) -> bool:
        """Whether the run went to its end, so that what is missing in its output is missing."""
        return not (self.timed_out or self.fatal or self.boot_failure or self.build_failure)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a run has measured: a `metric`, which is its name and the direction that is bad, and its values.

    There is at least one value, and all are finite.
    """

    metric: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a symptom makes of a run.

    It is bad by what it has `shown`. Where that is nothing, the run is good, unless `silent` says why it is
    no evidence. `cleared` are titles of failures that the run would have shown, and did not. `unknown` is set
    where the reproducer asks for something that no run can show, and says what to do. `measured` is what
    only the values of other commits can show to be good or bad.
    """

    shown: tuple[SymptomReport, ...] = ()
    silent: str = ""
    cleared: tuple[str, ...] = ()
    unknown: str = ""
    measured: Measurement | None = None


class Symptom(Protocol):
    """What makes a run bad."""

    @property
    def kind(self) -> str:
        """The name of its kind."""
        ...

    @property
    def stage(self) -> Stage:
        """What must have come about before it is judged."""
        ...

    @property
    def own_boot(self) -> bool:
        """Whether each run needs a boot of its own, because the symptom may show in it."""
        ...

    def judge(self, run: RunRecord) -> Judgement:
        """What is made of a run."""
        ...


@runtime_checkable
class SymptomKind(Protocol):
    """A kind of symptom."""

    @property
    def name(self) -> str:
        """The first word of `kbisect-bad-when:`."""
        ...

    def parse(self, argument: str) -> Symptom:
        """A symptom of this kind. Raises ValueError, which says what to write, for an argument of no use."""
        ...


def cut_off(run: RunRecord) -> str:
    """Why what a run did not show proves nothing; "" where it went to its end."""
    if run.build_failure:
        return "the commit does not build"
    if run.boot_failure:
        return f"the kernel did not boot: {run.boot_failure.words}"
    if run.fatal:
        return f"the kernel crashed: {run.crashes[0].title}" if run.crashes else "the kernel crashed"
    return f"the reproducer had not ended after {run.seconds:g} s" if run.timed_out else ""
