"""What a strategy says of its state after an experiment, for the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.bisection.bayes import Bayes
from pytest_kbisect.bisection.classic import Classic
from pytest_kbisect.bisection.likeness import why_related
from pytest_kbisect.bisection.outcome import Verdict
from pytest_kbisect.bisection.strategy import GOOD_END

if TYPE_CHECKING:
    from pytest_kbisect.bisection.search import Search


def remarks(search: Search, index: int) -> list[str]:
    """What is made of the latest experiment, at `index`."""
    if isinstance(search.strategy, Classic):
        return _git_words(search, search.strategy, index)
    reported = search.evidence.reported
    if isinstance(search.strategy, Bayes) and search.evidence.tally(reported).matching:
        suspects = search.strategy.suspects(search.evidence)
        likely = ", ".join(f"{search.sha(i)[:12]} {p:.0%}" for i, p in suspects[:3])
        hold = "candidate holds" if len(suspects) == 1 else "candidates hold"
        held = f"# {len(suspects)} {hold} {search.strategy.confidence:.0%}: {likely}"
        return [*_of_another_bug(search, index), *_kinships(search, index), held, ""]
    return []


def _of_another_bug(search: Search, index: int) -> list[str]:
    """Crashes at a commit that the bad end shows too, and that are not the bug's all the same."""
    titles = {run.title for run in search.evidence.runs(index)} & search.evidence.reference.others
    return [
        f"# {title}: another bug, the good end shows it as often as the bad end" for title in sorted(titles)
    ]


def _kinships(search: Search, index: int) -> list[str]:
    """Crashes at a commit that may be the bug by another name, and why."""
    evidence = search.evidence
    kin = {run.title: run for run in evidence.runs(index) if evidence.count([run]).related}
    return [
        f"# {title}: may be the same bug{f', {why}' if (why := why_related(run, evidence.reference)) else ''}"
        for title, run in kin.items()
    ]


def _git_words(search: Search, classic: Classic, index: int) -> list[str]:
    """What git bisect would say to the verdict on this commit."""
    if index < GOOD_END:
        return []
    verdicts = classic.judged(search.evidence).verdicts
    reported = search.evidence.reported
    other = search.history.bad_end if classic.fix else GOOD_END
    if index == reported or verdicts.get(reported) is not Verdict.BAD:
        return []
    words = f"# git bisect {_term(verdicts[index], fix=classic.fix)} {search.sha(index)}"
    if index == other:
        if verdicts[index] is not Verdict.GOOD:
            return []
        words = f"# git bisect start {search.sha(search.history.bad_end)} {search.good}"
    step = classic.step(classic.judged(search.evidence))
    if step.next is None:
        return [words]
    return [words, str(step), f"[{search.sha(step.next)}] {search.history.title(step.next)}", ""]


def _term(verdict: Verdict, *, fix: bool) -> str:
    """Git's word: to git, "bad" is what contains the commit looked for, which of a fix is the good."""
    if not fix or verdict is Verdict.SKIP:
        return verdict.value
    return "bad" if verdict is Verdict.GOOD else "good"
