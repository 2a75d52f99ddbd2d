"""`report.eml`: a mail for a person to review and send. Nothing here sends anything.

Its form follows the kernel's Documentation/admin-guide/reporting-issues.rst and
reporting-regressions.rst: a subject that begins with [REGRESSION] and has the culprit's title, the
regressions list in copy, regzbot's line, plain text.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import textwrap
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING

from pytest_kbisect.reports.conditions import sentence
from pytest_kbisect.reports.text import one_line, plain
from pytest_kbisect.reports.trailers import fixes, regzbot, without
from pytest_kbisect.reports.words import count, percent, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pytest_kbisect.reports.report_model import ReportModel

REGRESSIONS = "regressions@lists.linux.dev"

_WIDTH = 75
_CRASH = 32 << 10
_ATTACHMENT = 64 << 10
"""Largest attachment in bytes; the lists of kernel.org accept mails of about 100 KB."""
_LINE = 990
"""RFC 5322 allows 998 characters a line."""

POLICY = SMTP.clone(max_line_length=300)
"""Some mail readers show a folded subject wrongly."""

_NAMED = re.compile(r"(.*?)<([^<>]+)>")
_ADDRESS = re.compile(r"[!#-'*+\-./-9=?A-Z^-~]+@[A-Za-z0-9.\-\[\]:]+")


def render(story: ReportModel) -> bytes:
    """The mail for a bisection that found a culprit; empty for others."""
    if story.result.kind != "culprit":
        return b""
    attachments = list(_attachments(story))
    message = EmailMessage(policy=POLICY)
    message["Subject"] = subject(story)
    address(message, story.result.recipients_to, story.result.recipients_cc, fix=story.fix)
    message["X-Unsent"] = "1"
    set_text(message, plain(_text(story, [name for name, _ in attachments])) + "\n")
    for name, data in attachments:
        _attach(message, name, data)
    return message.as_bytes()


def address(
    message: EmailMessage, recipients_to: Iterable[str], recipients_cc: Iterable[str], *, fix: bool
) -> None:
    """Set To and Cc; the regressions list is in copy, unless a fix was found."""
    to, cc = _addresses(recipients_to), _addresses(recipients_cc)
    known = {one.addr_spec for one in to}
    if not fix:
        cc += (Address(addr_spec=REGRESSIONS),)
    cc = tuple({a.addr_spec: a for a in cc if a.addr_spec not in known}.values())
    if to:
        message["To"] = to
    if cc:
        message["Cc"] = cc


def set_text(message: EmailMessage, text: str) -> None:
    """Set the text, as it is where its lines are short enough."""
    whole_lines = _longest(text) <= _LINE
    message.set_content(
        text, cte=("7bit" if text.isascii() else "8bit") if whole_lines else "quoted-printable"
    )


def _attach(message: EmailMessage, name: str, data: bytes) -> None:
    """Attach text as text/plain, so that mail readers show it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text and "\0" not in text and _longest(text) <= _LINE:
        cte = "7bit" if text.isascii() else "8bit"
        message.add_attachment(text, subtype="plain", cte=cte, filename=name)
    else:
        message.add_attachment(
            data, "application", "gzip" if name.endswith(".gz") else "octet-stream", filename=name
        )


def _longest(text: str) -> int:
    """Bytes of the longest line."""
    return max(len(line.encode("utf-8", "replace")) for line in text.split("\n"))


def subject(story: ReportModel) -> str:
    crash, title = one_line(story.result.crash), one_line(story.result.title)
    if story.fix:
        return f'{crash} fixed by "{title}"'
    return f'[REGRESSION] {crash} since "{title}"'


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    """Addresses, with or without a name; anything else is omitted."""
    found = {}
    for text in texts:
        named = _NAMED.fullmatch(one_line(text))
        name, address = (named[1], named[2]) if named else ("", one_line(text))
        address = address.rstrip(".")
        if _ADDRESS.fullmatch(address):
            with contextlib.suppress(Exception):  # whatever the parser finds: a..b@x.org, x@y..org
                found[address] = Address(display_name=_unquoted(name.strip()), addr_spec=address)
    return tuple(found.values())


def _unquoted(name: str) -> str:
    if len(name) > 1 and name[0] == name[-1] == '"':
        return re.sub(r"\\(.)", r"\1", name[1:-1])
    return name


# -- the text ----------------------------------------------------------------------------------------


def _text(story: ReportModel, attached: list[str]) -> str:
    attachments = f"Attached: {', '.join(attached)}" if attached else ""
    return "\n\n".join(["Hello,", *body(story, attachments)])


def body(story: ReportModel, attachments: str = "") -> list[str]:
    """The paragraphs about one commit."""
    parts = [
        wrapped(f"{one_line(story.result.crash)} {'is fixed by' if story.fix else 'began with'} commit"),
        f'  {short(story.result.culprit)} ("{one_line(story.result.title)}")',
        regzbot(story),
        *map(wrapped, _findings(story)),
        *_shown(story),
        _compiler(story),
        wrapped(sentence(story)),
        attachments,
    ]
    if fixes(story):
        parts += ["A patch that fixes this should contain", fixes(story)]
    return [part for part in parts if part]


def _shown(story: ReportModel) -> Iterator[str]:
    """The text of the failure; what has none is said by the subject."""
    text = story.crash[:_CRASH].strip("\n")
    if text:
        noun = story.result.words.noun
        yield f"The {noun}, at {short(story.crashing.commit)}:" if story.crashing else f"The {noun}:"
        yield text


def wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _findings(story: ReportModel) -> Iterator[str]:
    """The outcomes, how often they occurred, and the confidence."""
    seen, what = story.confirmation, "fix" if story.fix else "culprit"
    at = seen.culprit or (story.culprit and (story.culprit.crashed, story.culprit.crashed + story.culprit.ok))
    shown = "A person saw the bug" if story.result.asked else story.result.words.reproducer
    tries = ("try", "tries") if story.result.asked else ("run",)
    words = f"{shown} in {at[0]} of {count(at[1], *tries)} at this commit" if at else ""
    if at and seen.parent:
        words += f" and in {seen.parent[0]} of {seen.parent[1]} at its parent"
    steps = story.result.metric.get("steps") or ()
    if story.result.metric:
        words = f"It changes in {len(steps)} steps in this range, see below" if len(steps) > 1 else ""
    if words:
        yield f"{words}."
    good, bad = map(short, story.result.range)
    among = count(story.commits, "commit") if story.commits else "commits"
    sure = f"the probability that it is the {what} is {percent(story.result.confidence)}"
    if story.strategy == "classic" and story.result.confidence >= 1:
        sure = "by git bisect's rules, no other commit is left"
    yield f"A bisection of the {among} between {good} and {bad} found it; {sure}."
    if seen.revert in {"passed", "crashed"}:
        yield without(story)
    elif seen.revert == "conflict":
        yield f"The commit does not revert cleanly on top of {bad}."
    if "merge" in story.result.flags:
        yield "The commit is a merge: each side is good, the combination is not."
    if "no-op" in story.result.flags:
        yield "The commit builds the same kernel as its parent, so this result is doubtful."
    if "unreached" in story.result.flags:
        yield "The runs that did not crash did not reach all functions of the crash, so this result is doubtful."


def _compiler(story: ReportModel) -> str:
    compiler = story.culprit.compiler if story.culprit else ""
    if not compiler:
        return ""
    words = f"Built with {one_line(compiler)}; run in QEMU ({one_line(story.result.arch)})."
    if story.result.remedies:
        kept = "; ".join(map(one_line, story.result.remedies))
        words = wrapped(f"{words} So that old commits build and boot, all were built with: {kept}.")
    return words


# -- attachments -------------------------------------------------------------------------------------


def _attachments(story: ReportModel) -> Iterator[tuple[str, bytes]]:
    """Reproducers as they are, the configuration compressed: (name, content)."""
    for name in story.reproducers:
        data = _read(story.folder / name)
        if data:
            yield one_line(name).rpartition("/")[2], data
    config = _read(story.folder / story.config, limit=4 << 20) if story.config else b""
    if config:
        yield "config.gz", gzip.compress(config, mtime=0)


def _read(path: Path, limit: int = _ATTACHMENT) -> bytes:
    """A file's content; empty if it cannot be read or is too long for a mail."""
    try:
        return path.read_bytes() if path.stat().st_size <= limit else b""
    except OSError:
        return b""
