"""A bug that somebody has saved: a folder of files, told apart by what is in them, or one file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash import parse_console
from pytest_kbisect.errors import UsageError
from pytest_kbisect.syzbot import bug_json, bug_mail, bug_page
from pytest_kbisect.syzbot.bug_model import Bug

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST: Final = 64 << 20
"""Bytes of a file that is read: console logs have a few MiB, disk images beside them more."""
_CONFIGS: Final = (".config", "config", "kernel.config", "config.txt")
_PAGES_OF: Final = {".c": "C", ".syz": "syz", ".prog": "syz", ".config": ".config"}


@dataclass(frozen=True, slots=True)
class BugFiles:
    """The texts of a crash's files; None for one that is not there. `names` says where each was read."""

    c: str | None = None
    syz: str | None = None
    config: str | None = None
    report: str | None = None


@dataclass(frozen=True, slots=True)
class SavedBug:
    """A bug and the files that were saved with it."""

    bug: Bug
    files: BugFiles


def read(path: Path) -> SavedBug:
    """Read a folder, or a file that is a bug's JSON, page or mail. Raises UsageError."""
    if path.is_dir():
        return _folder(path)
    text = _text(path)
    bug = _bug(text, path.name)
    if bug is None:
        raise UsageError(
            f"{path} is no bug of syzbot's: give its address, its JSON, page or mail, or a folder with these"
        )
    return SavedBug(bug, BugFiles(report=bug.report or None))


def _folder(path: Path) -> SavedBug:
    bugs: list[Bug] = []
    files = BugFiles()
    report_is_sure = False
    for file in sorted(one for one in path.iterdir() if one.is_file()):
        if file.stat().st_size > _LARGEST:
            continue
        text = _text(file)
        name, kind = file.name.lower(), _PAGES_OF.get(file.suffix.lower(), "")
        if name in _CONFIGS or name.endswith((".config", "config")):
            kind = ".config"
        if kind:
            if bug_page.is_page(text):
                raise UsageError(
                    f"{file} is a web page: save what the link {kind} of the bug's page leads to, as text"
                )
            field = {"C": "c", "syz": "syz", ".config": "config"}[kind]
            if getattr(files, field) is not None:
                raise UsageError(f"{path} has several files of the kind {kind}: leave one of them")
            files = replace(files, **{field: text})
        elif (bug := _bug(text, file.name)) is not None:
            bugs.append(bug)
        elif not report_is_sure and parse_console(text.encode("utf-8", "replace")):
            files, report_is_sure = replace(files, report=text), "report" in name
    known = [bug for bug in bugs if bug.crashes] or bugs
    if known:
        # JSON says most, then the page, then a mail; what one lacks another has.
        bug = known[0]
        others = [one for one in bugs if one is not bug]
        bug = replace(
            bug,
            cause=bug.cause or next((one.cause for one in others if one.cause), None),
            report=bug.report or next((one.report for one in others if one.report), ""),
        )
    else:
        bug = _nameless(path, files)
    return SavedBug(bug, replace(files, report=files.report or bug.report or None))


def _bug(text: str, name: str) -> Bug | None:
    """The bug that a text describes; None where it is something else. Raises UsageError for broken ones."""
    if text.lstrip().startswith("{") and name.lower().endswith((".json", ".txt", "")):
        return bug_json.bug_of(text, name)
    if bug_page.is_page(text):
        return bug_page.bug_of(text, name)
    return bug_mail.bug_of(text, name) if bug_mail.is_mail(text) else None


def _nameless(path: Path, files: BugFiles) -> Bug:
    """A folder without JSON, page or mail: its report names the bug."""
    reports = parse_console((files.report or "").encode("utf-8", "replace"))
    if not reports:
        raise UsageError(
            f"{path} has neither a bug (JSON, page, mail) nor a report of a crash: "
            "save the bug's JSON there as bug.json (its address with &json=1)"
        )
    return Bug(title=reports[0].title, source=str(path), report=files.report or "")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}: check the path") from None
    return data.decode("utf-8", "replace")
