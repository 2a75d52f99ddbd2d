"""What a finished search comes to: the result for programs, and the log's last words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kbisect.bisection.outcome import Outcome
from pytest_kbisect.bisection.strategy import AnswerKind
from pytest_kbisect.kernel.maintainers import Recipients, recipients
from pytest_kbisect.reports import bisectlog
from pytest_kbisect.reports.result import Result

if TYPE_CHECKING:
    from pytest_kbisect.bisection.outcome import Run
    from pytest_kbisect.bisection.search import Search
    from pytest_kbisect.bisection.strategy import Answer
    from pytest_kbisect.kernel.tree import LinuxTree


def result_of(search: Search, answer: Answer, tree: LinuxTree) -> Result:
    """The answer with everything that goes with it."""
    culprit = None if answer.culprit is None else search.tested.get(answer.culprit)
    parent = search.tested.get(_parent(search, answer))
    crash = crash_of(search, answer)
    tested = list(search.tested.values())
    people = recipients(tree.path, search.sha(answer.culprit)) if answer.culprit is not None else Recipients()
    return Result(
        kind=answer.kind.value,
        range=(search.good, search.sha(search.history.bad_end)),
        culprit=search.sha(answer.culprit) if answer.culprit is not None else "",
        title=search.history.title(answer.culprit) if answer.culprit is not None else "",
        confidence=answer.confidence,
        reason=reason_of(search, answer),
        candidates=tuple((search.sha(i), search.history.title(i), p) for i, p in answer.candidates),
        crash=crash.title if crash else "",
        culprit_signature=culprit.signature if culprit else "",
        parent_signature=parent.signature if parent else "",
        flags=_flags(search, answer),
        recipients_to=people.to,
        recipients_cc=people.cc,
        revisions_tested=sum(not one.build_error for one in tested),
        builds=sum(not one.cached for one in tested),
        runs=sum(len(one.runs) for one in tested),
        seconds={
            "build": sum(one.build_seconds for one in tested),
            "test": sum(one.test_seconds for one in tested),
        },
        tested=tuple(facts_of(search, i) for i in search.tested),
    )


def facts_of(search: Search, index: int) -> dict[str, Any]:
    """What is told of one tested commit."""
    tested, tally = search.tested[index], search.evidence.tally(index)
    return {
        "commit": tested.commit,
        "title": search.history.title(index),
        "verdict": search.verdict(index).value,
        "signature": tested.signature,
        "compiler": tested.compiler,
        "runs": len(tested.runs),
        "crashed": tally.matching,
        "ok": tally.ok,
        "build_seconds": round(tested.build_seconds, 3),
        "test_seconds": round(tested.test_seconds, 3),
        "cached": tested.cached,
    }


def last_words(search: Search, answer: Answer, told: Result, tree: LinuxTree) -> list[str]:
    """The end of the log: the first bad commit as git shows it, signatures, times, people, the crash."""
    lines = []
    if told.culprit:
        lines += [f"{told.culprit} is the first bad commit", tree.describe(told.culprit).text, ""]
        lines.append(f"culprit signature: {told.culprit_signature}")
        lines.append(f"parent  signature: {told.parent_signature}")
        lines += _doubts(search, answer, told)
    build, test = told.seconds["build"], told.seconds["test"]
    lines.append(
        f"revisions tested: {told.revisions_tested}, total time: {bisectlog.duration(build + test)}"
        f" (build: {bisectlog.duration(build)}, test: {bisectlog.duration(test)})"
    )
    if told.culprit:
        lines.append(f"first bad commit: {told.culprit} {told.title}")
        lines.append(f"recipients (to): {bisectlog.go_list(told.recipients_to)}")
        lines.append(f"recipients (cc): {bisectlog.go_list(told.recipients_cc)}")
    elif answer.kind is AnswerKind.CANDIDATES and told.candidates:
        lines.append("bisection is inconclusive, the first bad commit could be any of:")
        lines += [sha for sha, _, _ in told.candidates]
    else:
        lines.append(f"error: {told.reason}")
    if crash := crash_of(search, answer):
        lines += [f"crash: {crash.title}", crash.report]
    return lines


def reason_of(search: Search, answer: Answer) -> str:
    """Why the answer is of its kind, in one line."""
    end = search.history.bad_end
    if answer.kind is AnswerKind.NOT_REPRODUCED:
        runs = search.evidence.runs(end)
        others = sorted({run.title for run in runs if run.outcome is Outcome.CRASHED})
        also = f" (other crashes seen: {', '.join(others)})" if others else ""
        matching = search.evidence.tally(end).matching
        return f"{matching} of {len(runs)} runs crashed on {search.sha(end)[:12]}: nothing to bisect{also}"
    if answer.kind is AnswerKind.BAD_AT_GOOD_END:
        tally = search.evidence.tally(-1)
        return (
            f"{tally.matching} of {tally.total} runs crashed on the good end {search.good[:12]} already: "
            "name an older one"
        )
    tested = search.tested.get(end)
    if answer.kind is AnswerKind.UNTESTABLE and tested is not None and tested.build_error:
        return f"{answer.reason}: {tested.build_error.splitlines()[0]}"
    return answer.reason


def crash_of(search: Search, answer: Answer) -> Run | None:
    """The crash to show: the culprit's, else the bad end's."""
    for index in (answer.culprit, search.history.bad_end):
        tested = None if index is None else search.tested.get(index)
        for run in tested.runs if tested else ():
            if run.outcome is Outcome.CRASHED and search.evidence.count([run]).matching:
                return run
    return None


def _parent(search: Search, answer: Answer) -> int:
    parent = search.parent_of(answer.culprit)
    return len(search.history) if parent is None else parent


def _flags(search: Search, answer: Answer) -> tuple[str, ...]:
    """What makes an answer doubtful: a merge; a culprit that builds its parent's kernel."""
    if answer.culprit is None:
        return ()
    flags = ["merge"] if search.history.is_merge(answer.culprit) else []
    signature = search.evidence.signature(answer.culprit)
    if signature and signature == search.evidence.signature(_parent(search, answer)):
        flags.append("no-op")
    return tuple(flags)


def _doubts(search: Search, answer: Answer, told: Result) -> list[str]:
    lines = []
    if "no-op" in told.flags:
        lines.append("WARNING: the culprit builds the same kernel as its parent: it cannot be the cause")
    if "merge" in told.flags:
        lines.append("note: the first bad commit is a merge: either side is good, together they are not")
    if search.evidence.tally(_parent(search, answer)).matching:
        lines.append("WARNING: the culprit's parent crashed too")
    return lines
