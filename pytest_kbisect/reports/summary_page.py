"""`report.html` of several bisections: a section for each test, and which of them ran on which kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_kbisect.reports import page, words
from pytest_kbisect.reports.summary import answer_of
from pytest_kbisect.reports.trailers import fixes, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.reports.report_model import ReportModel, Revision, State
    from pytest_kbisect.reports.summary import OneAnswer, Summary


@dataclass(frozen=True, slots=True)
class Section:
    """One test: its answer, and the story of its bisection where that left one."""

    answer: OneAnswer
    story: ReportModel | None


@dataclass(frozen=True, slots=True)
class _Row:
    """A commit, and a cell for each test; None if it was not tested for that."""

    commit: str
    title: str
    built: bool
    cells: tuple[tuple[State, str, str] | None, ...]


def render(told: Summary, sections: Sequence[Section]) -> str:
    """The page."""
    return page.template("summary.html.j2").render(_context(told, sections))


def _context(told: Summary, sections: Sequence[Section]) -> dict[str, Any]:
    return {
        "told": told,
        "title": _title(told),
        "views": [_view(section) for section in sections],
        "rows": _rows(told, sections),
        "names": [section.answer.name for section in sections],
    }


def _title(told: Summary) -> str:
    tests, found = words.count(len(told.tests), "test"), len(told.culprits)
    what = "commit that fixes" if told.fix else "commit that breaks"
    several = what.replace("commit", "commits").replace("fixes", "fix").replace("breaks", "break")
    return f"{tests}, {words.count(found, f'{what} them', f'{several} them')}"


def _view(section: Section) -> dict[str, Any]:
    one, story = section.answer, section.story
    result = one.result
    return {
        "one": one,
        "result": result,
        "said": result.words if result else None,
        "line": answer_of(one),
        "link": f"{quote(one.folder)}/report.html",
        "story": story,
        "fixes": fixes(story) if story else "",
        "revert": without(story) if story else "",
        "names": sorted({PurePath(name).name for name in story.reproducers}) if story else [],
    }


def _rows(told: Summary, sections: Sequence[Section]) -> list[_Row]:
    """Each tested commit once, in the order of their first sessions."""
    order = dict.fromkeys(str(one["commit"]) for one in told.sessions)
    for section in sections:
        order |= dict.fromkeys(section.story.by_commit if section.story else ())
    titles = {str(one["commit"]): str(one["title"]) for one in told.sessions}
    built = {str(one["commit"]) for one in told.sessions if one["built"]}
    return [
        _Row(
            commit,
            titles.get(commit) or next((_title_of(section, commit) for section in sections), ""),
            commit in built,
            tuple(_cell(section, commit) for section in sections),
        )
        for commit in order
    ]


def _title_of(section: Section, commit: str) -> str:
    revision = section.story.by_commit.get(commit) if section.story else None
    return revision.title if revision else ""


def _cell(section: Section, commit: str) -> tuple[State, str, str] | None:
    """What a commit is to a test: its state, the word for it, and the runs that say so."""
    if section.story is None or commit not in section.story.by_commit:
        return None
    revision = section.story.by_commit[commit]
    return revision.state, section.story.word(revision.state), _counts(revision)


def _counts(revision: Revision) -> str:
    total = revision.crashed + revision.ok
    return f"{revision.crashed}/{total}" if total else ""
