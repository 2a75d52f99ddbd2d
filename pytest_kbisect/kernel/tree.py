"""The user's git tree of Linux, read and never written: revisions, ranges and what a commit is.

How git is asked is in git.py. What must be checked out is checked out elsewhere (worktrees).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.errors import UsageError
from pytest_kbisect.kernel.git import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOG_LINE = "%H%x00%P%x00%ct%x00%s"
"""A commit in what `log_text` prints: hash, parents (separated by blanks), committer's time, title."""

_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_VERSION = re.compile(rb"^(VERSION|PATCHLEVEL) *= *\d+ *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit as a report shows it. `text` is what `git show --stat` prints, from "commit" on."""

    sha: str
    author: str
    date: str
    title: str
    message: str
    diffstat: str
    text: str


@dataclass(frozen=True, slots=True)
class Range:
    """The ends of a bisection, as full hashes: `good` is an ancestor of `bad`.

    `good` is empty where the user leaves it open. Where the named good end is on another branch it is
    `named_good`, and `good` is where the branches parted, of which nobody has said that it is good.
    """

    good: str
    bad: str
    named_good: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A file in which two commits differ; not `in_place` where it came, went, or became another kind."""

    path: str
    in_place: bool


class LinuxTree(Repository):
    """A git tree of Linux. That it is one is checked for each commit that is named, not before."""

    def __init__(self, path: Path, cache: Path) -> None:
        super().__init__(path, cache)
        self._linux: set[str] = set()
        self._logs: dict[tuple[str, str], str] = {}
        """Logs of ranges that were read to check them."""

    # -- revisions ----------------------------------------------------------------------------------

    def resolve(self, revision: str) -> str:
        """The full hash of the commit that a revision names.

        Raises UsageError if there is none, if it looks like an option, or if it is not Linux.
        """
        if not revision:
            raise UsageError("empty revision: name a commit, a tag or a branch")
        if revision.startswith(("-", "^")):
            raise UsageError(
                f"revision {revision!r} begins with {revision[0]!r}: name a commit, a tag or a branch"
            )
        if _CONTROL.search(revision) and not revision.startswith(":/") and "^{/" not in revision:
            raise UsageError(f"revision {revision!r} contains whitespace: name one commit, tag or branch")
        # What follows ":/" is searched for to its end, and finds commits only.
        peeled = revision if revision.startswith(":/") else f"{revision}^{{commit}}"
        status, output, complaint = self.ask("rev-parse", "--verify", peeled)
        if status:
            if "ambiguous" in complaint:
                raise UsageError(f"revision {revision!r} is ambiguous in {self.path}: give more digits")
            hint = (
                "the clone is shallow: git fetch --unshallow"
                if self.shallow
                else "see: git log, git tag; or fetch it first"
            )
            raise UsageError(f"unknown revision {revision!r} in {self.path} ({hint})")
        sha = output.decode().split()[0]
        self._require_linux(sha, revision)
        return sha

    def parse_range(self, text: str) -> Range:
        """`A..B`, or `..B` where the good end is to be looked for. Raises UsageError for everything else."""
        first, dots, last = text.partition("..")
        if not dots or last.startswith(".") or not (first or last):
            raise UsageError(f"{text!r} is not a range: write A..B, A the good end and B the bad one")
        last = last or "HEAD"
        if not first:
            return Range("", self.resolve(last))
        a, b = self.resolve(first), self.resolve(last)
        if a == b:
            raise UsageError(f"empty range {text!r}: {first} and {last} are the same commit {a[:12]}")
        if self._leads_to(a, b):
            return Range(a, b)
        base = self.merge_base(a, b)
        if base == b:
            raise UsageError(
                f"{first} is not an ancestor of {last}, it is a descendant: did you mean {last}..{first}?"
            )
        if self.shallow:
            raise UsageError(
                f"{first} is not an ancestor of {last} as far as this shallow clone goes: "
                "git fetch --unshallow, and try again"
            )
        if not base:
            raise UsageError(
                f"{first} and {last} have no common history: no range leads from one to the other"
            )
        return Range(base, b, named_good=a)

    def tags_before(self, commit: str) -> dict[str, str]:
        """The release tags (v*.*) that a commit contains and is not named by: tag and commit's hash."""
        wanted = "%(refname:strip=2)%00%(objectname)%00%(*objectname)"
        output = self.read(
            *("for-each-ref", f"--format={wanted}", f"--merged={commit}", f"--no-contains={commit}"),
            "refs/tags/v*.*",
        )
        rows = (line.split("\0") for line in output.splitlines())
        return {tag: peeled or direct for tag, direct, peeled in rows}

    def tags_at(self, commit: str) -> tuple[str, ...]:
        """The release tags that name this commit."""
        output = self.read("tag", "--list", "v*.*", "--points-at", commit)
        return tuple(output.split())

    def parents(self, commit: str) -> tuple[str, ...]:
        """The hashes of a commit's parents."""
        return tuple(self.read("rev-parse", f"{commit}^@").split())

    def merge_base(self, a: str, b: str) -> str:
        """The best common ancestor of two commits, the first where there are several; empty if none."""
        return next(iter(self.merge_bases(a, b)), "")

    def merge_bases(self, a: str, b: str) -> tuple[str, ...]:
        """All best common ancestors: several where two branches were merged into each other."""
        status, output, complaint = self.ask("merge-base", "--all", a, b)
        if status not in {0, 1}:
            raise self.trouble(complaint)
        return tuple(output.decode().split())

    def tree_hash(self, commit: str) -> str:
        """The hash of a commit's files: commits that share it build the same kernel."""
        return self.read("rev-parse", "--verify", f"{commit}^{{tree}}").strip()

    # -- history ------------------------------------------------------------------------------------

    def log_text(self, a: str, b: str, *, first_parent: bool = False) -> str:
        """All commits of a..b, one a line as LOG_LINE says; or those of b's first-parent line only.

        Children come after their parents, lines of development are not mixed (--topo-order). Raises
        UsageError where a shallow clone lacks some of them.
        """
        known = self._logs.pop((a, b), None)
        if known is None:
            known = self._read_log(a, b)
            self._require_whole(known)
        return _first_parents(known, b) if first_parent else known

    def _read_log(self, a: str, b: str) -> str:
        return self.read("log", "--topo-order", "--reverse", f"--format={LOG_LINE}", f"{a}..{b}", "--")

    def _require_whole(self, log: str) -> None:
        """A commit whose parents were cut off would be blamed for what any of its ancestors did."""
        if not self.shallow:
            return
        cut = frozenset((self.git_dir / "shallow").read_text().split())
        if not cut.isdisjoint(line.partition("\0")[0] for line in log.splitlines()):
            raise UsageError(f"the clone {self.path} is shallow and lacks commits: git fetch --unshallow")

    def _leads_to(self, a: str, b: str) -> bool:
        """Whether a is an ancestor of b: then, and only then, it is the parent of a commit in a..b.

        Raises UsageError where a shallow clone lacks some of these.

        Whoever asks reads the log of the range next, so it is kept for that: `git merge-base` would
        walk the same commits once more (half a second for a year of Linux).
        """
        text = self._read_log(a, b)
        if not re.search(rf"^[0-9a-f]+\0(?:[0-9a-f]+ )*{a}[ \0]", text, re.MULTILINE):
            return False
        self._require_whole(text)
        self._logs[a, b] = text
        return True

    def describe(self, commit: str) -> CommitInfo:
        """Author, date, title, message and diffstat (of a merge: against its first parent)."""
        show = ["show", "--no-patch", "--format=%an <%ae>%x00%ad%x00%s%x00%B%x00%H", commit]
        author, date, title, message, sha = self.read(*show).rstrip("\n").split("\0")
        stat = ["--stat", "--no-ext-diff", "--no-textconv", "--diff-merges=first-parent"]
        text = self.read("show", *stat, "--no-notes", "--no-decorate", "--format=medium", commit)
        diffstat = self.read("show", *stat, "--format=", commit)
        return CommitInfo(
            sha=sha,
            author=author,
            date=date,
            title=title,
            message=message.rstrip("\n"),
            diffstat=diffstat.strip("\n"),
            text=text.rstrip("\n"),
        )

    def changes(self, a: str, b: str) -> tuple[Change, ...]:
        """The files in which two commits differ: what a checkout from a to b writes."""
        words = self.read("diff-tree", "-r", "--name-status", "-z", "--no-renames", a, b).split("\0")
        return tuple(
            Change(path, in_place=status == "M")
            for status, path in zip(words[::2], words[1::2], strict=False)
        )

    def files_text(self, a: str, b: str, *, first_parent: bool = False) -> str:
        """The files of all commits of a..b, as bisection.priors.read_files() reads them.

        Merges have none, but on the first-parent line: all that they brought in. One git process: 3 s for
        10,000 commits.
        """
        line = ("--first-parent", "-m") if first_parent else ()
        words = ("log", "--format=%x00%H", "--name-only", "--no-renames", *line)
        return self.read(*words, f"{a}..{b}", "--")

    def touching(self, a: str, b: str, paths: Sequence[str], *, first_parent: bool = False) -> frozenset[str]:
        """The commits of a..b that change one of these files, or a file below one of these folders.

        Paths are as they are written from the top of the tree, or absolute ones in it. A merge does so on the
        first-parent line only.
        """
        names = [self._from_the_top(path) for path in paths]
        line = ("--first-parent", "-m") if first_parent else ("--full-history", "--no-merges")
        return frozenset(self.read("log", "--format=%H", *line, f"{a}..{b}", "--", *names).split())

    def _from_the_top(self, path: str) -> str:
        top, whole = os.path.realpath(self.path), os.path.realpath(path)
        name = os.path.relpath(whole, top) if os.path.isabs(path) and whole.startswith(f"{top}/") else path
        return f":(top,literal){os.path.normpath(name)}"

    def recent(self, commit: str, count: int) -> list[str]:
        """The commit and its latest ancestors, `count` together, the newest first."""
        return self.read("rev-list", f"--max-count={count}", commit, "--").split()

    def nearest(self, commit: str, others: Sequence[str], count: int) -> list[str]:
        """Up to `count` of some commits, those first whose committer dates are closest to a commit's.

        Commits that are not in this repository are left out.
        """
        if not others:
            return []
        log = ["log", "--ignore-missing", "--no-walk=unsorted", "--format=%H %ct", commit, *others]
        rows = (line.split() for line in self.read(*log, "--").splitlines())
        dates = {sha: int(date) for sha, date in rows}
        there = [sha for sha in dict.fromkeys(others) if sha in dates]
        return sorted(there, key=lambda sha: abs(dates[sha] - dates[commit]))[:count]

    def read_files(self, commit: str, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The text of some files at a commit, those that are there; one git process reads them all."""
        if not paths:
            return
        names = "".join(f"{commit}:{path}\n" for path in paths if "\n" not in path)
        _, output, _ = self.ask("cat-file", "--batch", stdin=names.encode("utf-8", "surrogateescape"))
        at = 0
        for path in paths:
            header, _, _ = output[at : at + 4200].partition(b"\n")
            at += len(header) + 1
            words = header.split()
            if len(words) == 3 and words[1] in {b"blob", b"tree", b"commit"}:
                size = int(words[2])
                if words[1] == b"blob":
                    yield path, output[at : at + size].decode("utf-8", "replace")
                at += size + 1

    def _require_linux(self, commit: str, revision: str) -> None:
        if commit in self._linux:
            return
        status, makefile, complaint = self.ask("cat-file", "blob", f"{commit}:Makefile")
        if status and "dubious ownership" in complaint:
            raise self.trouble(complaint)
        has_kconfig = not self.ask("cat-file", "-e", f"{commit}:Kconfig")[0]
        if status or not has_kconfig or len(_VERSION.findall(makefile)) < 2:
            raise UsageError(
                f"{self.path} is not a tree of Linux at {revision} (no Makefile with VERSION and "
                "PATCHLEVEL, or no Kconfig): give the top folder of a clone of Linux"
            )
        self._linux.add(commit)


def _first_parents(log: str, end: str) -> str:
    """The first-parent line to a commit, of what `log_text` gives of all; each has that parent only."""
    rows = {row.partition("\0")[0]: row for row in log.splitlines()}
    line: list[str] = []
    while end in rows:
        sha, parents, rest = rows.pop(end).split("\0", 2)
        end = parents.partition(" ")[0]
        line.append(f"{sha}\0{end}\0{rest}")
    return "".join(f"{row}\n" for row in reversed(line))
