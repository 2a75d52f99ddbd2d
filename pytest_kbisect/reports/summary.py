"""The answers of several bisections that shared kernels (`--kbisect-each`): one model, and its result.json.

docs/reference/result-each.md is its schema.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect import atomic
from pytest_kbisect.errors import ExitCode, UsageError
from pytest_kbisect.layout import RESULT
from pytest_kbisect.reports.bisectlog import duration
from pytest_kbisect.reports.result import Result, versions
from pytest_kbisect.reports.words import count, percent, short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SCHEMA: Final = 1
KIND: Final = "each"
"""What stands for the kind of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneAnswer:
    """What the bisection of one test came to: a result, or the error that ended it.

    `folder` is that of its own reports, relative to the common one.
    """

    name: str
    test: str
    folder: str
    exit_code: int
    error: str = ""
    result: Result | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All of them. `sessions` are notes of the common journal, `total` the seconds of all sessions."""

    range: tuple[str, str]
    fix: bool
    exit_code: int
    tests: tuple[OneAnswer, ...]
    sessions: tuple[Mapping[str, Any], ...]
    total: float
    command: tuple[str, ...] = ()

    @property
    def builds(self) -> int:
        """Kernels that were built, each once whoever ran on it."""
        return sum(bool(one["built"]) for one in self.sessions)

    @property
    def seconds(self) -> dict[str, float]:
        """Of all sessions: `total`, and of that `build` and `test`."""
        build = sum(float(one["build_seconds"]) / int(one["at_once"]) for one in self.sessions)
        return {
            "total": round(self.total, 3),
            "build": round(min(build, self.total), 3),
            "test": round(max(0.0, self.total - build), 3),
        }

    @property
    def culprits(self) -> dict[str, list[OneAnswer]]:
        """The commits that were found, and the tests that they break."""
        found: dict[str, list[OneAnswer]] = {}
        for one in self.tests:
            if one.result and one.result.culprit:
                found.setdefault(one.result.culprit, []).append(one)
        return found


def write(told: Summary, path: Path) -> None:
    """Write it, whole or not at all."""
    facts = {
        "schema": SCHEMA,
        "kind": KIND,
        "range": told.range,
        "fix": told.fix,
        "exit_code": told.exit_code,
        "tests": [
            {
                "name": one.name,
                "test": one.test,
                "folder": one.folder,
                "exit_code": one.exit_code,
                "error": one.error,
                "result": asdict(one.result) if one.result else None,
            }
            for one in told.tests
        ],
        "builds": told.builds,
        "sessions": [{name: one[name] for name in _OF_SESSION} for one in told.sessions],
        "seconds": told.seconds,
        "command": told.command,
        "versions": versions(),
    }
    atomic.write(path, json.dumps(facts, indent=2) + "\n")


_OF_SESSION: Final = ("commit", "title", "number", "tests", "built", "build_seconds", "seconds", "at_once")


def read(folder: Path) -> Summary | None:
    """What a folder's result.json says; None if there is none, or if it is that of a single bisection.

    Raises UsageError for one that cannot be read.
    """
    path = folder / RESULT
    try:
        stored = dict(json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}): run the same bisection again to write it again"
        ) from None
    if stored.get("kind") != KIND:
        return None
    if (schema := stored.get("schema")) != SCHEMA:
        raise UsageError(
            f"{path} has schema {schema!r}, this version reads {SCHEMA}: use the version that wrote it"
        )
    return Summary(
        range=(stored["range"][0], stored["range"][1]),
        fix=bool(stored["fix"]),
        exit_code=int(stored["exit_code"]),
        tests=tuple(
            OneAnswer(**{**one, "result": _result(one["result"]) if one["result"] else None})
            for one in stored["tests"]
        ),
        sessions=tuple(stored["sessions"]),
        total=float(stored["seconds"]["total"]),
        command=tuple(stored["command"]),
    )


def _result(stored: Mapping[str, Any]) -> Result:
    return Result(
        **{field.name: _frozen(stored[field.name]) for field in fields(Result) if field.name in stored}
    )


def _frozen(value: Any) -> Any:
    """JSON's lists as the tuples they were."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def answer_of(one: OneAnswer) -> str:
    """One answer in a line."""
    result = one.result
    if result is None:
        return f"error: {one.error}".partition("\n")[0]
    if result.culprit:
        word = "good" if result.fix else "bad"
        return f"first {word} commit: {short(result.culprit)} {result.title} ({percent(result.confidence)})"
    if result.candidates:
        return f"one of {count(len(result.candidates), 'commit')}: {result.reason}"
    return f"{result.kind}: {result.reason}"


def words(told: Summary) -> Iterator[str]:
    """The last words: a line for each test, and what all of it took."""
    for one in told.tests:
        yield f"{one.name}: {answer_of(one)}"
    found = sum(one.exit_code == ExitCode.FOUND for one in told.tests)
    yield (
        f"{found} of {count(len(told.tests), 'test')} answered, {count(len(told.culprits), 'commit')} found; "
        f"{count(told.builds, 'kernel')} built in {count(len(told.sessions), 'session')}, total time: "
        f"{duration(told.seconds['total'])} (build: {duration(told.seconds['build'])}, "
        f"test: {duration(told.seconds['test'])})"
    )
