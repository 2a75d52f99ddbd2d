"""What is known of a bug of syzbot's: the bug, its crashes and the commits that its page names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

MAINLINE: Final = ("torvalds/linux.git", "torvalds/linux", "upstream")
"""How syzbot names mainline: by the address of its repository, or by the alias of its pages."""
_NEXT: Final = ("linux-next", "next/linux-next.git")
_OTHER_SYSTEMS: Final = {
    "freebsd": "FreeBSD",
    "netbsd": "NetBSD",
    "openbsd": "OpenBSD",
    "akaros": "Akaros",
    "fuchsia": "Fuchsia",
    "gvisor": "gVisor",
    "starnix": "Starnix",
    "darwin": "Darwin",
    "windows": "Windows",
}
_COMMIT_IN_LINK: Final = re.compile(r"(?:[?&](?:id|h)=|/commits?/|/\+/|/log/)([0-9a-f]{8,40})")
_ADDRESS: Final = re.compile(r"^(.*?)(?:/(?:log|commit|tree)/?\?.*|/commits?/.*|/\+/.*)?$")


@dataclass(frozen=True, slots=True)
class BugCommit:
    """A commit that a bug's page names; `hash` may be short or empty."""

    hash: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BugCrash:
    """One crash of a bug: where it was seen, and the addresses of its files.

    `tree` is the address of the kernel's repository or its alias ("upstream"). Times are in UTC.
    """

    title: str = ""
    time: datetime | None = None
    tree: str = ""
    commit: str = ""
    commit_title: str = ""
    syzkaller: str = ""
    """syzkaller's commit."""
    compiler: str = ""
    user_space: str = ""
    """Architecture of the reproducer's process, where the page names it ("i386")."""
    manager: str = ""
    """The name of the syz-manager that saw it ("ci-upstream-gce-386")."""
    config: str = ""
    report: str = ""
    c: str = ""
    syz: str = ""
    revoked: bool = False
    """The reproducer no longer works at the tip of its tree."""

    @property
    def is_mainline(self) -> bool:
        """Whether it was seen in Linus Torvalds' tree."""
        return self.tree.endswith(MAINLINE)

    @property
    def is_next(self) -> bool:
        """Whether it was seen in linux-next, which is rebased every day."""
        return self.tree.endswith(_NEXT)

    @property
    def system(self) -> str:
        """The operating system, where it is not Linux; else ""."""
        words = f"{self.tree} {self.manager}".lower()
        return next((name for word, name in _OTHER_SYSTEMS.items() if word in words), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A bug, as far as its JSON, page or mail says. `source` is what it was read from."""

    title: str
    source: str
    id: str = ""
    """40 hexadecimal digits, or the 20 of an external one."""
    status: str = ""
    first_crash: datetime | None = None
    last_crash: datetime | None = None
    cause: BugCommit | None = None
    """What syzbot's own bisection has found: a hint."""
    fixes: tuple[BugCommit, ...] = ()
    crashes: tuple[BugCrash, ...] = ()
    report: str = field(default="", repr=False)
    """The text of a crash, where the source has one itself."""


def commit_of(link: str) -> str:
    """The commit in a link to a repository's web page; "" for none."""
    found = _COMMIT_IN_LINK.search(link)
    return found[1] if found else ""


def address_of(link: str) -> str:
    """The repository in such a link, as git could clone it."""
    found = _ADDRESS.match(link)
    return found[1].rstrip("/") if found else link


def time_of(text: object) -> datetime | None:
    """A time as the JSON and the pages have it; None where it is none (Go's zero time among them)."""
    if not isinstance(text, str):
        return None
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y/%m/%d %H:%M"):
        try:
            found = datetime.strptime(text.strip()[:19].removesuffix("Z"), form)  # noqa: DTZ007 - it is UTC
        except ValueError:
            continue
        return found if found.year > 1 else None
    return None
