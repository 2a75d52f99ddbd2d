"""Tests one commit: a pytest session of its own, and what its JUnit XML says.

Nothing but the XML crosses back: a run's outcome, crash and kernel are in its properties. A test
that was asked for and is not in the XML (a worker died) is a failure of the host's side.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kbisect import process, properties
from pytest_kbisect.bisection.outcome import Outcome, Run, Tested
from pytest_kbisect.errors import ExitCode, KbisectError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from junitparser import TestCase

_RUN = re.compile(r"run(\d+)\]$")
_POLL = 0.1

# Where runs of the same number end differently (several reproducers at once), the worst one counts.
_WORST = (Outcome.CRASHED, Outcome.BUILD_FAILED, Outcome.BOOT_FAILED, Outcome.INFRA_FAILED, Outcome.OK)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a bisection runs at each commit: node ids for one run, their files, what they ask for."""

    tests: tuple[str, ...]
    files: tuple[str, ...]
    fragments: dict[str, Any]
    memory: int
    crash: tuple[str, ...]


class Lab:
    """Starts sessions with the user's own arguments; ours are added behind them and win."""

    def __init__(self, arguments: Sequence[str], folder: Path, invocation_dir: Path) -> None:
        self._arguments = list(arguments)
        self._cwd = invocation_dir
        self.folder = folder

    # -- asking ------------------------------------------------------------------------------------

    def select(self) -> Selection:
        """What the arguments select. Raises UsageError for what would be wrong with any session."""
        with tempfile.TemporaryDirectory(prefix="kbisect-") as scratch:
            answer = Path(scratch, "selection.json")
            log = Path(scratch, "session.log")
            child = self._start(
                ["--collect-only", "-q", "--kbisect-runs=1"],
                log,
                scratch=Path(scratch),
                environment={properties.PREFLIGHT: str(answer)},
            )
            status = _wait(child)
            if not answer.exists():
                if status in (ExitCode.FOUND, ExitCode.NOTHING_COLLECTED):
                    raise UsageError(
                        "no reproducer selected: name one (for example repro/name.c), or mend -k and -m"
                    )
                raise UsageError(_complaint(log))
            known = json.loads(answer.read_text())
        if not known["tests"]:
            raise UsageError("no reproducer selected: none of the tests uses a kernel")
        return Selection(
            tuple(known["tests"]),
            tuple(known["files"]),
            known["fragments"],
            known["memory"],
            tuple(known["crash"]),
        )

    # -- testing ------------------------------------------------------------------------------------

    def test(
        self,
        commit: str,
        runs: int,
        *,
        tests: int,
        stop_at_crash: bool = False,
        known: Iterable[str] = (),
        strict: bool = False,
        number: int = 1,
        say: Callable[[str], None] = lambda _: None,
    ) -> Tested:
        """Build a commit and run the selection `runs` times on it.

        `tests` is how many tests make one run. Kernels whose signature is in `known` are built and
        not run: what is known of them holds. `strict`: a configuration that the commit cannot have
        is an error, not a reason to skip it. `number` counts the sessions at this commit. Raises UsageError where the session says that
        something must be mended first, KbisectError where it fell apart.
        """
        folder = self.session_folder(commit, number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        xml, log = folder / "junit.xml", folder / "session.log"
        started = time.monotonic()
        child = self._start(
            [f"--kbisect-commit={commit}", f"--kbisect-runs={runs}", f"--junitxml={xml}"],
            log,
            scratch=folder,
            environment={
                properties.LAB: str(folder),
                properties.KNOWN: " ".join(known),
                properties.STOP: "1" if stop_at_crash else "",
                properties.STRICT: "1" if strict else "",
            },
        )
        status = _wait(child, _Events(folder / "events.jsonl", say))
        seconds = time.monotonic() - started
        if not xml.exists() or status not in (
            ExitCode.FOUND,
            ExitCode.FAILED,
            ExitCode.USAGE,
            ExitCode.INTERRUPTED,
        ):
            if status == ExitCode.USAGE:
                raise UsageError(_complaint(log))
            raise KbisectError(f"the session at {commit[:12]} ended with exit status {status}: see {log}")
        return read(xml, commit, expected=0 if stop_at_crash else runs * tests, seconds=seconds)

    def session_folder(self, commit: str, number: int = 1) -> Path:
        """Where the n-th session of a commit keeps its XML, log and consoles."""
        return self.folder / "sessions" / (commit[:12] if number == 1 else f"{commit[:12]}-{number}")

    def _start(
        self, extra: Sequence[str], log: Path, *, scratch: Path, environment: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        # The last of several equal options wins; an empty range is none. --maxfail and a cache of
        # their own: a user's -x or --lf must not make a session test less than it was asked to.
        command = [
            *(*process.python_command(), "-m", "pytest", *self._arguments),
            *("--kbisect-range=", "--maxfail=0", "--color=no", "-o", f"cache_dir={scratch / 'cache'}"),
            *extra,
        ]
        with log.open("wb") as file:
            return process.start(command, cwd=self._cwd, env={**os.environ, **environment}, stdout=file)


class _Events:
    """What a session says while it runs."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path, self._say, self._offset = path, say, 0

    def __call__(self) -> None:
        try:
            with self._path.open() as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind("\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            self._say(json.loads(line)["say"])


def _wait(child: subprocess.Popen[bytes], look: Callable[[], None] = lambda: None) -> int:
    try:
        while True:
            try:
                status = child.wait(_POLL)
            except subprocess.TimeoutExpired:
                look()
            else:
                look()
                return status
    finally:
        process.kill(child)


def _complaint(log: Path) -> str:
    """The words with which a session refused to start."""
    lines = log.read_text("utf-8", "replace").splitlines()
    errors = [line for line in lines if line.startswith("ERROR:")]
    if errors:
        at = lines.index(errors[0])
        rest = [line for line in lines[at:] if line.strip()]
        return "\n".join(rest).removeprefix("ERROR:").strip()
    collecting = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
    return "\n".join(collecting) or process.tail("\n".join(lines), 10)


def read(xml: Path, commit: str, *, expected: int, seconds: float) -> Tested:
    """What a session's JUnit XML says of a commit; tests missing from `expected` count as infra-failed."""
    from junitparser import JUnitXml, TestSuite

    document: Any = JUnitXml.fromfile(str(xml))
    suites = [document] if isinstance(document, TestSuite) else list(document)
    by_number: dict[int, list[Run]] = defaultdict(list)
    facts: dict[str, set[str]] = defaultdict(set)
    build_error, count = "", 0
    for case in (case for suite in suites for case in suite):
        told = _told(case)
        if told.get(properties.USAGE):
            raise UsageError(told[properties.USAGE][0])
        for name in (properties.SIGNATURE, properties.COMPILER, properties.BUILD_SECONDS):
            facts[name].update(told.get(name, ()))
        count += 1
        run = _run(case, told)
        if run is None:
            continue
        if run.outcome is Outcome.BUILD_FAILED:
            build_error = run.message
            continue
        found = _RUN.search(case.name or "")
        by_number[int(found[1]) if found else 0].append(run)
    runs = [min(group, key=lambda run: _WORST.index(run.outcome)) for _, group in sorted(by_number.items())]
    if not build_error and count < expected:
        missing = Run(Outcome.INFRA_FAILED, title="the run was never reported: its worker died")
        runs += [missing] * (expected - count)
    build_seconds = max((float(text) for text in facts[properties.BUILD_SECONDS]), default=0.0)
    return Tested(
        commit,
        () if build_error else tuple(runs),
        signature="+".join(sorted(facts[properties.SIGNATURE])),
        compiler=", ".join(sorted(facts[properties.COMPILER])),
        build_error=build_error,
        build_seconds=min(build_seconds, seconds),
        test_seconds=max(0.0, seconds - build_seconds),
        cached=not build_seconds,
    )


def _told(case: Any) -> dict[str, list[str]]:
    from junitparser import Properties

    told: dict[str, list[str]] = defaultdict(list)
    for item in case.child(Properties) or ():
        told[str(item.name)].append(str(item.value or ""))
    return told


def _run(case: TestCase, told: dict[str, list[str]]) -> Run | None:
    """One test as a run; None for one that was skipped because its kernel is known already."""
    from junitparser import Error, Failure, Skipped

    ends = [end for end in case.result if isinstance(end, Error | Failure | Skipped)]
    # pytest puts a place in front of a skip's text, and not of its message.
    words = "\n".join(
        str((end.message if isinstance(end, Skipped) else end.text) or end.message or "") for end in ends
    )

    def first(name: str) -> str:
        return told.get(name, [""])[0]

    if first(properties.OUTCOME):
        outcome = Outcome(first(properties.OUTCOME))
    elif any(isinstance(end, Skipped) for end in ends):
        return None
    elif any(isinstance(end, Failure) for end in ends):
        outcome = Outcome.CRASHED
    else:
        # No word of its own and not passed by the hooks: a worker that died, or a broken fixture.
        outcome = Outcome.INFRA_FAILED
    seconds = sum(float(first(name) or 0) for name in (properties.BOOT_SECONDS, properties.RUN_SECONDS))
    return Run(
        outcome,
        title=first(properties.TITLE),
        alt_titles=tuple(told.get(properties.ALT_TITLE, ())),
        type=first(properties.CRASH_TYPE),
        frame=first(properties.FRAME),
        message=words[:2000],
        report=words.removeprefix(first(properties.TITLE)).lstrip("\n")[:20000]
        if outcome is Outcome.CRASHED
        else "",
        seconds=seconds,
    )
