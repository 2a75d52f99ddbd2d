"""What happened in a bisection, as plain facts: what every report is made of.

A report is a function of a `ReportModel` and of the files of its folder, so that `kbisect report` can write
them again. What an older folder does not hold is None or empty; an unfinished bisection has a story too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_kbisect.evidence.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_kbisect.reports.result import Result

UNFINISHED = "unfinished"
"""Kind of a story without a result.json."""
GOOD_END = -1
"""Position of the range's good end; the commit next to it is 0."""


class State(StrEnum):
    """What a tested commit does; git's words for it depend on what was looked for."""

    CRASHES = "crashes"
    WORKS = "works"
    UNTESTABLE = "untestable"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run, with the named configuration that it had, if any.

    `seconds_by` may split its `seconds` into boot, restore, run, teardown.
    """

    outcome: Outcome
    title: str = ""
    report: str = ""
    reports: tuple[tuple[str, str], ...] = ()
    """Title and text of each report of a crash, in order."""
    seconds: float = 0.0
    seconds_by: Mapping[str, float] = field(default_factory=dict)
    consoles: tuple[Path, ...] = ()
    configuration: str = ""


@dataclass(frozen=True, slots=True)
class Belief:
    """What was believed after a step.

    `candidates` commits hold the wanted confidence; `top` are (hash, title, probability), most likely
    first; `spread` the probability in slices of `width` commits, the first of them at position `start`
    (no width: slices of the whole range).
    """

    candidates: int
    top: tuple[tuple[str, str, float], ...] = ()
    spread: tuple[float, ...] = ()
    start: int = 0
    width: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One experiment.

    `time` is when it began (seconds since the epoch), `session` counts those at its commit. `seconds` is how
    long it took, `seconds_by` what went to what; parts that overlap add up to more.
    """

    number: int
    commit: str
    session: int
    title: str = ""
    reason: str = ""
    phase: str = "search"
    time: float | None = None
    position: int | None = None
    runs: tuple[RunFacts, ...] = ()
    signature: str = ""
    compiler: str = ""
    build_error: str = ""
    absent: str = ""
    cached: bool = False
    host: str = ""
    seconds: float = 0.0
    seconds_by: Mapping[str, float] = field(default_factory=dict)
    belief: Belief | None = None

    @property
    def state(self) -> State | None:
        """What these runs alone show; None where nothing was run."""
        if not self.runs:
            return State.UNTESTABLE if self.build_error or self.absent else None
        if any(run.outcome.shows_symptom for run in self.runs):
            return State.CRASHES
        works = any(run.outcome is Outcome.OK for run in self.runs)
        return State.WORKS if works else State.UNTESTABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """All that is known of one tested commit; `crashed` and `ok` count the runs that speak of the bug."""

    commit: str
    title: str
    state: State
    steps: tuple[Step, ...] = ()
    crashed: int = 0
    ok: int = 0
    affected: bool | None = None
    """Whether the commit contains the answer's commit (of several candidates all, or none), where known."""
    absent: str = ""
    """Why the bug cannot be in it yet, where a fix is looked for."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """As told in result.json."""

    @property
    def position(self) -> int | None:
        """In the range, as the search counted."""
        found = (step.position for step in self.steps if step.phase == "search")
        return next((position for position in found if position is not None), None)

    @property
    def signature(self) -> str:
        return next((step.signature for step in reversed(self.steps) if step.signature), "")

    @property
    def compiler(self) -> str:
        return next((step.compiler for step in reversed(self.steps) if step.compiler), "")

    @property
    def build_error(self) -> str:
        return next((step.build_error for step in self.steps if step.build_error), "")

    @property
    def runs(self) -> tuple[RunFacts, ...]:
        return tuple(run for step in self.steps for run in step.runs)

    def seconds(self, kind: str) -> float:
        return sum(step.seconds_by.get(kind, 0.0) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """(crashed, total) of the culprit's runs, its parent's and those of the bad end without the culprit.

    `revert` is passed, crashed, conflict, not-built or empty; `why` says more.
    """

    culprit: tuple[int, int] | None = None
    parent: tuple[int, int] | None = None
    revert: str = ""
    revert_runs: tuple[int, int] | None = None
    why: str = ""


@dataclass(frozen=True)
class ReportModel:
    """A bisection. Hashes are full; `commits` is how many the range has, None where it was not kept."""

    folder: Path
    result: Result
    steps: tuple[Step, ...] = ()
    revisions: tuple[Revision, ...] = ()
    strategy: str = ""
    fix: bool = False
    commits: int | None = None
    parents: tuple[str, ...] = ()
    """Of the answer's commit."""
    command: tuple[str, ...] = ()
    confirmation: Confirmation = Confirmation()
    crash_report: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    """The reproducers' files when the bisection began, and the beginning of the sha256 of each."""
    included: Mapping[str, str] = field(default_factory=dict)
    """The same of what they include, but for the system's headers."""
    patches: Mapping[str, str] = field(default_factory=dict)
    """The same of the patches that were applied to each commit."""
    reproducers: tuple[str, ...] = ()
    """The copies of all these in the folder."""
    config: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_commit(self) -> Mapping[str, Revision]:
        return {revision.commit: revision for revision in self.revisions}

    @property
    def culprit(self) -> Revision | None:
        """The answer's commit, where it is known and was tested."""
        return self.by_commit.get(self.result.culprit)

    @property
    def crashing(self) -> Revision | None:
        """The commit whose crash is shown: the culprit, or what the bug was reported on."""
        if told := self.by_commit.get(self.result.crash_commit):
            return told
        reported = self.result.range[0 if self.fix else 1]
        order = (self.by_commit.get(reported),) if self.fix else (self.culprit, self.by_commit.get(reported))
        return next((one for one in order if one and one.state is State.CRASHES), None)

    @property
    def crash(self) -> str:
        """The crash's text, with symbols where they are known."""
        if self.crash_report:
            return self.crash_report
        shown = (self.crashing, *self.revisions)
        reports = (report for one in shown if one for run in one.runs for report in run.reports)
        return next((text for title, text in reports if title == self.result.crash and text), "")

    @property
    def seconds(self) -> float:
        """What all of it took; of an unfinished bisection, what its steps took."""
        return self.result.seconds.get("total", sum(step.seconds for step in self.steps))

    @property
    def seconds_by(self) -> Mapping[str, float]:
        """Wall-clock seconds of all steps by what they went into, in order of time within a step."""
        total: Counter[str] = Counter()
        for step in self.steps:
            total.update(step.seconds_by)
        return dict(total)

    def word(self, state: State) -> str:
        """Git's word for a state: good and bad, or broken and fixed where a fix was looked for."""
        if state is State.UNTESTABLE:
            return "skip"
        if self.fix:
            return "broken" if state is State.CRASHES else "fixed"
        return "bad" if state is State.CRASHES else "good"
