"""Patches of the user's on top of each commit that is built: a build fix, a debug print.

A patch is a mail as `git am` takes it (or a mailbox of several), or a plain diff. It is applied without a
checkout, in our own repository: what is built is a commit of our own whose parent is the user's. A commit
that contains the patch already is left as it is; one with which it conflicts cannot be built.
"""

from __future__ import annotations

import email
import email.policy
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import PatchError, UsageError
from pytest_kbisect.kernel import worktrees
from pytest_kbisect.kernel.own_commits import git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_kbisect.kernel.tree import LinuxTree

_LARGEST: Final = 64 << 20
"""Bytes of a patch file."""
_LOOKED_AT: Final = 200
"""Commits at which a patch is tried, to find one where it fits; some git processes each."""
_NEXT_MAIL: Final = re.compile(rb"^From \S+ .*\d{4}$", re.MULTILINE)
_HEADER: Final = re.compile(
    rb"(?:From|Subject|Date|Message-I[dD]|Return-[Pp]ath|Received|Delivered-To):", re.MULTILINE
)
_OFFSET: Final = re.compile(r"^Hunk #\d+ succeeded at \d+ \(offset", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch. `name` is that of its file, with the mail's number where it has several."""

    name: str
    diff: bytes


@dataclass(frozen=True, slots=True)
class Patched:
    """A commit with patches. `commit` is the user's own where it contains all of them already.

    `conflict` says which patch does not apply, and why not; then there is no `commit`.
    """

    commit: str = ""
    applied: tuple[str, ...] = ()
    contained: tuple[str, ...] = ()
    conflict: str = ""


def read(path: Path) -> tuple[Patch, ...]:
    """The patches in a file. Raises UsageError where it cannot be read, or has none."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read the patch {path}: {error.strerror}: name another file") from None
    if len(raw) > _LARGEST:
        raise UsageError(f"{path} is larger than {_LARGEST >> 20} MiB: name a patch")
    diffs = [_diff_of(mail) for mail in _mails(raw)]
    diffs = [
        diff for diff in diffs if re.search(rb"^(?:diff |--- )", diff, re.MULTILINE)
    ]  # a cover letter has none
    if not diffs:
        raise UsageError(f"{path} holds no patch: give a mail as git am takes it, or a diff")
    if len(diffs) == 1:
        return (Patch(path.name, diffs[0]),)
    return tuple(Patch(f"{path.name} ({n} of {len(diffs)})", diff) for n, diff in enumerate(diffs, 1))


def _mails(raw: bytes) -> Iterator[bytes]:
    """The mails of a mailbox; what is no mailbox is one."""
    if not raw.startswith(b"From "):
        yield raw
        return
    starts = [found.start() for found in _NEXT_MAIL.finditer(raw)]
    for start, end in zip(starts, [*starts[1:], len(raw)], strict=True):
        yield raw[start:end].partition(b"\n")[2]


def _diff_of(text: bytes) -> bytes:
    """The text of a mail, decoded; a diff as it is."""
    if not _HEADER.match(text):
        return text
    mail = email.message_from_bytes(text, policy=email.policy.compat32)
    parts = [part for part in mail.walk() if part.get_content_maintype() == "text"]
    whole = b"".join(part.get_payload(decode=True) or b"" for part in parts)  # type: ignore[misc]
    return whole.replace(b"\r\n", b"\n")


def with_patches(linux: LinuxTree, commit: str, patches: Sequence[Patch]) -> Patched:
    """A commit (a full hash) with patches on top of it, in order."""
    if not patches:
        return Patched(commit)
    repository = worktrees.repository(linux)
    with tempfile.TemporaryDirectory(dir=repository, prefix="index-") as folder:
        index = Path(folder) / "index"
        git(repository, "read-tree", commit, index=index)
        found = _apply(repository, index, patches)
        if found.conflict:
            return found
        tree = git(repository, "write-tree", index=index).strip()
        if tree == linux.tree_hash(commit):
            return Patched(commit, contained=tuple(patch.name for patch in patches))
        # Its date is the commit's, which is how near kernels are found (LinuxTree.nearest).
        date = int(linux.read("log", "-1", "--format=%ct", commit, "--"))
        message = "\n".join([f"{commit[:12]} with patches", "", *found.applied])
        made = git(repository, "commit-tree", tree, "-p", commit, "-m", message, date=date).strip()
        return Patched(made, found.applied, found.contained)


def to_build(linux: LinuxTree, commit: str, patches: Sequence[Patch]) -> str:
    """The commit to build instead of one (itself where there is nothing to apply).

    Raises PatchError where a patch conflicts with it.
    """
    found = with_patches(linux, commit, patches)
    if found.conflict:
        raise PatchError(f"{commit[:12]}: {found.conflict}: give a patch that applies there")
    return found.commit


def require(linux: LinuxTree, patches: Sequence[Patch], end: str, others: Iterable[str]) -> None:
    """Check, before anything is built, that each patch can be applied at the `end` that must show the bug.

    `others` are more commits, as many as are needed. Raises UsageError for what is no patch, for one that
    applies nowhere, and for one that does not apply at the end.
    """
    for patch in patches:
        _files(linux, patch)  # raises where it is corrupt
    found = with_patches(linux, end, patches)
    if not found.conflict:
        return
    for patch in patches:
        if _conflict(linux, end, patch) and all(_conflict(linux, other, patch) for other in _some(others)):
            raise UsageError(
                f"--kbisect-patch: {_conflict(linux, end, patch)}; it applies nowhere in the range: give a patch that does"
            )
    raise UsageError(
        f"--kbisect-patch: {found.conflict} at {end[:12]}, the end that must show the bug: give a patch that applies there"
    )


def touching(linux: LinuxTree, patches: Sequence[Patch], good: str, bad: str) -> tuple[str, ...]:
    """Commits of good..bad after which a patch may apply where it did not before, and the good end."""
    files = sorted({file for patch in patches for file in _files(linux, patch)})
    log = linux.read("log", "--full-history", "--format=%H", f"{good}..{bad}", "--", *files).split()
    return (good, *log)


def _some(commits: Iterable[str]) -> list[str]:
    """At most _LOOKED_AT of some commits, evenly spread."""
    every = list(commits)
    step = max(1, -(-len(every) // _LOOKED_AT))
    return every[::step]


def _conflict(linux: LinuxTree, commit: str, patch: Patch) -> str:
    """Why one patch does not apply at a commit; "" where it does. Looks at the patch's files only."""
    repository = worktrees.repository(linux)
    files = [file for file in _files(linux, patch) if file]
    listed = linux.read("ls-tree", "-r", "-z", commit, "--", *files)
    with tempfile.TemporaryDirectory(dir=repository, prefix="index-") as folder:
        index = Path(folder) / "index"
        words = ("update-index", "-z", "--index-info")
        git(repository, *words, stdin=listed.encode("utf-8", "replace"), index=index)
        return _apply(repository, index, (patch,)).conflict


def _files(linux: LinuxTree, patch: Patch) -> tuple[str, ...]:
    """The files that a patch changes. Raises UsageError where it is corrupt."""
    try:
        words = ("apply", "--numstat", "-z")
        counted = git(worktrees.repository(linux), *words, stdin=patch.diff).split("\0")
    except CalledProcessError as error:
        raise UsageError(
            f"--kbisect-patch: {patch.name} is no patch: git says: {_said(error)}: give a mail as git am takes it, or a diff"
        ) from None
    return tuple(fact.rpartition("\t")[2] for fact in counted if fact)


def _apply(repository: Path, index: Path, patches: Sequence[Patch]) -> Patched:
    """Apply patches to an index, in order."""
    applied: list[str] = []
    contained: list[str] = []
    for patch in patches:
        (forward, why), (backward, _) = (_fits(repository, index, patch, *how) for how in ((), ("-R",)))
        if backward is not None and (forward is None or backward >= forward):
            contained.append(patch.name)
            continue
        try:
            # Like `git am -3`: where the context has changed, the blobs that the patch names may be known.
            how = () if forward is not None else ("--3way",)
            git(repository, "apply", "--cached", *how, stdin=patch.diff, index=index)
        except CalledProcessError as error:
            return Patched(conflict=f"{patch.name} does not apply: {why or _said(error)}")
        applied.append(patch.name)
    return Patched("", tuple(applied), tuple(contained))


def _fits(repository: Path, index: Path, patch: Patch, *how: str) -> tuple[bool | None, str]:
    """Whether a patch applies at the very lines that it names; None where it does not apply, and why not."""
    words = ("apply", "--cached", "--check", "-v", *how)
    try:
        return not _OFFSET.search(git(repository, *words, stdin=patch.diff, index=index)), ""
    except CalledProcessError as error:
        return None, _said(error)


def _said(error: CalledProcessError) -> str:
    """What is wrong, in git's words: the place if it names one."""
    lines = error.output.decode("utf-8", "replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith(("error: ", "fatal: "))]
    places = [line.removeprefix("patch failed: ") for line in errors if line.startswith("patch failed: ")]
    return ", ".join(dict.fromkeys(places)) or next(iter(errors), "git gave no reason")
