"""`report.html`: the whole bisection as one file that needs nothing else, no network and no script."""

from __future__ import annotations

import functools
import re
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_kbisect.evidence.measured import number
from pytest_kbisect.evidence.outcome import Outcome
from pytest_kbisect.reports import consoles, picture, values_chart, words
from pytest_kbisect.reports.conditions import conditions
from pytest_kbisect.reports.report_model import UNFINISHED, State
from pytest_kbisect.reports.text import plain
from pytest_kbisect.reports.trailers import fixes, regzbot, without
from pytest_kbisect.symptoms.symptom import CRASH_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jinja2 import Template

    from pytest_kbisect.reports.report_model import ReportModel, Revision, RunFacts
    from pytest_kbisect.reports.result import Result

CONSOLES = 3 << 20
"""Bytes of consoles in one page: with this a page of 60 commits with 20 runs each opens within a second."""
_ONE_CONSOLE = 16 << 10
_TEXTS = 1 << 20
"""Characters of crash texts and build errors in one page."""
_ONE_TEXT = 24 << 10
_CONFIG = 256 << 10

_NUMBERS = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{2,}\b|\d+")
_OUTCOMES = {
    Outcome.OK: "ran to its end",
    Outcome.CRASHED: "crashed",
    Outcome.FAILED: "failed",
    Outcome.SILENT: "no evidence",
    Outcome.BOOT_FAILED: "did not boot",
    Outcome.INFRA_FAILED: "host failure",
    Outcome.BUILD_FAILED: "did not build",
}
_KINDS = {
    "candidates": "The answer is one of several commits",
    "not-reproduced": "The {noun} was not reproduced at the bad end",
    "bad-at-good-end": "The good end {has} already",
    "bad-at-oldest": "The oldest release that can be tested {has} already",
    "good-release": "A release that {has_not}",
    "untestable": "The ends of the range cannot be tested",
    "not-fixed": "The {noun} is not fixed in this range",
    UNFINISHED: "This bisection has not finished",
}
_SILENT = {CRASH_NAME: "did not reach the bug's code"}
_ALL_SILENT = {CRASH_NAME: "no run reached the bug's code"}
_DOUBTS = {
    "merge": "The commit is a merge: each side is good, the combination is not.",
    "no-op": "The commit builds the same kernel as its parent, so it cannot be the cause.",
    "release": "The commit only changes the version, so it is unlikely to be the cause.",
    "unreached": "The runs without a crash did not reach all functions of the crash: the bug may be there, too.",
}


@dataclass(frozen=True, slots=True)
class Text:
    """A crash's text (or none, and the commit at which it was shown), and the runs that ended so."""

    title: str
    runs: str
    text: str
    as_at: str = ""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run in its revision's list. `files` are links relative to the page."""

    number: int
    words: str
    seconds: str
    console: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RevisionView:
    """A tested commit as the page shows it."""

    revision: Revision
    word: str
    counts: str
    seconds: str
    texts: tuple[Text, ...]
    runs: tuple[RunView, ...]
    build_error: str


@dataclass
class _Budget:
    """Bytes and characters that the page may still take; crash texts that it has shown already."""

    consoles: int
    one_console: int
    texts: int = _TEXTS
    shown: dict[str, str] = field(default_factory=dict)


def render(story: ReportModel) -> str:
    """The page. The files of the story's folder are read, within bounds; what is not there is left out."""
    return template("report.html.j2").render(_context(story))


@functools.cache
def template(name: str) -> Template:
    """A template of this package, with the filters of reports."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters |= {
        "short": words.short,
        "percent": words.percent,
        "duration": words.duration,
        "count": words.count,
        "command": shlex.join,
    }
    return environment.get_template(name)


def _printable(value: Any) -> Any:
    """What a page can hold; what a macro made is already so."""
    return plain(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _context(story: ReportModel) -> dict[str, Any]:
    result = story.result
    rows = picture.rows(story)
    found = result.kind == "culprit"
    began = next((step.time for step in story.steps if step.time), None)
    return {
        "story": story,
        "result": result,
        "said": result.words,
        "found": found,
        "first": "first good commit" if story.fix else "first bad commit",
        "title": result.title if found else _kind(result),
        "sure": _sure(story),
        "doubts": _doubts(story),
        "conditions": tuple(conditions(story)),
        "date": f"{datetime.fromtimestamp(began, UTC):%-d %B %Y}" if began else "",
        "fixes": fixes(story),
        "regzbot": regzbot(story),
        "rows": rows,
        "drawn": any(row.marks for row in rows),
        "believed": any(step.belief is not None for step in story.steps),
        "revert": without(story),
        "values": values_chart.chart(result.metric),
        "times": _shares(story.seconds_by),
        "guest_times": _shares(_guest_seconds(story)),
        "groups": _same_kernels(story),
        "revisions": _revisions(story),
        "config": _file(story, story.config),
        "names": sorted({name.rpartition("/")[2] for name in story.reproducers}),
        "State": State,
    }


def _kind(result: Result) -> str:
    """What came of a bisection without a culprit."""
    words = result.words
    text = _KINDS.get(result.kind, result.kind)
    return text.format(noun=words.noun, has=words.has, has_not=words.has_not)


def _sure(story: ReportModel) -> str:
    """How sure the answer is, in a sentence."""
    result = story.result
    if result.kind == "candidates" and result.candidates:
        return f"{words.count(len(result.candidates), 'commit')} may be the answer; no test tells them apart."
    if result.kind != "culprit":
        return ""
    if story.strategy == "classic" and result.confidence >= 1:
        return "By git bisect's rules, every other commit of the range is ruled out."
    return f"The probability that this answer is right is {words.percent(result.confidence)}."


def _doubts(story: ReportModel) -> list[str]:
    """What speaks against the answer."""
    doubts = [_DOUBTS[flag] for flag in story.result.flags if flag in _DOUBTS]
    return doubts + ([without(story)] if story.confirmation.revert == "crashed" else [])


def _guest_seconds(story: ReportModel) -> dict[str, float]:
    """What the guests spent, one by one, whichever ran side by side."""
    total: dict[str, float] = {}
    for step in story.steps:
        for run in step.runs:
            for kind, seconds in run.seconds_by.items():
                total[kind] = total.get(kind, 0.0) + seconds
    return total


def _shares(seconds_by: Any) -> list[tuple[str, float, float]]:
    """(kind, seconds, per cent of the longest) of what took any time."""
    longest = max(seconds_by.values(), default=0.0)
    return [(kind, s, round(100 * s / longest, 2)) for kind, s in seconds_by.items() if s > 0]


def _same_kernels(story: ReportModel) -> list[tuple[str, list[Revision]]]:
    """Signatures that several tested commits share."""
    groups: dict[str, list[Revision]] = {}
    for revision in story.revisions:
        if revision.signature:
            groups.setdefault(revision.signature, []).append(revision)
    return [(signature, members) for signature, members in groups.items() if len(members) > 1]


# -- each commit -------------------------------------------------------------------------------------


def _revisions(story: ReportModel) -> list[RevisionView]:
    number = sum(len(run.consoles) for revision in story.revisions for run in revision.runs)
    budget = _Budget(CONSOLES, min(_ONE_CONSOLE, max(1024, CONSOLES // max(number, 1))))
    return [_view(story, revision, budget) for revision in story.revisions]


def _view(story: ReportModel, revision: Revision, budget: _Budget) -> RevisionView:
    counts = ""
    point = _points(story).get(revision.commit)
    if point:
        counts = f"{number(point['median'])} ({number(point['low'])} to {number(point['high'])}) in {words.count(point['runs'], 'run')}"
    elif revision.crashed + revision.ok:
        had = story.result.words.had
        counts = f"{revision.crashed} of {revision.crashed + revision.ok} runs {had}"
        if silent := revision.facts.get("silent"):
            counts += f", {silent} more {_SILENT.get(story.result.symptom, 'say nothing of it')}"
    elif revision.facts.get("silent"):
        counts = _ALL_SILENT.get(story.result.symptom, "no run says anything of it")
    elif revision.build_error:
        counts = "does not build"
    elif revision.runs:
        counts = "no run gave a result"
    return RevisionView(
        revision,
        word=story.word(revision.state),
        counts=counts,
        seconds=words.duration(sum(step.seconds for step in revision.steps)),
        texts=tuple(_texts(revision, budget)),
        runs=tuple(_run(story, i, run, budget) for i, run in enumerate(revision.runs)),
        build_error=_cut(revision.build_error, budget),
    )


def _points(story: ReportModel) -> dict[str, Mapping[str, Any]]:
    """What each commit has measured."""
    return {str(one["commit"]): one for one in story.result.metric.get("points") or ()}


def _texts(revision: Revision, budget: _Budget) -> Iterable[Text]:
    """The crash texts of a commit, each once: what differs in numbers only is the same crash."""
    groups: dict[str, list[int]] = {}
    first: dict[str, tuple[str, str]] = {}
    for i, run in enumerate(revision.runs):
        for title, report in run.reports:
            if report:
                kind = f"{title}\n{_NUMBERS.sub('N', report)}"
                first.setdefault(kind, (title, report))
                groups.setdefault(kind, []).append(i)
    for kind, found in groups.items():
        title, report = first[kind]
        members = sorted(set(found))
        runs = ("run " if len(members) == 1 else "runs ") + words.ranges(members)
        if kind in budget.shown:
            yield Text(title, runs, "", as_at=budget.shown[kind])
        else:
            budget.shown[kind] = revision.commit
            yield Text(title, runs, _cut(report, budget))


def _cut(text: str, budget: _Budget) -> str:
    """The text, or its beginning where the page has no room for more."""
    room = min(_ONE_TEXT, budget.texts)
    budget.texts -= min(len(text), room)
    return text if len(text) <= room else f"{text[:room]}\n[cut here: see journal.jsonl]"


def _run(story: ReportModel, number: int, run: RunFacts, budget: _Budget) -> RunView:
    ends = []
    for path in run.consoles:
        if budget.consoles > 0:
            text = consoles.end(path, min(budget.one_console, budget.consoles))
            budget.consoles -= len(text.encode("utf-8", "replace"))
            ends.append(text)
    titles = list(dict.fromkeys(title for title, _ in run.reports if title)) or [run.title]
    said = _OUTCOMES[run.outcome] + (f": {', '.join(titles)}" if any(titles) else "")
    said += f" (configuration {run.configuration})" if run.configuration else ""
    return RunView(
        number,
        said,
        words.duration(run.seconds) if run.seconds else "",
        "\n--- another test of this run ---\n".join(ends),
        tuple(quote(path.relative_to(story.folder).as_posix()) for path in run.consoles),
    )


def _file(story: ReportModel, name: str) -> str:
    """The text of a file of the folder; empty where there is none."""
    return consoles.end(story.folder / name, _CONFIG) if name else ""
