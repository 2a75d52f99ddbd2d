"""`result.json`: the answer of a bisection for programs. The schema is in the README and kept stable."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pytest_kbisect import whole

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer of a bisection. Seconds are wall-clock; signatures are 64 hex digits or empty.

    `kind` is an AnswerKind; `candidates` are (hash, title, probability), most likely first; `tested`
    tells of each commit tried (commit, title, verdict, signature, runs and crashes counted).
    `parents` are the culprit's. `commits` is the number of candidates at the start; `confirmation` has
    the crashed and all runs of `culprit` and `parent`, and what became of the `revert` (passed, crashed,
    conflict, not-built, unclear, not-tried; `revert_why` says more), and which functions of the crash
    were `reached` and `unreached` by the runs that did not crash there. `fix`: a repair was looked for.
    `beside` is the good end that was named, where it lies on another branch and `range` begins at the
    branching. `crash_report` is the crash at `crash_commit`, with source lines where they could be had;
    `command` repeats the bisection. `image` is the path of the guests' disk image, empty where they had
    the default user space; `guest` what they and their runs had where a reproducer named nothing:
    `memory` (MiB), `cpus`, `timeout` (seconds).
    """

    kind: str
    range: tuple[str, str]
    culprit: str = ""
    title: str = ""
    confidence: float = 0.0
    reason: str = ""
    candidates: tuple[tuple[str, str, float], ...] = ()
    crash: str = ""
    culprit_signature: str = ""
    parent_signature: str = ""
    flags: tuple[str, ...] = ()
    recipients_to: tuple[str, ...] = ()
    recipients_cc: tuple[str, ...] = ()
    revisions_tested: int = 0
    builds: int = 0
    runs: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    tested: tuple[dict[str, Any], ...] = ()
    parents: tuple[str, ...] = ()
    fix: bool = False
    beside: str = ""
    commits: int = 0
    confirmation: dict[str, Any] = field(default_factory=dict)
    crash_report: str = ""
    crash_commit: str = ""
    command: tuple[str, ...] = ()
    image: str = ""
    guest: dict[str, float] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """What an answer may depend on besides the kernel."""
    packages = ("pytest-kbisect", "pytest", "pytest-xdist", "paramiko", "junitparser")
    return {name: metadata.version(name) for name in packages} | {
        "python": platform.python_version(),
        "host": platform.release(),
    }


def write(result: Result, path: Path) -> None:
    """Write it, whole or not at all."""
    text = json.dumps({"schema": SCHEMA, **asdict(result), "versions": versions()}, indent=2)
    whole.write(path, text + "\n")
