"""Makes the report model of a results folder: journal.jsonl, result.json, and the console of each run."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from pytest_kbisect.errors import UsageError
from pytest_kbisect.evidence.journal import records_of, require_single, standing
from pytest_kbisect.evidence.outcome import Outcome
from pytest_kbisect.layout import CONFIG, JOURNAL, REPRODUCERS, RESULT
from pytest_kbisect.reports import consoles
from pytest_kbisect.reports.report_model import (
    UNFINISHED,
    Belief,
    Confirmation,
    ReportModel,
    Revision,
    RunFacts,
    State,
    Step,
)
from pytest_kbisect.reports.result import SCHEMA, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def read(folder: Path) -> ReportModel:
    """Read a results folder. Raises UsageError for no journal, or files that are unreadable here."""
    journal = _journal(folder / JOURNAL)
    stored = _result(folder / RESULT)
    subject: dict[str, Any] = next((line for line in journal if line.get("kind") == "subject"), {})
    require_single(subject, folder / JOURNAL)
    if not stored:
        stored = {"kind": UNFINISHED, "range": subject.get("range", ["", ""])}
    result = Result(**{f.name: _frozen(stored[f.name]) for f in fields(Result) if f.name in stored})
    fix = bool(stored.get("fix", subject.get("fix")))
    steps = _steps(folder, standing(journal))
    confirmation = stored.get("confirmation") or {}
    return ReportModel(
        folder=folder,
        result=result,
        steps=steps,
        revisions=tuple(
            _titled(one, result, fix=fix) for one in _revisions(steps, stored.get("tested") or ())
        ),
        strategy=str(subject.get("strategy", "")),
        fix=fix,
        commits=stored.get("commits") or None,
        parents=tuple(stored.get("parents") or ()),
        command=tuple(map(str, stored.get("command") or ())),
        confirmation=Confirmation(
            culprit=_pair(confirmation.get("culprit")),
            parent=_pair(confirmation.get("parent")),
            revert=str(confirmation.get("revert") or ""),
            revert_runs=_pair(confirmation.get("revert_runs")),
            why=str(confirmation.get("revert_why") or ""),
        ),
        crash_report=str(stored.get("crash_report") or ""),
        sources=dict(subject.get("reproducers") or {}),
        included=dict(subject.get("included") or {}),
        patches=dict(zip(result.patches, subject.get("patches") or (), strict=False)),
        reproducers=_copies(folder),
        config=CONFIG if (folder / CONFIG).is_file() else "",
        versions=stored.get("versions") or {},
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
    return records_of(raw, path)


def _result(path: Path) -> dict[str, Any]:
    try:
        known = dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}): run the same bisection again to write it again"
        ) from None
    if (schema := known.get("schema", SCHEMA)) != SCHEMA:
        raise UsageError(
            f"{path} has schema {schema!r}, this version reads {SCHEMA}: use the version that wrote it"
        )
    return known


def _copies(folder: Path) -> tuple[str, ...]:
    kept = folder / REPRODUCERS
    return tuple(sorted(str(path.relative_to(folder)) for path in kept.rglob("*") if path.is_file()))


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
        runs: Sequence[Mapping[str, Any]] = tested.get("runs") or ()
        session = consoles.session_folder(folder, commit, sessions[commit])
        kept = consoles.of_session(session, [str(run.get("title") or "") for run in runs])
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
                runs=tuple(_run(run, i, kept) for i, run in enumerate(runs)),
                signature=str(tested.get("signature") or ""),
                compiler=str(tested.get("compiler") or ""),
                build_error=str(tested.get("build_error") or ""),
                absent=str(tested.get("absent") or ""),
                cached=bool(tested.get("cached")),
                host=str(tested.get("host") or ""),
                seconds=float(tested.get("build_seconds", 0.0)) + float(tested.get("test_seconds", 0.0)),
                seconds_by=tested.get("seconds_by")
                or {"build": tested.get("build_seconds", 0.0), "test": tested.get("test_seconds", 0.0)},
                belief=_belief(record.get("belief")),
            )
        )
    return tuple(steps)


def _run(run: Mapping[str, Any], index: int, kept: Mapping[int, tuple[Path, ...]]) -> RunFacts:
    title, report = str(run.get("title") or ""), str(run.get("report") or "")
    outcome = Outcome(run["outcome"])
    shown = run.get("reports") or ([run] if outcome.shows_symptom else [])
    return RunFacts(
        outcome,
        title=title,
        report=report,
        reports=tuple((str(one.get("title") or ""), str(one.get("report") or "")) for one in shown),
        seconds=float(run.get("seconds") or 0.0),
        seconds_by=run.get("seconds_by") or {},
        consoles=kept.get(index, ()),
        configuration=str(run.get("configuration") or ""),
    )


def _belief(stored: Mapping[str, Any] | None) -> Belief | None:
    if not stored:
        return None
    return Belief(
        int(stored.get("candidates") or 0),
        top=tuple((str(sha), str(title), float(p)) for sha, title, p in stored.get("top") or ()),
        spread=tuple(map(float, stored.get("spread") or ())),
        start=int(stored.get("start") or 0),
        width=int(stored.get("width") or 0),
    )


def _revisions(steps: Sequence[Step], stored: Sequence[Mapping[str, Any]]) -> tuple[Revision, ...]:
    """Tested commits in the order in which they were first tried."""
    facts = {str(one["commit"]): one for one in stored}
    made: dict[str, list[Step]] = {}
    for step in steps:
        made.setdefault(step.commit, []).append(step)
    return tuple(_revision(commit, of_it, facts.get(commit, {})) for commit, of_it in made.items())


def _titled(revision: Revision, result: Result, *, fix: bool) -> Revision:
    """The end of the range that is in no history has no title of its own."""
    if revision.commit != result.range[0]:
        return revision
    return replace(revision, title=f"the end that {result.words.has}" if fix else "the good end")


def _revision(commit: str, steps: Sequence[Step], facts: Mapping[str, Any]) -> Revision:
    outcomes = Counter(run.outcome for step in steps for run in step.runs)
    crashed = int(facts.get("crashed", outcomes[Outcome.CRASHED] + outcomes[Outcome.FAILED]))
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
