"""What a finished search comes to: the result for programs, and the log's last words."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_kbisect.bisection import known_log, metric_facts
from pytest_kbisect.enrichment import attempt
from pytest_kbisect.evidence.outcome import Outcome
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.kernel.maintainers import Recipients, recipients
from pytest_kbisect.reports import bisectlog
from pytest_kbisect.reports.result import Result
from pytest_kbisect.reports.words import short
from pytest_kbisect.strategies.release_tags import parse_release
from pytest_kbisect.strategies.strategy import AnswerKind
from pytest_kbisect.symptoms.metric import NAME as METRIC
from pytest_kbisect.symptoms.symptom import CRASH_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kbisect.bisection.search import Search
    from pytest_kbisect.bisection.stages import Finding
    from pytest_kbisect.evidence.outcome import Run
    from pytest_kbisect.kernel.tree import LinuxTree
    from pytest_kbisect.strategies.strategy import Answer


def result_of(finding: Finding) -> Result:
    """The answer, and what the search has found besides; nothing is asked for it."""
    search, answer = finding.search, finding.answer
    whole = finding.outer.search if finding.outer else search
    culprit = None if answer.culprit is None else search.found.get(answer.culprit)
    parent = search.found.get(_parent(search, answer))
    at, crash = crash_of(search, answer) or (None, None)
    metric = metric_facts.facts(search, answer)
    made = search.runner.made
    parts: Counter[str] = Counter()
    for one in made:
        parts.update(one.seconds_by)
        for run in one.runs:
            parts.update(run.seconds_by)
    return Result(
        kind=answer.kind.value,
        range=(whole.good, whole.sha(whole.history.bad_end)),
        named_good=finding.plan.ends.named_good,
        culprit=search.sha(answer.culprit) if answer.culprit is not None else "",
        title=search.history.title(answer.culprit) if answer.culprit is not None else "",
        confidence=answer.confidence,
        reason=reason_of(search, answer),
        candidates=tuple((search.sha(i), search.history.title(i), p) for i, p in answer.candidates),
        crash=metric_facts.title(search, answer) if metric else crash.title if crash else "",
        symptom=METRIC if metric else crash.symptom if crash else CRASH_NAME,
        crash_report=metric_facts.table(metric) if metric else crash.report if crash else "",
        metric=metric,
        crash_commit=search.sha(at) if at is not None else "",
        crash_configuration=crash.configuration if crash else "",
        crash_signature=crash.signature if crash else "",
        culprit_signature=culprit.signature if culprit else "",
        parent_signature=parent.signature if parent else "",
        flags=_flags(search, answer),
        revisions_tested=len({one.commit for one in made if not (one.build_error or one.absent)}),
        builds=sum(not (one.cached or one.absent or one.build_error) for one in made),
        runs=sum(len(one.runs) for one in made),
        seconds={
            "total": search.runner.spent,
            "build": sum(one.build_seconds for one in made),
            "test": sum(one.test_seconds for one in made),
            **{part: round(seconds, 3) for part, seconds in parts.items()},
        },
        tested=_all_facts(finding),
        fix=search.rules.fix,
        commits=len(whole.history),
        paths=finding.plan.paths,
        first_parent=finding.plan.first_parent,
        merge=finding.outer.search.sha(finding.outer.answer.culprit or 0) if finding.outer else "",
        confirmation=_confirmation(finding),
        known=known_log.facts(
            finding.plan.known,
            finding.plan.trust,
            search.history,
            lambda index: _affected(search, index, answer),
            fix=search.rules.fix,
        ),
        hosts=_hosts(search),
    )


def _hosts(search: Search) -> dict[str, dict[str, Any]]:
    """What each host did: sessions, their seconds, runs, those that failed because of the host, and on
    what.
    """
    found: dict[str, dict[str, Any]] = {}
    for one in search.runner.made:
        if not one.host:
            continue
        facts = found.setdefault(
            one.host, {"sessions": 0, "seconds": 0.0, "runs": 0, "failed": 0, "machine": ""}
        )
        facts["sessions"] += 1
        facts["seconds"] = round(facts["seconds"] + one.build_seconds + one.test_seconds, 3)
        facts["runs"] += len(one.runs)
        facts["failed"] += sum(run.outcome is Outcome.INFRA_FAILED for run in one.runs)
        facts["machine"] = next((run.machine for run in one.runs if run.machine), facts["machine"])
    return found


def looked_up(result: Result, tree: LinuxTree, note: Callable[[str], None]) -> Result:
    """The answer with what the tree says of the culprit: its parents, and whether it is a release."""
    if not result.culprit:
        return result
    nothing: tuple[str, ...] = ()
    what = "the culprit's parents are not known"
    parents = attempt(what, lambda: tree.parents(result.culprit), nothing, note)
    what = "not known whether the culprit is a release"
    tags = attempt(what, lambda: tree.tags_at(result.culprit), nothing, note)
    release = ("release",) if any(parse_release(tag) for tag in tags) else ()
    branch = ("branch",) if result.first_parent and not result.merge and len(parents) > 1 else ()
    return replace(result, parents=parents, flags=(*result.flags, *release, *branch))


def addressed(result: Result, tree: LinuxTree, note: Callable[[str], None]) -> Result:
    """The answer with the people to tell."""
    if not result.culprit:
        return result
    what, nobody = "no recipients", Recipients()
    people = attempt(what, lambda: recipients(tree.path, result.culprit, note), nobody, note)
    return replace(result, recipients_to=people.to, recipients_cc=people.cc)


def _all_facts(finding: Finding) -> tuple[dict[str, Any], ...]:
    """What is told of each tested commit; of those of both steps, what the second one says."""
    inner = {i: facts_of(finding.search, i, finding.answer) for i in finding.search.found}
    told = {facts["commit"]: facts for facts in inner.values()}
    if finding.outer is None:
        return tuple(told.values())
    outer = finding.outer
    first = [facts_of(outer.search, i, outer.answer) for i in outer.search.found]
    positions = {facts["commit"]: facts["position"] for facts in first}
    later = [facts | {"position": positions.get(sha, outer.answer.culprit)} for sha, facts in told.items()]
    return (*(facts for facts in first if facts["commit"] not in told), *later)


def _confirmation(finding: Finding) -> dict[str, Any]:
    search, answer, check = finding.search, finding.answer, finding.revert
    if answer.culprit is None:
        return {}

    def counts(index: int) -> list[int]:
        counts = search.evidence.counts(index)
        return [counts.matching, counts.total]

    known = {"revert": check.outcome, "revert_why": check.why, "revert_runs": [check.crashed, check.total]}
    seen = search.witness(_without_crash(search, answer))
    return {
        "culprit": counts(answer.culprit),
        "parent": counts(_parent(search, answer)),
        "reached": list(seen.reached),
        "unreached": list(seen.unreached),
        "hosts": _hosts_of_both(search, answer.culprit, _parent(search, answer)),
        **known,
    }


def _hosts_of_both(search: Search, *commits: int) -> list[str]:
    """The hosts on which all of these commits had runs of their own."""
    each = [
        {run.host for run in search.found[i].runs if run.host} if i in search.found else set()
        for i in commits
    ]
    return sorted(set.intersection(*each))


def facts_of(search: Search, index: int, answer: Answer) -> dict[str, Any]:
    """What is told of one tested commit."""
    tested, counts = search.found[index], search.evidence.counts(index)
    return {
        "commit": tested.commit,
        "title": search.history.title(index),
        "verdict": search.verdict(index).value,
        "signature": tested.signature,
        "compiler": tested.compiler,
        "runs": len(tested.runs),
        "crashed": counts.matching,
        "ok": counts.ok,
        "silent": counts.silent,
        "reports": dict(Counter(one.title for run in search.evidence.runs(index) for one in run.shown)),
        "build_seconds": round(tested.build_seconds, 3),
        "test_seconds": round(tested.test_seconds, 3),
        "seconds_by": {part: round(seconds, 3) for part, seconds in tested.seconds_by.items()},
        "cached": tested.cached,
        "position": max(index, GOOD_END),
        "hosts": dict(Counter(run.host for run in tested.runs if run.host)),
        "build_error": tested.build_error,
        "absent": tested.absent,
        "affected": _affected(search, index, answer),
    }


def _affected(search: Search, index: int, answer: Answer) -> bool | None:
    """Whether a commit contains the culprit; of several candidates all, or none, else None."""
    suspects = [i for i, _ in answer.candidates] if answer.culprit is None else [answer.culprit]
    if index < 0:
        return False if suspects else None
    contained = search.history.ancestry.ancestors(index)
    found = {bool(contained[i]) for i in suspects}
    return found.pop() if len(found) == 1 else None


def last_words(finding: Finding, result: Result, tree: LinuxTree, note: Callable[[str], None]) -> list[str]:
    """The answer in words: the first bad commit as git shows it, signatures, times."""
    word = "good" if result.fix else "bad"
    lines = [
        f"# outvoted: {short(one['commit'])} is {one['verdict']} ({one['where']})"
        for one in result.known
        if one["outvoted"]
    ]
    if result.culprit:
        what = "git does not show the culprit"
        shown = attempt(what, lambda: tree.describe(result.culprit).text, "", note)
        lines += [f"{result.culprit} is the first {word} commit", *filter(None, [shown]), ""]
        lines += _convinced(finding, result)
        lines.append(f"culprit signature: {result.culprit_signature}")
        lines.append(f"parent  signature: {result.parent_signature}")
    total, build, test = (bisectlog.duration(result.seconds[part]) for part in ("total", "build", "test"))
    lines.append(
        f"revisions tested: {result.revisions_tested}, total time: {total} (build: {build}, test: {test})"
    )
    if took := bisectlog.took(finding.search.runner.made):
        lines.append(f"# took {took}")
    if result.culprit:
        lines.append(f"first {word} commit: {result.culprit} {result.title}")
    elif result.kind == AnswerKind.CANDIDATES and result.candidates:
        lines.append(f"bisection is inconclusive, the first {word} commit could be any of:")
        lines += [sha for sha, _, _ in result.candidates]
    else:
        lines.append(f"error: {result.reason}")
    return lines


def people_words(result: Result) -> list[str]:
    """The people to tell, where there is a culprit."""
    if not result.culprit:
        return []
    return [
        f"recipients (to): {bisectlog.go_list(result.recipients_to)}",
        f"recipients (cc): {bisectlog.go_list(result.recipients_cc)}",
    ]


def crash_words(result: Result) -> list[str]:
    """The very end: the crash, where one was seen."""
    kind = "crash" if result.symptom == CRASH_NAME else "failure"
    return [f"{kind}: {result.crash}", result.crash_report] if result.crash else []


def _convinced(finding: Finding, result: Result) -> list[str]:
    """How sure the answer is, by what, and what speaks against it."""
    found, had = result.confirmation, result.words.had
    culprit, parent = (f"{crashed} of {total} runs" for crashed, total in (found["culprit"], found["parent"]))
    seen = f"the culprit {had} in {culprit}, its parent in {parent}"
    if result.metric:
        seen = metric_facts.convinced(finding.search, finding.answer)
    lines = [f"# confidence: {result.confidence:.1%}; {seen}"]
    lines += metric_facts.step_lines(result.metric)
    what = "the end of the range without the culprit"
    crashed, total = found["revert_runs"]
    outcomes = {
        "passed": f"# {what} {had} in {crashed} of {total} runs: confirmed",
        "crashed": f"# WARNING: {what} {had} in {crashed} of {total} runs: there is more to this {result.words.noun}",
        "unclear": f"# {what}: {found['revert_why']}",
    }
    lines.append(
        outcomes.get(result.confirmation["revert"], f"# {what} was not tested: {found['revert_why']}")
    )
    lines += _witnessed(finding, result)
    lines += [f"# {words}" for flag, words in _FLAGS.items() if flag in result.flags]
    parent_counts = finding.search.evidence.counts(_parent(finding.search, finding.answer))
    if parent_counts.matching and not result.fix and not result.metric:
        lines.append(f"# WARNING: the culprit's parent {had} too")
    return lines


def _witnessed(finding: Finding, result: Result) -> list[str]:
    """Whether the runs that did not crash came to the code of the crash."""
    search, answer = finding.search, finding.answer
    seen = search.witness(_without_crash(search, answer))
    where = "the fixed kernel" if result.fix else "the culprit's parent"
    if not seen.functions:
        return []
    if not search.unreached(_without_crash(search, answer)):
        seen = replace(seen, functions=seen.reached + seen.absent)
    reached = (
        f"its runs reached {', '.join(seen.reached)}" if seen.reached else "its runs reached none of these"
    )
    if seen.missing:
        return [f"# WARNING: no run of {where} reached {seen.missing} ({reached}): the bug may be there too"]
    absent = f"; {', '.join(seen.absent)} is not in its kernel" if seen.absent else ""
    return [f"# {where} {result.words.has_not}, and {reached}{absent}"]


def reason_of(search: Search, answer: Answer) -> str:
    """Why the answer is of its kind, in one line."""
    end = search.evidence.reported
    if search.evidence.measures:
        return answer.reason
    if answer.kind is AnswerKind.NOT_REPRODUCED:
        runs = search.evidence.runs(end)
        others = sorted(_crashes(search, end))
        also = f" (other crashes seen: {', '.join(others)})" if others else ""
        matching = search.evidence.counts(end).matching
        return f"{matching} of {len(runs)} runs {search.evidence.wording.had} on {search.sha(end)[:12]}: nothing to bisect{also}"
    if answer.kind is AnswerKind.BAD_AT_GOOD_END:
        counts = search.evidence.counts(GOOD_END)
        where = "where the branches part" if search.rules.check_good else "the good end"
        return (
            f"{counts.matching} of {counts.total} runs {search.evidence.wording.had} on {where}, {search.good[:12]}, already: "
            f"name an older one{_meant(search, end, GOOD_END)}"
        )
    if answer.kind is AnswerKind.NOT_FIXED:
        return f"{answer.reason}{_meant(search, end, search.history.bad_end)}"
    tested = search.found.get(end)
    if answer.kind is AnswerKind.UNTESTABLE and tested is not None and tested.build_error:
        return f"{answer.reason}: {tested.build_error.splitlines()[0]}"
    return answer.reason


def _meant(search: Search, end: int, other: int) -> str:
    """What may be meant where both ends crash: the crashes of one that the other has not."""
    only = sorted(_crashes(search, end) - _crashes(search, other))
    return f"; or is it {' or '.join(only)}? then say so in the reproducer (kbisect-crash:)" if only else ""


def _crashes(search: Search, index: int) -> set[str]:
    """The titles of a commit's crashes."""
    return {report.title for run in search.evidence.runs(index) for report in run.shown}


def crash_of(search: Search, answer: Answer) -> tuple[int, Run] | None:
    """The crash to show, and where it was: the culprit's, else the reported commit's."""
    order = (answer.culprit, search.evidence.reported)
    for index in reversed(order) if search.rules.fix else order:
        tested = None if index is None else search.found.get(index)
        for run in tested.runs if tested else ():
            if index is None:
                continue
            if run.metric and search.evidence.counts(index).matching:
                return index, run
            if run.outcome.shows_symptom and search.evidence.count([run]).matching:
                return index, search.evidence.known_by(run)
    return None


_FLAGS = {
    "no-op": "WARNING: the culprit builds the same kernel as its parent: it cannot be the cause",
    "merge": "note: the first bad commit is a merge: either side is good, together they are not",
    "branch": "note: the first bad commit on the first-parent line is a merge: the cause is a commit that it brought in, or the merge itself; --kbisect-into-merge finds out",
    "release": "WARNING: the culprit is a release, which changes nothing but its name: it is unlikely to be the cause",
}
"""What is said of an answer that is doubtful for what its commit is."""


def _parent(search: Search, answer: Answer) -> int:
    parent = search.parent_of(answer.culprit)
    return len(search.history) if parent is None else parent


def _without_crash(search: Search, answer: Answer) -> int:
    """The commit beside the change that does not crash: the culprit's parent, or the fix itself."""
    assert answer.culprit is not None
    return answer.culprit if search.rules.fix else _parent(search, answer)


def _flags(search: Search, answer: Answer) -> tuple[str, ...]:
    """What makes an answer doubtful, by what was tested."""
    if answer.culprit is None:
        return ()
    flags = []
    if search.history.is_merge(answer.culprit):
        flags.append("merge")
    signature = search.evidence.signature(answer.culprit)
    if signature and signature == search.evidence.signature(_parent(search, answer)):
        flags.append("no-op")
    if search.unreached(_without_crash(search, answer)):
        flags.append("unreached")
    return tuple(flags)
