"""What a bisection of a metric has found, in numbers and words: values, steps, and a title for the change."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_kbisect.evidence import measured
from pytest_kbisect.evidence.measured import number, percent
from pytest_kbisect.evidence.steps import Point, chain, steps
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.reports.words import count, short
from pytest_kbisect.strategies.strategy import AnswerKind

if TYPE_CHECKING:
    from pytest_kbisect.bisection.search import Search
    from pytest_kbisect.strategies.strategy import Answer

_COLUMNS = "   median  95 % interval       runs"


def title(search: Search, answer: Answer) -> str:
    """The change, as a report is titled: `NAME: 118 instead of 100 (+18 %)`; "" if there is none."""
    evidence = search.evidence
    contrast = evidence.contrast
    if contrast is None or not contrast.worse:
        return ""
    now, before = (contrast.good, contrast.bad) if search.rules.fix else (contrast.bad, contrast.good)
    parent = search.parent_of(answer.culprit)
    if answer.culprit is not None and parent is not None:
        now = evidence.values(answer.culprit) or now
        before = evidence.values(parent) or before
    found = measured.difference(now, before)
    part = f" ({percent(found.part)})" if found.part is not None else ""
    return f"{name(evidence.metric)}: {number(median(now))} instead of {number(found.base)}{part}"


def name(metric: str) -> str:
    """The name of a metric, without its direction."""
    return metric.rpartition(" ")[0]


def facts(search: Search, answer: Answer) -> dict[str, Any]:
    """The metric for the result; empty where runs measure none."""
    evidence = search.evidence
    if not evidence.metric:
        return {}
    tested = [i for i in evidence.tried if evidence.values(i)]
    return {
        "name": name(evidence.metric),
        "worse": evidence.metric.rpartition(" ")[2],
        "points": [_point(search, i) for i in sorted(tested)],
        "steps": [
            asdict(step)
            | {"low": search.sha(step.low), "high": search.sha(step.high), "commits": step.high - step.low}
            | {"part": measured.Difference(step.change, step.before, sure=True).part}
            for step in _steps(search, answer)
        ],
    }


def _point(search: Search, index: int) -> dict[str, Any]:
    values = search.evidence.values(index)
    low, high = measured.interval(values)
    return {
        "commit": search.sha(index),
        "position": max(index, GOOD_END),
        "runs": len(values),
        "median": median(values),
        "low": low,
        "high": high,
    }


def _steps(search: Search, answer: Answer) -> tuple[Any, ...]:
    evidence, ancestry = search.evidence, search.history.ancestry
    contrast = evidence.contrast
    if contrast is None or not contrast.worse or answer.kind is AnswerKind.NOT_REPRODUCED:
        return ()
    ends = {GOOD_END, search.history.bad_end}
    points = [Point(i, evidence.values(i)) for i in evidence.tried if evidence.values(i)]
    if not ends <= {point.index for point in points}:
        return ()

    def contains(newer: int, older: int) -> bool:
        return older == GOOD_END or (newer >= 0 and bool(ancestry.ancestors(newer)[older]))

    return steps(chain(points, contains))


def lines(search: Search, index: int) -> list[str]:
    """What is made of the values of a commit, for the log."""
    evidence = search.evidence
    values = evidence.values(index)
    if not values:
        return []
    low, high = measured.interval(values)
    text = (
        f"# {name(evidence.metric)}: median {number(median(values))} ({number(low)} to {number(high)}) in "
        f"{count(len(values), 'run')}"
    )
    if (
        evidence.contrast is None
        or not evidence.contrast.worse
        or index in {evidence.reported, evidence.other_end}
    ):
        return [text]
    counts = evidence.counts(index)
    like = "the bad end" if counts.matching else "the good end" if counts.ok else "neither end"
    if search.rules.fix:
        like = {"the bad end": "the good end", "the good end": "the bad end"}.get(like, like)
    return [f"{text}: like {like}"]


def table(metric: dict[str, Any]) -> str:
    """All values in order, and the steps between them, as text."""
    if not metric:
        return ""
    rows = [
        f"{metric['name']} by commit, oldest first ({metric['worse']} is worse)",
        "",
        f"commit        {_COLUMNS}",
    ]
    starts = {step["high"]: step for step in metric["steps"]}
    for point in metric["points"]:
        if step := starts.get(point["commit"]):
            rows.append(f"-- {_words(step)}")
        held = f"{number(point['low'])} to {number(point['high'])}"
        rows.append(f"{short(point['commit'])} {number(point['median']):>10}  {held:<20} {point['runs']:>5}")
    return "\n".join(rows)


def step_lines(metric: dict[str, Any]) -> list[str]:
    """The steps for the log, if there are several."""
    if len(metric.get("steps", ())) < 2:
        return []
    return [f"# {metric['name']} changes in {len(metric['steps'])} steps:"] + [
        f"#   {_words(step)}" for step in metric["steps"]
    ]


def _words(step: dict[str, Any]) -> str:
    part = f" ({percent(step['part'])})" if step["part"] is not None else ""
    change = f"{number(step['before'])} to {number(step['after'])}{part}"
    if step["commits"] == 1:
        return f"{change} at {short(step['high'])}"
    return f"{change} in {short(step['low'])}..{short(step['high'])}, {count(step['commits'], 'commit')}"


def convinced(search: Search, answer: Answer) -> str:
    """What culprit and parent measure, in words."""
    parent = search.parent_of(answer.culprit)
    if answer.culprit is None or parent is None:
        return ""

    def words(index: int) -> str:
        values = search.evidence.values(index)
        if not values:
            return "nothing"
        low, high = measured.interval(values)
        return f"{number(median(values))} ({number(low)} to {number(high)}, {count(len(values), 'run')})"

    return f"the culprit measures {words(answer.culprit)}, its parent {words(parent)}"
