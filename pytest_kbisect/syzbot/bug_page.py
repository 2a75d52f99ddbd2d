"""A bug from its HTML page, as a browser saves it: dashboard/app/templates/bug.html of syzkaller.

The tables of crashes are read by the words in their first row. Columns came and went since 2017.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

from pytest_kbisect.errors import UsageError
from pytest_kbisect.syzbot.bug_model import Bug, BugCommit, BugCrash, commit_of, time_of

_VOID: Final = frozenset({"br", "img", "input", "link", "meta", "hr", "col", "wbr"})
_STATUS: Final = re.compile(r"^Status: *(.*)$", re.MULTILINE)
_ID: Final = re.compile(r"[?&](?:ext)?id=([0-9a-f]{20,40})")
_REPORTED: Final = re.compile(r"Reported-by: *syzbot\+([0-9a-f]{20})[0-9a-f]*@")
_CAUSE: Final = re.compile(
    r"(?:Cause bisection: *introduced by|Cause bisection:|bisected to).*?commit ([0-9a-f]{8,40})\s"
    r".*?(?:Date:[^\n]*\n\s*)([^\n]+)",
    re.DOTALL | re.IGNORECASE,
)
_FIX: Final = re.compile(r"^(?:Fix commit|Commits):\s*(?:([0-9a-f]{8,40})\s+)?(\S.*)$", re.MULTILINE)


@dataclass(slots=True)
class _Cell:
    text: str = ""
    hint: str = ""
    """Its tooltip."""
    links: list[tuple[str, str]] = field(default_factory=list)
    """(words, address)"""
    revoked: bool = False


class _Page(HTMLParser):
    """All text, the tables as rows of cells, the contents of <pre>, the <title>."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.rows: list[list[_Cell]] = []
        self.texts: list[str] = []
        """Of <pre> elements."""
        self.title = ""
        self._open: list[str] = []
        self._cell: _Cell | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self._cell = None
        elif tag in {"td", "th"}:
            self._cell = _Cell(hint=facts.get("title", ""), revoked="stale_repro" in facts.get("class", ""))
            if not self.rows:
                self.rows.append([])
            self.rows[-1].append(self._cell)
        elif tag == "a" and self._cell is not None:
            self._cell.links.append(("", facts.get("href", "")))
        elif tag == "pre":
            self.texts.append("")
        elif tag in {"br", "p", "div"}:
            self.text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag in {"td", "th", "table"}:
            self._cell = None

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if "title" in self._open and not self.title:
            self.title = data.strip()
        if "pre" in self._open and self.texts:
            self.texts[-1] += data
        if self._cell is not None:
            self._cell.text += data
            if "a" in self._open and self._cell.links:
                words, address = self._cell.links[-1]
                self._cell.links[-1] = (words + data, address)


def is_page(text: str) -> bool:
    """Whether a text is HTML."""
    return text.lstrip()[:200].lower().startswith(("<!doctype html", "<html", "<?xml", "<head"))


def bug_of(text: str, name: str) -> Bug:
    """Read a bug's page. Raises UsageError where it is another page, or is cut short."""
    page = _Page()
    page.feed(text)
    page.close()
    words = "".join(page.text)
    crashes = tuple(_crashes(page.rows))
    status = _STATUS.search(words)
    cut = "</html>" not in text[-1000:].lower()
    if cut or not page.title or (not crashes and status is None):
        raise UsageError(f"{name} is no page of a bug of syzbot's, or is cut short: save the page again")
    report = next(
        (one for one in page.texts if "Call Trace" in one or "BUG:" in one or "WARNING:" in one), ""
    )
    # The bisection's own text is a <pre> in some years, and plain text in others.
    cause = _CAUSE.search(words)
    fix = _FIX.search(words)
    found = _REPORTED.search(words) or _ID.search(text)
    times = [crash.time for crash in crashes if crash.time]
    return Bug(
        title=page.title,
        source=name,
        id=found[1] if found else "",
        status=status[1].strip() if status else "",
        first_crash=min(times, default=None),
        last_crash=max(times, default=None),
        cause=BugCommit(cause[1], cause[2].strip()) if cause else None,
        fixes=(BugCommit(fix[1] or "", fix[2].strip()),) if fix else (),
        crashes=crashes,
        report=report,
    )


def _crashes(rows: list[list[_Cell]]) -> list[BugCrash]:
    found: list[BugCrash] = []
    columns: list[str] = []
    for row in rows:
        names = [cell.text.strip().lower() for cell in row]
        if "kernel" in names and "commit" in names:
            columns = [name.split(" (")[0] for name in names]
        elif columns and len(row) == len(columns):
            crash = _crash(dict(zip(columns, row, strict=True)))
            if crash is not None:
                found.append(crash)
        elif row:
            columns = []
    return found


def _crash(cells: dict[str, _Cell]) -> BugCrash | None:
    none = _Cell()

    def link(*names: str) -> str:
        cell = next((cells[name] for name in names if name in cells), none)
        return cell.links[0][1] if cell.links else ""

    commit = cells["commit"]
    time = time_of(cells.get("time", none).text.strip())
    whole = commit.hint.split()[:1]
    sha = commit_of(link("commit")) or (whole[0] if whole else "") or commit.text.strip()
    if not re.fullmatch(r"[0-9a-f]{8,40}", sha):
        return None
    syz = cells.get("syz repro", none)
    return BugCrash(
        title=cells.get("title", none).text.strip(),
        time=time,
        tree=cells["kernel"].text.strip(),
        commit=sha,
        syzkaller=commit_of(link("syzkaller")) or cells.get("syzkaller", none).text.strip(),
        manager=cells.get("manager", none).text.strip(),
        config=link("config"),
        report=link("report"),
        syz=next((address for words, address in syz.links if words.strip() != "log"), ""),
        c=link("c repro"),
        revoked=syz.revoked or cells.get("c repro", none).revoked,
    )
