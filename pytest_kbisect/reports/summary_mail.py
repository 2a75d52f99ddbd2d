"""`report.eml` of several bisections: one mail for a person to review and send, with a section for each test.

People of different subsystems are concerned: each test's own folder has the mail about its commit alone.
"""

from __future__ import annotations

from email.message import EmailMessage
from typing import TYPE_CHECKING

from pytest_kbisect.reports import mail
from pytest_kbisect.reports.summary import answer_of
from pytest_kbisect.reports.text import one_line, plain
from pytest_kbisect.reports.words import count, short

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kbisect.reports.report_model import ReportModel
    from pytest_kbisect.reports.summary import Summary
    from pytest_kbisect.reports.summary_page import Section


def render(told: Summary, sections: Sequence[Section]) -> bytes:
    """The mail; empty if no commit was found."""
    stories = [one.story for one in sections if one.story and one.answer.result and one.answer.result.culprit]
    if not stories:
        return b""
    message = EmailMessage(policy=mail.POLICY)
    message["Subject"] = _subject(told, stories)
    mail.address(
        message,
        [name for story in stories for name in story.result.recipients_to],
        [name for story in stories for name in story.result.recipients_cc],
        fix=told.fix,
    )
    message["X-Unsent"] = "1"
    mail.set_text(message, plain("\n\n".join(_parts(told, sections))) + "\n")
    return message.as_bytes()


def _subject(told: Summary, stories: Sequence[ReportModel]) -> str:
    if len(stories) == 1:
        return mail.subject(stories[0])
    commits = count(len(told.culprits), "commit")
    failures = count(len(stories), "failure")
    if told.fix:
        return f"{failures} fixed by {commits}"
    return (
        f"[REGRESSION] {failures} since {commits} between {short(told.range[0])} and {short(told.range[1])}"
    )


def _parts(told: Summary, sections: Sequence[Section]) -> Iterator[str]:
    yield "Hello,"
    tests = count(len(told.tests), "test")
    yield mail.wrapped(
        f"{tests} were bisected together, each by itself; they lead to {count(len(told.culprits), 'commit')}:"
    )
    yield "\n".join(f"  {one_line(f'{one.name}: {answer_of(one)}')}" for one in told.tests)
    for section in sections:
        if section.story is not None and section.answer.result and section.answer.result.culprit:
            name = one_line(section.answer.name)
            yield f"{name}\n{'-' * len(name)}"
            yield from mail.body(section.story)
