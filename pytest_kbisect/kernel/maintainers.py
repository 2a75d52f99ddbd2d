"""Recipients of a report: the people of a commit, and those who maintain a file.

Who belongs to a commit follows syzbot's practice (dashboard mails, pkg/vcs/linux.go of syzkaller): author
and everybody whose trailer says that they read, tested or passed on the change. A Cc: trailer does not
count: it asks for attention that was not necessarily given.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect import process
from pytest_kbisect.enrichment import attempt
from pytest_kbisect.kernel.git import GIT_SETTINGS, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_ADDRESS: Final = r"(?<![^\s<:])(?P<address>[^\s<>\"(),:;]+@[^\s<>\"(),:;]+)"
_AUTHOR: Final = re.compile(rf"^Author:[^\n]*?{_ADDRESS}", re.MULTILINE)
_TRAILER: Final = re.compile(
    rf"^\s*(?:(?:X-and-)?(?:Reviewed|Acked|Tested)-[\w-]+|Signed-off-by):[^\n]*?{_ADDRESS}",
    re.MULTILINE | re.IGNORECASE,
)
_ROLE: Final = re.compile(rf"^[^\n]*?{_ADDRESS}[^\n(]*\((?P<roles>[^\n]*)\)\s*$", re.MULTILINE)

_NEVER: Final = frozenset({"stable@vger.kernel.org"})
_EVERYBODY: Final = "linux-kernel@vger.kernel.org"
_ENOUGH: Final = 2
"""People of a commit beyond whom the maintainers of its files need not be asked for."""
_MOST_FILES: Final = 100
"""Files of a commit beyond which it is nobody's in particular: an import, a change of the whole tree."""
_SCRIPT: Final = "scripts/get_maintainer.pl"
_SCRIPT_SECONDS: Final = 60.0
# The script takes a patch's paths from behind a/ and b/; log.* and format.* may have other ideas of a commit.
_SHOW: Final[tuple[str, ...]] = (
    *(word for setting in GIT_SETTINGS for word in ("-c", setting)),
    *("show", "--format=medium", "--src-prefix=a/", "--dst-prefix=b/"),
)
_ROLES: Final = ("--rolestats", "--multiline", "--separator=, ")
"""What by_role() reads, whatever the user has in ~/.get_maintainer.conf (for git send-email, mostly)."""
_NO_HISTORY: Final = ("--nogit", "--nogit-fallback")
"""Options with which get_maintainer.pl reads MAINTAINERS only: git can take minutes on a large history."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Mail addresses, lower case and sorted: who should act (`to`) and who should know (`cc`)."""

    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()


def _recipients(to: Iterable[str], cc: Iterable[str] = ()) -> Recipients:
    act = {address.lower() for address in to} - _NEVER
    know = {address.lower() for address in cc} - _NEVER - act
    return Recipients(tuple(sorted(act)), tuple(sorted(know)))


def people_of(message: str) -> Recipients:
    """The people of a commit as `git show` prints it (with its Author: line)."""
    head = message.split("\ndiff --git ", 1)[0]
    author = _AUTHOR.search(head)
    found = [author["address"]] if author else []
    return _recipients([*found, *(trailer["address"] for trailer in _TRAILER.finditer(head))])


def by_role(output: str) -> Recipients:
    """Recipients from what scripts/get_maintainer.pl printed (with roles)."""
    to: list[str] = []
    cc: list[str] = []
    lists = 0
    for line in _ROLE.finditer(output):
        address, roles = line["address"].lower(), line["roles"].lower()
        if address == _EVERYBODY:
            continue
        lists += "list" in roles
        (to if re.search(r"\b(?:list|maintainer|supporter)\b", roles) else cc).append(address)
    if _EVERYBODY in output.lower():  # the list of all is for what has no list of its own
        (cc if lists else to).append(_EVERYBODY)
    return _recipients(to, cc)


def recipients(tree: Path, commit: str, note: Callable[[str], None]) -> Recipients:
    """Recipients of a report that `commit` of the kernel's git tree is a culprit.

    Where the commit names hardly anybody, the maintainers of what it changes are added; where they cannot
    be asked, `note` is given the reason. Raises subprocess.CalledProcessError if there is no such commit.
    """
    show: tuple[str | Path, ...] = ("git", "-C", tree, *_SHOW)
    env = environment()
    message = process.run([*show, "--no-patch", "--end-of-options", commit], env=env)
    people = people_of(message.decode("utf-8", "replace"))
    if len(people.to) > _ENOUGH:
        return people
    files = process.run([*show, "--format=", "--name-only", "-z", "--end-of-options", commit], env=env)
    if files.count(b"\0") > _MOST_FILES:
        return people
    shown = process.run([*show, "--end-of-options", commit], env=env)
    asked = attempt(
        "the maintainers of what the commit changes are not among the recipients",
        lambda: _maintainers(tree, shown),
        Recipients(),
        note,
    )
    return _recipients([*people.to, *asked.to], asked.cc)


def _maintainers(tree: Path, shown: bytes) -> Recipients:
    """Whom get_maintainer.pl names for a commit as git shows it; with those who wrote its lines, if few."""
    asked = _ask(tree, ("--git-min-percent=20",), shown)
    if len(asked.to) + len(asked.cc) <= _ENOUGH:
        asked = _ask(tree, ("--git-min-percent=20", "--git-blame"), shown)
    return asked


def _ask(tree: Path, options: tuple[str, ...], stdin: bytes) -> Recipients:
    """Ask the tree's own get_maintainer.pl; nobody where there is none.

    Raises subprocess.CalledProcessError where it fails and names nobody, subprocess.TimeoutExpired where
    it takes too long without the history too, HostError without perl.
    """
    if not (tree / _SCRIPT).is_file():
        return Recipients()
    # By perl: the file may not be executable (an unpacked archive, a file system that is mounted noexec).
    command = ["perl", _SCRIPT, *_ROLES]
    env = environment()
    try:
        return _named([*command, *options], tree, env, stdin)
    except subprocess.TimeoutExpired:
        return _named([*command, *options, *_NO_HISTORY], tree, env, stdin)


def _named(command: list[str], tree: Path, env: dict[str, str], stdin: bytes) -> Recipients:
    try:
        output, failure = process.run(command, cwd=tree, env=env, stdin=stdin, timeout=_SCRIPT_SECONDS), None
    except subprocess.CalledProcessError as error:
        output, failure = error.output, error
    found = by_role(output.decode("utf-8", "replace"))
    if failure is not None and found == Recipients():
        raise failure
    return found
