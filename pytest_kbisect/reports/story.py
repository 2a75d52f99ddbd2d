"""What happened in a bisection, as plain facts read from its folder: what every report is made of.

A report is a function of a `Story` and nothing else, so that `kbisect report` can write them again.
What an older folder does not hold is None or empty; an unfinished bisection has a story too.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_kbisect.bisection.outcome import Outcome
from pytest_kbisect.errors import UsageError
from pytest_kbisect.reports import consoles
from pytest_kbisect.reports.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

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
    """One run. `seconds_by` may split its `seconds` into boot, restore, run, teardown."""

    outcome: Outcome
    title: str = ""
    report: str = ""
    seconds: float = 0.0
    seconds_by: Mapping[str, float] = field(default_factory=dict)
    consoles: tuple[Path, ...] = ()


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
    """One experiment. `time` is when it began (seconds since the epoch), `session` the how manieth at its commit."""

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
    seconds_by: Mapping[str, float] = field(default_factory=dict)
    belief: Belief | None = None

    @property
    def state(self) -> State | None:
        """What these runs alone show; None where nothing was run."""
        if not self.runs:
            return State.UNTESTABLE if self.build_error or self.absent else None
        if any(run.outcome is Outcome.CRASHED for run in self.runs):
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
    """Whether the commit contains the answer's commit, where known."""
    absent: str = ""
    """Why the bug cannot be in it yet, where a repair is looked for."""
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
class Story:
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
    reproducers: tuple[str, ...] = ()
    config: str = ""
    qemu: tuple[str, ...] = ()
    release: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_commit(self) -> Mapping[str, Revision]:
        return {revision.commit: revision for revision in self.revisions}

    @property
    def culprit(self) -> Revision | None:
        """The answer's commit, where it is known and was tested."""
        return self.by_commit.get(self.result.culprit)

    @property
    def crash(self) -> str:
        """The crash's text, with symbols where they are known."""
        if self.crash_report:
            return self.crash_report
        end = self.result.range[1 if not self.fix else 0]
        shown = (self.culprit, self.by_commit.get(end), *self.revisions)
        reports = (run.report for one in shown if one for run in one.runs if run.title == self.result.crash)
        return next((report for report in reports if report), "")

    @property
    def seconds_by(self) -> Mapping[str, float]:
        """Wall-clock seconds of all steps by what they went into, in order of time within a step."""
        total: Counter[str] = Counter()
        for step in self.steps:
            total.update(step.seconds_by)
        return dict(total)

    def word(self, state: State) -> str:
        """Git's word for a state: good and bad, or broken and fixed where the repair was looked for."""
        if state is State.UNTESTABLE:
            return "skip"
        if self.fix:
            return "broken" if state is State.CRASHES else "fixed"
        return "bad" if state is State.CRASHES else "good"


def read(folder: Path) -> Story:
    """The story of a results folder. Raises UsageError where it is none."""
    journal = _journal(folder / "journal.jsonl")
    told = _result(folder / "result.json")
    subject = next((line for line in journal if line.get("kind") == "subject"), {})
    if not told:
        told = {"kind": UNFINISHED, "range": subject.get("range", ["", ""])}
    result = Result(**{f.name: _frozen(told[f.name]) for f in fields(Result) if f.name in told})
    steps = _steps(folder, [line for line in journal if line.get("kind") == "tested"])
    confirmation = told.get("confirmation") or {}
    return Story(
        folder=folder,
        result=result,
        steps=steps,
        revisions=_revisions(steps, told.get("tested") or ()),
        strategy=str(subject.get("strategy", "")),
        fix=bool(told.get("fix")),
        commits=told.get("commits") or None,
        parents=tuple(told.get("parents") or ()),
        command=tuple(map(str, told.get("command") or ())),
        confirmation=Confirmation(
            culprit=_pair(confirmation.get("culprit")),
            parent=_pair(confirmation.get("parent")),
            revert=str(confirmation.get("revert") or ""),
            revert_runs=_pair(confirmation.get("revert_runs")),
            why=str(confirmation.get("revert_why") or ""),
        ),
        crash_report=str(told.get("crash_report") or ""),
        reproducers=tuple(told.get("reproducers") or ()),
        config=str(told.get("config") or ""),
        qemu=tuple(map(str, told.get("qemu") or ())),
        release=str(told.get("release") or ""),
        versions=told.get("versions") or {},
    )


def _journal(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; a last line cut short by a crash is left out."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path.parent} is not a folder of results ({path.name}: {error.strerror}): "
            "name the folder that a bisection said it writes"
        ) from None
    try:
        return [dict(json.loads(line)) for line in raw[: raw.rfind(b"\n") + 1].splitlines()]
    except (ValueError, TypeError):
        raise UsageError(f"{path} is not a journal: its lines are no JSON objects") from None


def _result(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}): run the same bisection again to have it anew"
        ) from None


def _frozen(value: Any) -> Any:
    """JSON's lists as the tuples they were."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _pair(value: Sequence[int] | None) -> tuple[int, int] | None:
    return (int(value[0]), int(value[1])) if value else None


def _steps(folder: Path, records: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    sessions: Counter[str] = Counter()
    steps = []
    for number, record in enumerate(records, 1):
        tested: Mapping[str, Any] = record["tested"]
        commit = str(tested["commit"])
        sessions[commit] += 1
        kept = consoles.of_session(consoles.session_folder(folder, commit, sessions[commit]))
        steps.append(
            Step(
                number=number,
                commit=commit,
                session=sessions[commit],
                title=str(record.get("title") or ""),
                reason=str(record.get("reason") or ""),
                phase=str(record.get("phase") or "search"),
                time=record.get("time"),
                position=record.get("position"),
                runs=tuple(_run(run, i, kept) for i, run in enumerate(tested.get("runs") or ())),
                signature=str(tested.get("signature") or ""),
                compiler=str(tested.get("compiler") or ""),
                build_error=str(tested.get("build_error") or ""),
                absent=str(tested.get("absent") or ""),
                cached=bool(tested.get("cached")),
                seconds_by=tested.get("seconds_by")
                or {"build": tested.get("build_seconds", 0.0), "test": tested.get("test_seconds", 0.0)},
                belief=_belief(record.get("belief")),
            )
        )
    return tuple(steps)


def _run(run: Mapping[str, Any], index: int, kept: Mapping[int, tuple[Path, ...]]) -> RunFacts:
    return RunFacts(
        Outcome(run["outcome"]),
        title=str(run.get("title") or ""),
        report=str(run.get("report") or ""),
        seconds=float(run.get("seconds") or 0.0),
        seconds_by=run.get("seconds_by") or {},
        consoles=kept.get(index, ()),
    )


def _belief(told: Mapping[str, Any] | None) -> Belief | None:
    if not told:
        return None
    return Belief(
        int(told.get("candidates") or 0),
        top=tuple((str(sha), str(title), float(p)) for sha, title, p in told.get("top") or ()),
        spread=tuple(map(float, told.get("spread") or ())),
        start=int(told.get("start") or 0),
        width=int(told.get("width") or 0),
    )


def _revisions(steps: Sequence[Step], told: Sequence[Mapping[str, Any]]) -> tuple[Revision, ...]:
    """Tested commits in the order in which they were first tried."""
    facts = {str(one["commit"]): one for one in told}
    made: dict[str, list[Step]] = {}
    for step in steps:
        made.setdefault(step.commit, []).append(step)
    return tuple(_revision(commit, of_it, facts.get(commit, {})) for commit, of_it in made.items())


def _revision(commit: str, steps: Sequence[Step], facts: Mapping[str, Any]) -> Revision:
    outcomes = Counter(run.outcome for step in steps for run in step.runs)
    crashed = int(facts.get("crashed", outcomes[Outcome.CRASHED]))
    ok = int(facts.get("ok", outcomes[Outcome.OK]))
    if facts.get("verdict") == "skip" or not crashed + ok:
        state = State.UNTESTABLE
    else:
        state = State.CRASHES if crashed else State.WORKS
    return Revision(
        commit=commit,
        title=str(facts.get("title") or next((step.title for step in steps if step.title), "")),
        state=state,
        steps=tuple(steps),
        crashed=crashed,
        ok=ok,
        affected=facts.get("affected"),
        absent=str(facts.get("absent") or next((step.absent for step in steps if step.absent), "")),
        facts=facts,
    )
