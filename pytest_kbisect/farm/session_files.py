"""Which files a session reads, and its command with paths that a worker can fill in.

A worker keeps the files at the paths that they have on the driver, below a folder of the session's own:
relative paths, conftest.py files and node ids stay what they are.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect.farm.blobs import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RESOURCE: Final = "GUESTS"
"""Dask's name for what sessions take. There is one kind only: with several, tasks can block each other."""
ROOT: Final = "@kbisect-root@"
"""Stands for the folder below which a worker keeps the driver's files."""
FOLDER: Final = "@kbisect-session@"
"""Stands for the session's folder on a worker."""

_PASSED_ON: Final = re.compile(r"(?:PYTEST|CCACHE_REMOTE|PYTHON)\w*|KBISECT_(?!CACHE$|SHARED$|HOST$)\w+")
"""Variables of the driver's environment that a session on a worker gets, too."""
_NOT: Final = ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_AUTO_NUM_WORKERS", "PYTHONHOME", "PYTHONPYCACHEPREFIX")
_LARGEST_NAMED: Final = 64 << 20
"""Bytes of a file that the command line names besides the selection, such as a deselected reproducer."""


@dataclass(frozen=True, slots=True)
class SessionFile:
    """A file: where it is on the driver, its content, its mode, and its size in bytes."""

    path: Path
    digest: str
    mode: int
    size: int


class SessionFiles:
    """The files of a bisection's sessions. They do not change while it runs."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Raises OSError for a file that cannot be read."""
        self._digests: dict[tuple[str, int, int], str] = {}
        self.files = tuple(map(self._look, sorted({Path(os.path.abspath(path)) for path in paths})))
        folders = {folder for file in self.files for folder in file.path.parents}
        self._known = {str(file.path) for file in self.files} | {str(folder) for folder in folders}
        self._known.discard("/")

    def _look(self, path: Path) -> SessionFile:
        facts = path.stat()
        return SessionFile(path, digest_of(path), facts.st_mode & 0o777 | 0o600, facts.st_size)

    def there(self, word: str, directory: Path) -> str:
        """A word of a command line with paths as on a worker: those of our files and of the folders above."""
        head, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        if not equals and word.startswith("-"):
            return word
        path, colons, rest = value.partition("::")
        if path.startswith("~"):
            path = os.path.expanduser(path)
            if str(directory / path) not in self._known:
                return word
        if os.path.isabs(path) and os.path.normpath(path) in self._known:
            path = ROOT + os.path.normpath(path)
        return f"{head}{equals}{path}{colons}{rest}"

    def search_path(self, text: str) -> str:
        """PYTHONPATH as on a worker."""
        words = (
            ROOT + os.path.normpath(one) if os.path.normpath(one) in self._known else one
            for one in text.split(os.pathsep)
        )
        return os.pathsep.join(words)

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The variables that a session on a worker gets from the driver."""
        passed = {
            name: value
            for name, value in environment.items()
            if _PASSED_ON.fullmatch(name) and name not in _NOT
        }
        if "PYTHONPATH" in passed:
            passed["PYTHONPATH"] = self.search_path(passed["PYTHONPATH"])
        return passed


def named_files(arguments: Sequence[str], directory: Path) -> list[Path]:
    """Files that a command line names, as words of their own: pytest refuses one that is not there."""
    found = []
    for word in arguments:
        path = Path(directory, os.path.expanduser(word.partition("::")[0]))
        if not word.startswith("-") and path.is_file() and path.stat().st_size <= _LARGEST_NAMED:
            found.append(path)
    return found


def task(
    files: SessionFiles,
    command: Sequence[str],
    request: Path,
    *,
    directory: Path,
    folder: Path,
    environment: Mapping[str, str],
    rootdir: Path,
    inifile: Path | None,
) -> dict[str, Any]:
    """A session as it is sent: plain values, with ROOT and FOLDER for what only the worker knows.

    `command` begins with the driver's Python and `-m pytest`. `request` is the session request in `folder`.
    """
    known = json.loads(request.read_text("utf-8"))

    def there(word: str) -> str:
        return files.there(word.replace(str(folder), FOLDER), directory)

    known |= {
        "arguments": [there(word) for word in known["arguments"]],
        "directory": ROOT + str(directory),
        "folder": FOLDER,
    }
    words = [there(word) for word in command[3:]]
    words.append(f"--rootdir={ROOT}{rootdir}")
    if inifile is not None:
        words.append(f"--config-file={ROOT}{inifile}")
    return {
        "arguments": words,
        "request": json.dumps(known, indent=2),
        "directory": ROOT + str(directory),
        "folders": [ROOT + str(rootdir)],
        "environment": files.environment(environment),
        "files": [[str(file.path), file.digest, file.mode] for file in files.files],
    }
