"""`result.json`: the answer of a bisection for programs. docs/reference/result-json.md is its schema."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pytest_kbisect import atomic
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.symptoms.symptom import CRASH_NAME
from pytest_kbisect.symptoms.wording import Wording, wording

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer of a bisection. Commits are full hashes, seconds wall-clock; what is not known is empty."""

    kind: str
    """An AnswerKind."""
    range: tuple[str, str]
    """The good end and the bad one."""
    culprit: str = ""
    title: str = ""
    """Of the culprit."""
    confidence: float = 0.0
    reason: str = ""
    """Why it is an answer of this kind, in words."""
    candidates: tuple[tuple[str, str, float], ...] = ()
    """(hash, title, probability), most likely first."""
    crash: str = ""
    """Title of the crash, or other failure, at `crash_commit`."""
    symptom: str = CRASH_NAME
    """The kind of symptom that it is."""
    culprit_signature: str = ""
    """64 hex digits."""
    parent_signature: str = ""
    flags: tuple[str, ...] = ()
    """What makes the answer doubtful: merge, branch, no-op, release, unreached."""
    recipients_to: tuple[str, ...] = ()
    recipients_cc: tuple[str, ...] = ()
    revisions_tested: int = 0
    builds: int = 0
    runs: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    """`total`, `build` and `test`, and these two by part."""
    tested: tuple[dict[str, Any], ...] = ()
    """Each commit that was tried: commit, title, verdict, signature, counts of runs, and so on."""
    parents: tuple[str, ...] = ()
    """Of the culprit."""
    fix: bool = False
    """Whether a fix was looked for: then the good end crashes, and the culprit is the first good commit."""
    named_good: str = ""
    """The good end that was named, where it is on another branch and `range` begins at the merge base."""
    commits: int = 0
    """In the range; of the first-parent line where only that was searched first."""
    paths: tuple[str, ...] = ()
    """Files and folders whose commits were searched first (`--kbisect-paths`)."""
    first_parent: bool = False
    """Whether the first-parent line was searched (`--kbisect-first-parent`)."""
    merge: str = ""
    """The merge that was found there, where the answer is of a second step (`--kbisect-into-merge`)."""
    confirmation: dict[str, Any] = field(default_factory=dict)
    """`culprit` and `parent`: crashed runs and all runs. `revert` is passed, crashed, conflict, not-built,
    unclear or not-tried, with `revert_why` and `revert_runs`. `reached` and `unreached`: functions of the
    crash that were executed, or not, by the runs that did not crash beside the culprit. `hosts` are those on
    which both were tested."""
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name: `sessions`, their `seconds`, `runs`, `failed` runs (for reasons of the host), and the
    `machine`."""
    crash_report: str = ""
    """Text of that crash, with source lines where they could be had."""
    crash_commit: str = ""
    crash_configuration: str = ""
    """The name of the configuration that it was seen with, where the reproducer names any."""
    crash_signature: str = ""
    """Of the kernel that crashed; `culprit_signature` stands for those of all configurations."""
    known: tuple[dict[str, Any], ...] = ()
    """Verdicts that the user gave (`--kbisect-known`), of commits of the range: commit, title, verdict, runs
    (or None), where (file and line), trust, and outvoted: whether the answer says otherwise, or None."""
    command: tuple[str, ...] = ()
    """Words that repeat the bisection."""
    full_build: bool = False
    """Whether each commit was built in full (`--kbisect-full-build`)."""
    compiler: str = ""
    """The compiler and the linker of all kernels: the first lines of their --version."""
    remedies: tuple[str, ...] = ()
    """Small changes with which all commits were built, in words; those of files where a commit needs them."""
    image: str = ""
    """Path of the guests' disk image, where they had one."""
    arch: str = DEFAULT.name
    """The architecture of kernels and guests."""
    asked: bool = False
    """Whether a person was the test (`--kbisect-ask`): runs are what was answered."""
    patches: tuple[str, ...] = ()
    """Files with patches that were applied to each commit where they apply (`--kbisect-patch`)."""
    cmdline: tuple[str, ...] = ()
    """Kernel arguments that were given (`--kbisect-cmdline`); those of reproducers are in their files."""
    qemu: tuple[str, ...] = ()
    """The same for QEMU (`--kbisect-qemu`)."""
    icount: bool = False
    """Whether the guests' clock counted instructions (`--kbisect-icount`)."""
    metric: dict[str, Any] = field(default_factory=dict)
    """Of a metric: its `name`, the direction that is `worse`, `points` (what each tested kernel measures) and
    `steps` (where it changes). Empty for other symptoms."""
    guest: dict[str, float] = field(default_factory=dict)
    """What guests had where a reproducer named nothing: `memory` (MiB), `cpus`, `timeout` (seconds)."""

    @property
    def words(self) -> Wording:
        """How to speak of the failure."""
        return wording(self.symptom)


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
    atomic.write(path, text + "\n")
