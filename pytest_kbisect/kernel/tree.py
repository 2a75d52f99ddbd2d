"""The user's git tree of Linux, read and never written: revisions, ranges and what a commit is.

Every question is one git process in the user's own repository, with optional locks off: not even
the index' cached times are refreshed. What must be checked out is checked out elsewhere (worktrees).
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GIT_SETTINGS = (
    "log.showSignature=false",
    "log.date=default",
    "color.ui=false",
    "core.quotePath=false",
    "i18n.logOutputEncoding=UTF-8",
)
"""Settings of the user's that would change what is printed here."""

LOCAL_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
"""What `git rev-parse --local-env-vars` lists: set inside hooks, `git rebase --exec` and `git bisect
run`, they would turn our commands on the repository that runs the hook. Settings handed down in
GIT_CONFIG_COUNT stay: that is how CI says safe.directory."""

LOG_LINE = "%H%x00%P%x00%ct%x00%s"
"""A commit in what `log_text` prints: hash, parents (separated by blanks), committer's time, title."""

_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_VERSION = re.compile(rb"^(VERSION|PATCHLEVEL) *= *\d+ *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit as a report tells it. `text` is what `git show --stat` prints, from "commit" on."""

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
    `beside`, and `good` is where the branches parted, of which nobody has said that it is good.
    """

    good: str
    bad: str
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A file in which two commits differ; not `in_place` where it came, went, or became another kind."""

    path: str
    in_place: bool


def first_line(text: str) -> str:
    """The line of git's complaint that says what is wrong, without its prefix."""
    lines = [line for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return (fatal or lines or ["git gave no reason"])[0].removeprefix("fatal: ").removeprefix("error: ")


class LinuxTree:
    """A git tree of Linux at `path`: its top folder, a worktree of it, or a bare repository.

    `cache` is where build slots for this tree will be; nothing is made there before a build.
    Raises UsageError if `path` is no git repository, or not one git will read.
    """

    def __init__(self, path: Path, cache: Path) -> None:
        from pytest_kbisect import host

        host.require("git")  # GitPython asks at import, with a traceback
        import git

        self.path = path.expanduser().absolute()
        self.cache = cache
        try:
            # Repo() looks for the folder's own repository only: a folder inside another project's
            # tree must not be taken for Linux.
            self._repo = git.Repo(self.path)
        except git.NoSuchPathError:
            raise UsageError(f"no kernel tree at {path}: there is no such folder") from None
        except git.InvalidGitRepositoryError:
            raise UsageError(
                f"{path} is not a git tree: give the top folder of a clone of Linux (its .git is needed)"
            ) from None
        self.git_dir = Path(self._repo.common_dir).resolve()
        """The repository proper; also for a worktree, whose own .git is a file."""
        facts = self._git("rev-parse", "--is-shallow-repository", "--show-object-format").split()
        self.shallow = facts[0] == "true"
        self.object_format = facts[1]
        self._linux: set[str] = set()
        self._logs: dict[tuple[str, str], str] = {}

    @property
    def objects(self) -> Path:
        """The user's object store; git follows the alternates in it by itself."""
        return self.git_dir / "objects"

    @property
    def own_objects(self) -> Path:
        """Objects that we made for this tree (commits with a revert); they are not in the user's store."""
        return self.cache / "trees" / self.identity / "git" / "objects"

    @property
    def identity(self) -> str:
        """A name for this repository, the same whichever way leads to it: for folders in the cache."""
        top = self.git_dir.parent if self.git_dir.name == ".git" else self.git_dir
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", top.name).strip("-.") or "linux"
        return f"{name[:40]}-{hashlib.sha256(bytes(self.git_dir)).hexdigest()[:12]}"

    # Revisions

    def resolve(self, revision: str) -> str:
        """The full hash of the commit that a revision names.

        Raises UsageError if there is none, if it looks like an option, or if it is not Linux.
        """
        if not revision:
            raise UsageError("empty revision: name a commit, a tag or a branch")
        if revision.startswith("-"):
            raise UsageError(f"revision {revision!r} begins with '-': name a commit, a tag or a branch")
        if _CONTROL.search(revision) and not revision.startswith(":/") and "^{/" not in revision:
            raise UsageError(f"revision {revision!r} contains blanks: name one commit, tag or branch")
        # What follows ":/" is searched for to its end, and finds commits only.
        peeled = revision if revision.startswith(":/") else f"{revision}^{{commit}}"
        status, output, complaint = self._ask("rev-parse", "--verify", peeled)
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
        return Range(base, b, beside=a)

    def tags_before(self, commit: str) -> dict[str, str]:
        """The release tags (v*.*) that a commit contains and is not named by: tag and commit's hash."""
        wanted = "%(refname:strip=2)%00%(objectname)%00%(*objectname)"
        output = self._git(
            *("for-each-ref", f"--format={wanted}", f"--merged={commit}", f"--no-contains={commit}"),
            "refs/tags/v*.*",
        )
        rows = (line.split("\0") for line in output.splitlines())
        return {tag: peeled or direct for tag, direct, peeled in rows}

    def tags_at(self, commit: str) -> tuple[str, ...]:
        """The release tags that name this commit."""
        output = self._git("tag", "--list", "v*.*", "--points-at", commit)
        return tuple(output.split())

    def parents(self, commit: str) -> tuple[str, ...]:
        """The hashes of a commit's parents."""
        return tuple(self._git("rev-parse", f"{commit}^@").split())

    def merge_base(self, a: str, b: str) -> str:
        """The best common ancestor of two commits; empty if they have none."""
        status, output, complaint = self._ask("merge-base", a, b)
        if status not in {0, 1}:
            raise self._trouble(complaint)
        return output.decode().strip().partition("\n")[0]

    def tree_hash(self, commit: str) -> str:
        """The hash of a commit's files: commits that share it build the same kernel."""
        return self._git("rev-parse", "--verify", f"{commit}^{{tree}}").strip()

    # History

    def log_text(self, a: str, b: str) -> str:
        """All commits of a..b, one a line as LOG_LINE says.

        Children come after their parents, lines of development are not mixed (--topo-order).
        """
        known = self._logs.pop((a, b), None)
        if known is not None:
            return known
        return self._git("log", "--topo-order", "--reverse", f"--format={LOG_LINE}", f"{a}..{b}", "--")

    def _leads_to(self, a: str, b: str) -> bool:
        """Whether a is an ancestor of b: then, and only then, it is the parent of a commit in a..b.

        Whoever asks reads the log of the range next, so it is kept for that: `git merge-base` would
        walk the same commits once more (half a second for a year of Linux).
        """
        text = self.log_text(a, b)
        if not re.search(rf"^[0-9a-f]+\0(?:[0-9a-f]+ )*{a}[ \0]", text, re.MULTILINE):
            return False
        self._logs[a, b] = text
        return True

    def describe(self, commit: str) -> CommitInfo:
        """Author, date, title, message and diffstat (of a merge: against its first parent)."""
        show = ["show", "--no-patch", "--format=%an <%ae>%x00%ad%x00%s%x00%B%x00%H", commit]
        author, date, title, message, sha = self._git(*show).rstrip("\n").split("\0")
        stat = ["--stat", "--no-ext-diff", "--no-textconv", "--diff-merges=first-parent"]
        text = self._git("show", *stat, "--no-notes", "--no-decorate", "--format=medium", commit)
        diffstat = self._git("show", *stat, "--format=", commit)
        return CommitInfo(
            sha=sha,
            author=author,
            date=date,
            title=title,
            message=message.rstrip("\n"),
            diffstat=diffstat.strip("\n"),
            text=text.rstrip("\n"),
        )

    def files_changed(self, commit: str) -> tuple[str, ...]:
        """The paths a commit touches, both names of a renamed one; of a merge: against its first parent."""
        output = self._git(
            "show", "--format=", "--name-only", "-z", "--no-renames", "--diff-merges=first-parent", commit
        )
        return tuple(path for path in output.split("\0") if path)

    def files_differing(self, a: str, b: str) -> tuple[str, ...]:
        """The paths in which the files of two commits differ: what a checkout from a to b writes."""
        output = self._git("diff-tree", "-r", "--name-only", "-z", "--no-renames", a, b)
        return tuple(path for path in output.split("\0") if path)

    def changes(self, a: str, b: str) -> tuple[Change, ...]:
        """The same, and of each file whether it is there in both."""
        words = self._git("diff-tree", "-r", "--name-status", "-z", "--no-renames", a, b).split("\0")
        return tuple(
            Change(path, in_place=status == "M")
            for status, path in zip(words[::2], words[1::2], strict=False)
        )

    def files_text(self, a: str, b: str) -> str:
        """The files of all commits of a..b, as bisection.priors.read_files() reads them; merges have none.

        One git process: 3 s for 10,000 commits.
        """
        return self._git("log", "--format=%x00%H", "--name-only", "--no-renames", f"{a}..{b}", "--")

    def nearest(self, commit: str, others: Sequence[str], count: int) -> list[str]:
        """Up to `count` of some commits, those first whose committer dates are closest to a commit's.

        Commits that are not in this repository are left out.
        """
        if not others:
            return []
        log = ["log", "--ignore-missing", "--no-walk=unsorted", "--format=%H %ct", commit, *others]
        rows = (line.split() for line in self._git(*log, "--").splitlines())
        dates = {sha: int(date) for sha, date in rows}
        there = [sha for sha in dict.fromkeys(others) if sha in dates]
        return sorted(there, key=lambda sha: abs(dates[sha] - dates[commit]))[:count]

    def read_files(self, commit: str, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The text of some files at a commit, those that are there; one git process reads them all."""
        if not paths:
            return
        names = "".join(f"{commit}:{path}\n" for path in paths if "\n" not in path)
        _, output, _ = self._ask("cat-file", "--batch", stdin=names.encode("utf-8", "surrogateescape"))
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

    # git

    def _require_linux(self, commit: str, revision: str) -> None:
        if commit in self._linux:
            return
        status, makefile, complaint = self._ask("cat-file", "blob", f"{commit}:Makefile")
        if status and "dubious ownership" in complaint:
            raise self._trouble(complaint)
        has_kconfig = not self._ask("cat-file", "-e", f"{commit}:Kconfig")[0]
        if status or not has_kconfig or len(_VERSION.findall(makefile)) < 2:
            raise UsageError(
                f"{self.path} is not a tree of Linux at {revision} (no Makefile with VERSION and "
                "PATCHLEVEL, or no Kconfig): give the top folder of a clone of Linux"
            )
        self._linux.add(commit)

    def _ask(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        settings = [word for setting in GIT_SETTINGS for word in ("-c", setting)]
        clean = [word for name in LOCAL_VARIABLES for word in ("-u", name)]
        # GitPython passes the whole environment on and can only add to it, hence env(1). Replaced
        # objects (git replace) are ignored, as in the slots: what is reported is what is built.
        # A partial clone must not fetch into the user's store behind our back (since git 2.44).
        fixed = ["GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1"]
        if self.own_objects.is_dir():
            quoted = str(self.own_objects).replace("\\", "\\\\").replace('"', '\\"')
            fixed.append(f'GIT_ALTERNATE_OBJECT_DIRECTORIES="{quoted}"')
        command = ["env", *clean, *fixed]
        with tempfile.TemporaryFile() as file:  # GitPython wants a file, with a descriptor
            file.write(stdin)
            file.seek(0)
            status, output, complaint = self._repo.git.execute(
                [*command, "git", *settings, *words],
                istream=file,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        assert isinstance(output, bytes)
        return (
            status,
            output,
            complaint if isinstance(complaint, str) else complaint.decode("utf-8", "replace"),
        )

    def _git(self, *words: str) -> str:
        status, output, complaint = self._ask(*words)
        if status:
            raise self._trouble(complaint)
        return output.decode("utf-8", "replace")

    def _trouble(self, complaint: str) -> UsageError:
        if "dubious ownership" in complaint:
            return UsageError(
                f"git refuses {self.path} because it belongs to another user: "
                f"git config --global --add safe.directory {self.path}"
            )
        if self.shallow and "bad object" in complaint:
            return UsageError(f"the clone {self.path} is shallow and lacks commits: git fetch --unshallow")
        return UsageError(f"git cannot read {self.path}: {first_line(complaint)}")
