"""Commits that we make ourselves, of the user's: in our own repository, for the slots to build.

The user's repository is not written to. Author and date are fixed, so that the same change of the same commit
is the same commit, and found in the store again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kbisect import process
from pytest_kbisect.kernel.git import NAMED_BARE, environment

if TYPE_CHECKING:
    from pathlib import Path

_IDENTITY: Final = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "kbisect"), ("EMAIL", "kbisect@localhost"))
}


def git(
    repository: Path,
    *words: str,
    stdin: bytes | None = None,
    index: Path | None = None,
    date: int = 0,
) -> str:
    """Output of a git command that writes into our repository.

    `index` is the file that it uses for its index, `date` that of a commit it makes, in seconds since the
    epoch. Raises CalledProcessError where it fails.
    """
    env = environment() | _IDENTITY | {"LC_ALL": "C", "GIT_NO_REPLACE_OBJECTS": "1"}
    env |= {f"GIT_{role}_DATE": f"@{date} +0000" for role in ("AUTHOR", "COMMITTER")}
    if index is not None:
        env["GIT_INDEX_FILE"] = str(index)
    settings = (*("-c", NAMED_BARE), *("-c", "core.autocrlf=false"), *("-c", "apply.whitespace=nowarn"))
    return process.run(["git", *settings, *words], cwd=repository, env=env, stdin=stdin).decode(
        "utf-8", "replace"
    )
