"""git, asked about the user's repository, which is read and never written.

Every question is one git process in that repository, with optional locks off: not even the index' cached
times are refreshed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

from pytest_kbisect.errors import HostError, UsageError

NAMED_BARE = "safe.bareRepository=all"
"""Where the user's says "explicit", git wants a bare repository named; but by its folder we do name it."""

GIT_SETTINGS = (
    NAMED_BARE,
    "log.showSignature=false",
    "log.abbrevCommit=false",
    "log.date=default",
    "color.ui=false",
    "color.diff=false",
    "core.quotePath=false",
    "i18n.logOutputEncoding=UTF-8",
)
"""Settings of the user's that would change what is printed here, or whether anything is."""

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
run`, they would point our commands at the repository that runs the hook. Settings handed down in
GIT_CONFIG_COUNT stay: that is how CI says safe.directory."""

_SAFE = re.compile(r"--add safe\.directory (.+)")


def environment() -> dict[str, str]:
    """Our environment for git, without the variables that would point it at another repository."""
    return {name: value for name, value in os.environ.items() if name not in LOCAL_VARIABLES}


def first_line(text: str) -> str:
    """The line of git's complaint that says what is wrong, without its prefix."""
    lines = [line for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return (fatal or lines or ["git gave no reason"])[0].removeprefix("fatal: ").removeprefix("error: ")


class Repository:
    """A git repository at `path`: its top folder, a worktree of it, or a bare one.

    `cache` is where build slots for it will be; nothing is made there before a build. Raises UsageError if
    `path` is no git repository, or not one git will read, HostError where a program is missing.
    """

    def __init__(self, path: Path, cache: Path) -> None:
        from pytest_kbisect import host

        host.require("git")  # GitPython asks at import, with a traceback
        if shutil.which("env") is None:
            raise HostError("cannot start env, of coreutils: add its folder to PATH")
        import git

        self.path = path.absolute()
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
        self.shallow = False  # until git has said so: trouble() asks
        facts = self.read("rev-parse", "--is-shallow-repository", "--show-object-format").split()
        self.shallow = facts[0] == "true"
        self.object_format = facts[1]

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
        """A name for this repository, for folders in the cache: the same whatever path was given for it."""
        top = self.git_dir.parent if self.git_dir.name == ".git" else self.git_dir
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", top.name).strip("-.") or "linux"
        return f"{name[:40]}-{hashlib.sha256(bytes(self.git_dir)).hexdigest()[:12]}"

    def ask(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
        """Exit status, output and complaint (stderr) of a git command that only reads."""
        settings = [word for setting in GIT_SETTINGS for word in ("-c", setting)]
        clean = [word for name in LOCAL_VARIABLES for word in ("-u", name)]
        # GitPython passes the whole environment on and can only add to it, hence env(1). Replaced
        # objects (git replace) are ignored, as in the slots: what is reported is what is built.
        # A partial clone must not fetch into the user's store behind our back (since git 2.44).
        fixed = ["GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1"]
        if os.path.isdir(self.own_objects):  # of a cache folder that may not be read, which is reported later
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

    def read(self, *words: str) -> str:
        """Output of a git command that only reads. Raises UsageError where it fails."""
        status, output, complaint = self.ask(*words)
        if status:
            raise self.trouble(complaint)
        return output.decode("utf-8", "replace")

    def trouble(self, complaint: str) -> UsageError:
        """The error to raise for a complaint of git's, with the next step where it is known."""
        if "dubious ownership" in complaint:
            named = _SAFE.search(complaint)  # where links lead, quoted
            safe = named[1] if named else shlex.quote(str(self.path.resolve()))
            return UsageError(
                f"git refuses {self.path} because it belongs to another user: "
                f"git config --global --add safe.directory {safe}"
            )
        if self.shallow and "bad object" in complaint:
            return UsageError(f"the clone {self.path} is shallow and lacks commits: git fetch --unshallow")
        return UsageError(f"git cannot read {self.path}: {first_line(complaint)}")
