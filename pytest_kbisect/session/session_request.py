"""The request of a bisection to one session: a JSON file, `--kbisect-request FILE`.

docs/reference/session-request.md describes it. The driver starts each session with one, and keeps it with the
session's results: given by hand, it repeats that session.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

from pytest_kbisect import atomic, options
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA: Final = 1
FILE: Final = "request.json"
"""In the session's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedOfTest:
    """What a session with several bisections' tests is asked about one of them; the rest is as for all."""

    test: str
    """The test's id, without run and configuration."""
    runs: int
    """How many of the session's runs it makes."""
    known: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    stop: tuple[str, ...] | None = None
    """The first crash with one of these titles ends the runs of this test."""
    watch: tuple[str, ...] = ()
    idle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """What a session is started for. An empty one is that of a session which a user has started."""

    arguments: tuple[str, ...] = ()
    """Of pytest: the user's, then those that select the commit and the number of runs."""
    directory: str = ""
    """Working directory of that pytest; absolute."""
    folder: str = ""
    """Folder for consoles and progress events; absolute. Empty: the session is part of no bisection."""
    selection: str = ""
    """File to which a session that only collects writes its selection; absolute. Empty: it runs tests."""
    known: tuple[str, ...] = ()
    """Kernel signatures that need not be run again: what is known of these kernels holds."""
    expect: tuple[str, ...] = ()
    """Titles of the crash that is looked for. A run ends as soon as it has shown one of them."""
    stop: tuple[str, ...] | None = None
    """The first crash with one of these titles ends the session; any crash if the list is empty. None: all
    runs are made."""
    watch: tuple[str, ...] = ()
    """Functions of the crash, the innermost first: each run states which of them it executed."""
    idle: bool = False
    """State also which of these functions a guest executes before its reproducer starts."""
    code: bool = False
    """State for each run which objects of the kernel it executed, and of these which functions."""
    configuration: str = ""
    """Text of a whole configuration, in place of the one that `--kbisect-config` names; empty: that one."""
    compiler: str = ""
    """Identity of the compiler and linker that the bisection builds with; empty: whatever is found."""
    remedies: tuple[str, ...] | None = None
    """Names of the remedies with which each commit is built. None: those that this commit needs."""
    selftests: str = ""
    """The commit of which kselftests are built; full hash. Empty: the one that is tested."""
    strict: bool = False
    """A configuration that the commit cannot have is a usage error, not a reason to skip the commit."""
    each: tuple[AskedOfTest, ...] = ()
    """The tests to run, if each has a bisection of its own; the kernel is that of all selected tests. What is
    said of a test here replaces the fields of the same names. Empty: all selected tests."""

    def write(self, path: Path) -> None:
        """Write it as JSON. Raises OSError."""
        atomic.write(path, json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n")


def read(path: Path) -> SessionRequest:
    """Read a request. Raises UsageError if the file is none, or one of another version."""
    try:
        known = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read the session request {path}: {error.strerror}: give the {FILE} of a session"
        ) from None
    except ValueError as error:
        raise _no_request(path, str(error)) from None
    if not isinstance(known, dict) or "schema" not in known:
        raise _no_request(path, "it has no schema number")
    schema = known.pop("schema")
    if schema != SCHEMA:
        raise UsageError(
            f"{path}: session request of schema {schema!r}, this version reads {SCHEMA}: use the version that wrote it"
        )
    each = known.pop("each", [])
    if not isinstance(each, list) or not all(isinstance(one, dict) for one in each):
        raise _no_request(path, "'each' must be a list of objects")
    request = _with_fields(path, SessionRequest(), known)
    blank = AskedOfTest(test="", runs=1)
    return replace(request, each=tuple(_with_fields(path, blank, one) for one in each))


_T = TypeVar("_T", SessionRequest, AskedOfTest)


def _with_fields(path: Path, blank: _T, known: dict[str, Any]) -> _T:
    """The same with these fields. Raises UsageError for an unknown one, or one of another type."""
    if unknown := sorted(known.keys() - {field.name for field in fields(blank)}):
        raise _no_request(path, f"unknown field {unknown[0]!r}")
    return replace(blank, **{name: _checked(path, blank, name, value) for name, value in known.items()})


def _checked(path: Path, blank: SessionRequest | AskedOfTest, name: str, value: Any) -> Any:
    """The value of a field, lists as tuples. Raises UsageError for one of another type than the field's."""
    default = getattr(blank, name)
    kind = tuple if default is None else type(default)
    if default is None and value is None:
        return None
    if kind is tuple and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind is tuple or type(value) is not kind:
        wanted = {tuple: "a list of strings", str: "a string", bool: "true or false", int: "a number"}[kind]
        raise _no_request(path, f"{name!r} must be {wanted}")
    return value


def _no_request(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} is no session request: {why}: give the {FILE} of a session")


_REQUEST = pytest.StashKey[SessionRequest]()


def request_of(config: pytest.Config) -> SessionRequest:
    """The request of this session. Raises pytest.UsageError for a file that is none."""
    if _REQUEST not in config.stash:
        path: Path | None = options.value(config, "request")
        try:
            config.stash[_REQUEST] = SessionRequest() if path is None else read(path)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_REQUEST]


def is_by_hand(config: pytest.Config) -> bool:
    """Whether a user has given the request: the driver gives its arguments with it."""
    if options.value(config, "request") is None:
        return False
    asked = request_of(config).arguments
    return tuple(map(str, config.invocation_params.args[: len(asked)])) != asked


def repeat(config: pytest.Config) -> int:
    """Make the requested session again, with results in a folder of its own; returns its exit code.

    More arguments on the command line are added to the requested ones.
    """
    request = request_of(config)
    directory = Path(request.directory)
    if not directory.is_dir():
        raise pytest.UsageError(
            f"cannot repeat the session: its directory {directory} does not exist: create it"
        )
    folder = Path(tempfile.mkdtemp(prefix="kbisect-session-", dir=config.invocation_params.dir))
    replace(request, folder=str(folder)).write(folder / FILE)
    more = _without_request([str(argument) for argument in config.invocation_params.args])
    command = [sys.executable, "-m", "pytest", *request.arguments, *more]
    print(f"kbisect: the session's consoles will be in {folder}", flush=True)
    return subprocess.run(
        [*command, f"--kbisect-request={folder / FILE}"], cwd=directory, check=False
    ).returncode


def _without_request(arguments: Sequence[str]) -> list[str]:
    """The arguments without --kbisect-request and its value."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--kbisect-request":
            next(words, None)
        elif not word.startswith("--kbisect-request="):
            kept.append(word)
    return kept
