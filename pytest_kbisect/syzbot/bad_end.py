"""Where the bisection of a bug begins in the user's tree: the commit of its crash, or a stand-in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pytest_kbisect.strategies.release_tags import parse_release

if TYPE_CHECKING:
    from pytest_kbisect.kernel.tree import LinuxTree
    from pytest_kbisect.syzbot.bug_model import BugCrash

_NEXT_DATE: Final = re.compile(r"Add linux-next specific files for (\d{8})")
_ZERO: Final = re.compile(r"^(\d+\.\d+)\.0(?=$|-)")
_NEXT_ADDRESS: Final = "https://git.kernel.org/pub/scm/linux/kernel/git/next/linux-next.git"
_MAINLINE_ADDRESS: Final = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git"
_ALIASES: Final = {
    "net": "https://git.kernel.org/pub/scm/linux/kernel/git/netdev/net.git",
    "net-next": "https://git.kernel.org/pub/scm/linux/kernel/git/netdev/net-next.git",
    "bpf": "https://git.kernel.org/pub/scm/linux/kernel/git/bpf/bpf.git",
    "bpf-next": "https://git.kernel.org/pub/scm/linux/kernel/git/bpf/bpf-next.git",
    "stable": "https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git",
}
"""What syzbot's pages call these trees."""


@dataclass(frozen=True, slots=True)
class BadEnd:
    """`revision` is what a range can name; "" where the tree has nothing that can stand for the commit.

    `notes` say how it was found, `missing` what the user must do first.
    """

    revision: str
    notes: tuple[str, ...] = ()
    missing: str = ""


def find(tree: LinuxTree | None, crash: BugCrash, version: str) -> BadEnd:
    """The bad end for a crash. `version` is that of its kernel ("5.11.0-rc3"), if no commit is known."""
    if tree is None:
        return BadEnd(crash.commit[:40] or _tag(version))
    if crash.commit and (sha := _commit(tree, crash.commit)):
        return BadEnd(sha)
    title = "" if _NEXT_DATE.search(crash.commit_title) else crash.commit_title
    if crash.commit and title and (sha := _by_title(tree, title)):
        note = f"{crash.commit[:12]} is not in {tree.path}; {sha[:12]} has the same title and is used instead"
        return BadEnd(sha, (note,))
    if not crash.commit and version and (sha := _commit(tree, _tag(version))):
        note = f"the bug names no commit; its report is of {version}, so {_tag(version)} is the bad end"
        return BadEnd(_tag(version), (note,))
    return _stand_in(tree, crash, version)


def _stand_in(tree: LinuxTree, crash: BugCrash, version: str) -> BadEnd:
    """The tree lacks the commit: say how to get it, and which release comes next to it."""
    where = _address(crash)
    fetch = f"git -C {tree.path} fetch {where} {crash.commit}" if crash.commit else ""
    what = (
        f"commit {crash.commit[:12]} ({crash.tree or 'tree not known'})"
        if crash.commit
        else "the crash's commit"
    )
    reason = "; linux-next is rebased every day, and old commits vanish" if _is_next(crash) else ""
    missing = f"{tree.path} lacks {what}{reason}"
    if fetch:
        missing += f": run {fetch}"
    seen = crash.time or _next_date(crash)
    later = _release_after(tree, seen) if seen else ""
    if not later and (wanted := parse_release(_tag(version))):
        known = (parse_release(tag) for tag in _dates(tree))
        newer = min((one for one in known if one and one >= wanted and not one.is_stable), default=None)
        later = newer.tag if newer else ""
    if not later:
        return BadEnd("", missing=missing)
    note = f"until then {later} stands for it: check first that it shows the bug"
    return BadEnd(later, (note,), missing)


def range_text(tree: LinuxTree | None, bad: str, first_crash: datetime | None) -> tuple[str, str]:
    """The value of --kbisect-range, and a remark on it ("" for none).

    Without a known good commit kbisect walks back over releases itself. But releases that are younger than
    the first crash have the bug: if the newest release is, the walk would begin with those.
    """
    short = bad[:12] if re.fullmatch(r"[0-9a-f]{40}", bad) else bad
    if tree is None or first_crash is None:
        return f"..{short}", ""
    dates = _dates(tree)
    known = [release for tag in tree.tags_before(bad) if (release := parse_release(tag))]
    full = sorted((one for one in known if not one.is_candidate and one.tag in dates), reverse=True)
    if not full or dates[full[0].tag] < first_crash:
        return f"..{short}", ""
    before = next((one.tag for one in full if dates[one.tag] < first_crash), "")
    if not before:
        return f"..{short}", ""
    return f"{before}..{short}", (
        f"syzbot saw the bug first on {first_crash:%Y-%m-%d}, and {before} is the release before that. "
        f"If it has the bug (exit code 8), use --kbisect-range=..{before}"
    )


def _commit(tree: LinuxTree, revision: str) -> str:
    code, output, _ = tree.ask("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return output.decode().strip() if code == 0 else ""


def _by_title(tree: LinuxTree, title: str) -> str:
    """The newest commit on any branch with this title; a title that a mail has cut counts as a beginning."""
    log = tree.read("log", "--all", "--format=%H%x00%s", "--fixed-strings", f"--grep={title}", "-n", "50")
    for line in log.splitlines():
        sha, _, subject = line.partition("\0")
        if subject == title or (len(title) >= 40 and subject.startswith(title)):
            return sha
    return ""


def _tag(version: str) -> str:
    """v5.11-rc3 of 5.11.0-rc3; v5.10.7 of 5.10.7."""
    return "v" + _ZERO.sub(r"\1", version) if version else ""


def _dates(tree: LinuxTree) -> dict[str, datetime]:
    """When each release was tagged."""
    text = tree.read("for-each-ref", "--format=%(refname:strip=2)%00%(creatordate:unix)", "refs/tags/v*")
    found = {}
    for line in text.splitlines():
        tag, _, seconds = line.partition("\0")
        if parse_release(tag) and seconds.strip().isdigit():
            found[tag] = datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)
    return found


def _release_after(tree: LinuxTree, seen: datetime) -> str:
    """The first release, candidates included, after a time: it most likely has what was seen then."""
    later = [
        (when, tag)
        for tag, when in _dates(tree).items()
        if when > seen and (release := parse_release(tag)) and not release.is_stable
    ]
    return min(later)[1] if later else ""


def _is_next(crash: BugCrash) -> bool:
    return crash.is_next or bool(_NEXT_DATE.search(crash.commit_title))


def _next_date(crash: BugCrash) -> datetime | None:
    found = _NEXT_DATE.search(crash.commit_title)
    return datetime.strptime(found[1], "%Y%m%d") if found else None  # noqa: DTZ007 - a date


def _address(crash: BugCrash) -> str:
    if _is_next(crash):
        return _NEXT_ADDRESS
    if "://" in crash.tree:
        return crash.tree.split()[0]
    return _MAINLINE_ADDRESS if crash.is_mainline else _ALIASES.get(crash.tree, crash.tree or "TREE")
