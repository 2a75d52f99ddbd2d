"""`git-bisect.log`: the search as `git bisect replay` reads it, which leaves git at the same answer.

git knows three words and no probabilities. A verdict that the answer overrules (a flaky crash that
did not show, say) is kept as a comment; what the answer implies without a test is told to git, and
marked. Where a fix was looked for, the words are git's own `old` (crashes) and `new` (fixed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.reports.report_model import State
from pytest_kbisect.reports.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kbisect.reports.report_model import ReportModel, Revision


def text(story: ReportModel) -> str:
    """The log; empty where the ends of the range were not what a bisection needs."""
    good, bad = story.result.range
    old, new = ("old", "new") if story.fix else ("good", "bad")
    wrong = {good: new, bad: old}
    if not good or not bad or any(_word(story, end) == wrong.get(end.commit) for end in story.revisions):
        return ""
    lines = ["# git bisect replay git-bisect.log", "git bisect start"]
    verdicts = {bad: new, good: old}
    for sha in (bad, good):
        lines += _verdicts_of(story, verdicts[sha], sha)
    last_new = bad
    for revision in story.revisions:
        if revision.commit in verdicts or not any(step.phase == "search" for step in revision.steps):
            continue
        word = _word(story, revision)
        if _overruled(story, revision, word == new):
            lines.append(f"# {word}, overruled by the answer: [{revision.commit}] {one_line(revision.title)}")
            continue
        lines += _verdicts_of(story, word, revision.commit)
        verdicts[revision.commit] = word
        last_new = revision.commit if word == new else last_new
    lines += _implied(story, verdicts, last_new)
    return "\n".join(lines) + "\n"


def _word(story: ReportModel, revision: Revision) -> str:
    """Git's word for a commit; one that branched off before the bug came in is not the fix."""
    if story.fix and revision.absent:
        return "old"
    if revision.state is State.UNTESTABLE:
        return "skip"
    if story.fix:
        return "old" if revision.state is State.CRASHES else "new"
    return "bad" if revision.state is State.CRASHES else "good"


def _verdicts_of(story: ReportModel, word: str, sha: str) -> list[str]:
    known = story.by_commit.get(sha)
    title = story.result.title if sha == story.result.culprit else known.title if known else ""
    return [f"# {word}: [{sha}] {one_line(title)}".rstrip(), f"git bisect {word} {sha}"]


def _overruled(story: ReportModel, revision: Revision, is_new: bool) -> bool:
    """Whether git, given these verdicts, could not come to the same answer."""
    if revision.state is State.UNTESTABLE:
        return False
    affected = _affected(story, revision)
    if affected is None:
        # A later commit, perhaps of another branch. git's own search cannot contradict itself.
        return bool(story.result.culprit) and not is_new and story.strategy != "classic"
    return affected != is_new


def _affected(story: ReportModel, revision: Revision) -> bool | None:
    """Whether a commit contains the culprit, or all candidates; None where only the graph could tell."""
    if revision.commit == story.result.culprit:
        return True
    if revision.affected is not None:
        return revision.affected
    found = story.culprit
    if found is None or found.position is None or revision.position is None:
        return None
    return False if revision.position < found.position else None


def _implied(story: ReportModel, verdicts: dict[str, str], last_new: str) -> Iterator[str]:
    """What makes git's last word the answer's: the culprit is new, each of its parents old."""
    culprit = story.result.culprit
    old, new = ("old", "new") if story.fix else ("good", "bad")
    if not culprit:
        left = [sha for sha, _, _ in story.result.candidates]
        yield from (f"# possible first {new} commit: [{sha}]" for sha in left)
        return
    for parent in story.parents:
        if verdicts.get(parent) != old:
            yield f"# {old}, implied by the answer: [{parent}]"
            yield f"git bisect {old} {parent}"
    if last_new != culprit:
        yield f"# {new}, the answer: [{culprit}] {one_line(story.result.title)}"
        yield f"git bisect {new} {culprit}"
    yield f"# first {new} commit: [{culprit}] {one_line(story.result.title)}"
