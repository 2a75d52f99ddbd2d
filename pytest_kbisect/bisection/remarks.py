"""What a strategy says of its state after an experiment, for the log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_kbisect.bisection import metric_facts
from pytest_kbisect.evidence.by_host import by_host, difference
from pytest_kbisect.evidence.related import why_related
from pytest_kbisect.evidence.witness import witness_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.bisection.search import Search
    from pytest_kbisect.evidence.failure import Failure
    from pytest_kbisect.evidence.outcome import Run


def remarks(search: Search, index: int) -> list[str]:
    """What is made of the latest experiment, at `index`."""
    lines = [*metric_facts.lines(search, index), *_more_reports(search, index), *_reach(search, index)]
    if search.evidence.counts(search.evidence.reported).matching:
        lines += [*_of_another_bug(search, index), *_related(search, index), *_hosts(search, index)]
    return lines + search.strategy.explain(search.evidence, index, search.sha)


def _more_reports(search: Search, index: int) -> list[str]:
    """What runs at a commit showed besides what they are known by, and what that was cut short by."""
    if index not in search.found:
        return []
    runs = search.evidence.runs(index)
    shown = Counter(
        report.title
        for run in map(search.evidence.known_by, runs)
        for report in {one.title: one for one in run.shown}.values()
        if report.title != run.title
    )
    lines = [f"# also reported: {title} (in {of_runs(count, len(runs))})" for title, count in shown.items()]
    settings = Counter(run.cut_short for run in runs if run.cut_short)
    lines += [
        f"# {setting} made the kernel panic in {of_runs(count, len(runs))}: what else they would have shown is not known"
        for setting, count in settings.items()
    ]
    if index == search.evidence.reported:
        lines += _failure(search.evidence.failure)
    return lines


def _failure(failure: Failure) -> list[str]:
    """Which of the reports of the commit that the bug was reported on are taken for the bug's."""
    main, count = failure.principal, failure.runs or {}
    lines = [
        f"# {title}: the same failure as {main}, it came with that every time" for title in failure.joined
    ]
    lines += [
        f"# {title}: followed {main} in {of_runs(count[title], count[main])}: it does not count by itself"
        for title in failure.followers
    ]
    lines += [
        f"# {title}: if that is the bug you look for, name it in the reproducer (kbisect-crash:)"
        for title in failure.independent
    ]
    return lines


def _reach(search: Search, index: int) -> list[str]:
    """Whether the runs at a commit that ended well came to the code of the crash."""
    path = search.evidence.path
    if index not in search.found or not path:
        return []
    runs = search.evidence.runs(index)
    lines = []
    if index == search.evidence.reported and any(run.idle for run in search.found[index].runs[-1:]):
        lines.append(f"# runs that come to the bug execute {', '.join(path)}")
    if silent := search.evidence.counts(index).silent:
        missing = witness_of(path, runs).missing or path[0]
        lines.append(
            f"# {of_runs(silent, len(runs))} ended well without executing {missing}: they say nothing of the bug"
        )
    if search.evidence.closed and index == search.clean_end:
        lines.append(
            f"# the end without the bug does not execute {path[0]} either: the search is for the commit that opens the way there"
        )
    lines += _without_a_place(path, runs)
    if why := next((run.unwatched for run in runs if run.unwatched), ""):
        lines.append(f"# {of_runs(sum(bool(run.unwatched) for run in runs), len(runs))} not watched: {why}")
    return lines


def _without_a_place(path: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """Functions of the crash that cannot be watched in a kernel."""
    inlined = [name for name in path if any(name in run.inlined for run in runs)]
    absent = [name for name in path if any(name in run.absent for run in runs)]
    lines = [f"# not in this kernel by name (inlined?): {', '.join(inlined)}"] if inlined else []
    return lines + ([f"# not in this kernel's source: {', '.join(absent)}"] if absent else [])


def of_runs(count: int, total: int) -> str:
    """Such a part of so many runs, in words."""
    return f"{count} of {total} runs"


def _of_another_bug(search: Search, index: int) -> list[str]:
    """Crashes at a commit that are like the bug's, and are not the bug's all the same."""
    shown = {report.title for run in search.evidence.runs(index) for report in run.shown}
    others = search.evidence.others
    return [f"# {title}: another bug, {others[title]}" for title in sorted(shown & others.keys())]


def _hosts(search: Search, index: int) -> list[str]:
    """Whether the bug shows more often on some hosts than on others, in runs of one kernel."""
    counts = by_host(search.evidence.runs(index), search.evidence.count)
    found = difference(counts)
    if found is None:
        return []
    each = "; ".join(
        f"{one.host} ({one.machine or 'unknown'}) {of_runs(one.crashed, one.total)}" for one in counts
    )
    return [f"# the crash rate differs between hosts (p = {found[1]:.1g}): {each}"]


def _related(search: Search, index: int) -> list[str]:
    """Crashes at a commit that may be the bug by another name, and why."""
    evidence = search.evidence
    known = map(evidence.known_by, evidence.runs(index))
    related = {run.title: run for run in known if evidence.count([run]).related}
    return [
        f"# {title}: may be the same bug{f', {why}' if (why := why_related(run, evidence.reference)) else ''}"
        for title, run in related.items()
    ]
