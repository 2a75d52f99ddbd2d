"""A bug from the JSON of syzbot's pages (`&json=1`): dashboard/api/api.go of syzkaller, version 1.

All fields may be missing: syzbot leaves out what is empty, and adds fields with time.
"""

from __future__ import annotations

import json
from typing import Any, Final

from pytest_kbisect.errors import UsageError
from pytest_kbisect.syzbot.bug_model import Bug, BugCommit, BugCrash, address_of, commit_of, time_of

_VERSION: Final = 1


def bug_of(text: str, name: str) -> Bug:
    """Read a bug. `name` is what messages call it. Raises UsageError where it is none, or is cut short."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"{name} is broken ({error}): get it again, with &json=1 in the bug's address"
        ) from None
    if not isinstance(found, dict) or not isinstance(found.get("title", found.get("display-title")), str):
        what = "a list of bugs" if isinstance(found, dict) and "Bugs" in found else "no bug of syzbot's"
        raise UsageError(f"{name} is {what}: get the JSON of one bug, with &json=1 in its address")
    version = found.get("version", _VERSION)
    if version != _VERSION:
        raise UsageError(f"{name} has version {version!r}, this kbisect reads {_VERSION}: update it")
    crashes = found.get("crashes") or []
    if not isinstance(crashes, list) or not all(isinstance(one, dict) for one in crashes):
        raise UsageError(f"{name}: 'crashes' must be a list of objects: get it again")
    return Bug(
        title=found.get("title") or found["display-title"],
        source=name,
        id=_text(found, "id"),
        status=_text(found, "status"),
        first_crash=time_of(found.get("first-crash")),
        last_crash=time_of(found.get("last-crash")),
        cause=_commit(found["cause-commit"]) if isinstance(found.get("cause-commit"), dict) else None,
        fixes=tuple(_commit(one) for one in found.get("fix-commits") or [] if isinstance(one, dict)),
        crashes=tuple(map(_crash, crashes)),
    )


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def _commit(found: dict[str, Any]) -> BugCommit:
    return BugCommit(_text(found, "hash") or commit_of(_text(found, "link")), _text(found, "title"))


def _crash(found: dict[str, Any]) -> BugCrash:
    link = _text(found, "kernel-source-git")
    return BugCrash(
        title=_text(found, "title"),
        time=time_of(found.get("time")),
        tree=address_of(link),
        commit=_text(found, "kernel-source-commit") or commit_of(link),
        syzkaller=_text(found, "syzkaller-commit") or commit_of(_text(found, "syzkaller-git")),
        compiler=_text(found, "compiler-description"),
        user_space=_text(found, "architecture"),
        config=_text(found, "kernel-config"),
        report=_text(found, "crash-report-link"),
        c=_text(found, "c-reproducer"),
        syz=_text(found, "syz-reproducer"),
    )
