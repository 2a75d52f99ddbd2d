"""Tests one commit: starts a pytest session of its own, hears what it says, and reads its JUnit XML."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_kbisect import process
from pytest_kbisect.bisection.executor import Executor, LocalExecutor, RunningSession, SessionCommand
from pytest_kbisect.bisection.session_report import read
from pytest_kbisect.errors import ExitCode, KbisectError, UsageError
from pytest_kbisect.reports.consoles import session_folder
from pytest_kbisect.session import events, session_request
from pytest_kbisect.session.session_request import SessionRequest
from pytest_kbisect.symptoms.symptom import CRASH_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_kbisect.bisection.commit_request import CommitRequest
    from pytest_kbisect.evidence.outcome import CommitResult
    from pytest_kbisect.kernel.compiler_choice import Choice

F = TypeVar("F")
"""What is found in a session."""
_POLL = 0.1
_TOLD = (ExitCode.FOUND, ExitCode.FAILED, ExitCode.USAGE, ExitCode.INTERRUPTED)
"""Exit codes of sessions whose XML tells what they found."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a session is about, for an executor: a commit, its title, and where it should run."""

    commit: str = ""
    title: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a bisection runs at each commit: node ids of one run, their files, what they ask for.

    `per_run` of the tests are repeated by run. `memory` (MiB) and `runs` are the most that any of
    them names, 0 where none does. `log` are lines about their tools, `notes` are lines for the user on
    their guests. `modules` are the files of Python modules that are loaded and not installed.
    """

    tests: tuple[str, ...]
    files: tuple[str, ...]
    fragments: dict[str, Any]
    per_run: int
    memory: int
    runs: int
    crash: tuple[str, ...]
    log: tuple[str, ...] = ()
    bad_when: tuple[str, ...] = ()
    """Symptoms that any of them states."""
    symptoms: tuple[str, ...] = (CRASH_NAME,)
    """The kinds of symptoms that they look for, with those of options and defaults."""
    selftests: tuple[str, ...] = ()
    """kselftests that they run."""
    notes: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    rootdir: str = ""
    inifile: str = ""
    each: tuple[SelectedTest, ...] = ()
    """The same of each single test."""


@dataclass(frozen=True, slots=True)
class SelectedTest:
    """One of the selected tests, without run and configuration: its id, and what is in `Selection` of it.

    `configurations` are the names of those that it runs with.
    """

    test: str
    configurations: tuple[str, ...]
    facts: dict[str, Any]

    def of(self, selection: Selection) -> Selection:
        """A selection of this test alone; its kernels are those of all tests."""
        return replace(selection, **self.facts, each=())


class SessionLauncher:
    """Starts sessions with the user's own arguments; ours are added behind them and win."""

    def __init__(
        self, arguments: Sequence[str], invocation_dir: Path, *, cache: Path, executor: Executor
    ) -> None:
        self._executor = executor
        self._arguments = list(arguments)
        self._cwd = invocation_dir
        self._cache = cache
        self.folder = cache / "run"
        """Where sessions leave what they found; the bisection's, once it is known."""
        self.compiler: Choice | None = None
        """What they build with, once it is chosen."""
        self.configuration = ""
        """Text of the configuration that replaces the user's, once it is found; empty: none."""
        self.selftests = ""
        """The commit of which kselftests are built, once the range is known."""

    # -- asking ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def selecting(self) -> Iterator[Callable[[], Selection]]:
        """A session that only collects runs beside the block; what it gets waits for what is selected.

        That raises UsageError for what would be wrong with any session.
        """
        from pytest_kbisect.scratch import scratch_folder

        with scratch_folder(self._cache / "run") as scratch:
            answer, log = scratch / "selection.json", scratch / "session.log"
            # Here, wherever others run: its answer is needed first, and builds nothing.
            running = self._start(
                LocalExecutor(),
                ("--collect-only", "-q", "--kbisect-runs=1"),
                log,
                SessionRequest(selection=str(answer)),
                scratch=scratch,
            )
            try:
                yield lambda: _selection(_status(running), answer, log)
            finally:
                running.cancel()

    # -- testing ------------------------------------------------------------------------------------

    def begin(
        self,
        order: CommitRequest,
        *,
        per_run: int,
        number: int = 1,
        extra: Iterable[str] = (),
        hear: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> LaunchedSession[CommitResult]:
        """Start a session that builds a commit and runs the selection on it.

        `per_run` is how many tests make one run, `number` counts the sessions at this commit; `extra` are
        more options for pytest. `hear` is told what happens meanwhile, as events.Events.tell writes it.
        """
        request = SessionRequest(
            known=order.known,
            expect=order.expect,
            stop=order.stop,
            watch=order.watch,
            idle=order.idle,
            strict=order.strict,
            code=order.code,
            configuration=self.configuration if order.configuration is None else order.configuration,
        )

        def found(xml: Path, seconds: float) -> CommitResult:
            runs = order.runs if order.stop is None else 0
            return read(xml, order.commit, runs=runs, per_run=per_run, seconds=seconds)

        at = Target(order.commit, order.title, order.host)
        return self.launch(at, request, runs=order.runs, number=number, extra=extra, hear=hear, found=found)

    def launch(
        self,
        at: Target,
        request: SessionRequest,
        *,
        runs: int,
        number: int,
        extra: Iterable[str],
        hear: Callable[[Mapping[str, Any]], None],
        found: Callable[[Path, float], F],
    ) -> LaunchedSession[F]:
        """Start a session with this request; `found` reads its XML, given the seconds that it took."""
        folder = session_folder(self.folder, at.commit, number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        xml, log = folder / "junit.xml", folder / "session.log"
        started = time.monotonic()
        request = replace(
            request,
            folder=str(folder),
            compiler=self.compiler.identity if self.compiler else "",
            remedies=self.compiler.names if self.compiler else None,
            selftests=self.selftests,
        )
        tools = [self.compiler.compiler.option] if self.compiler and self.compiler.compiler.option else []
        # What KVM executes nobody can record.
        tools += ["--kbisect-accel=tcg"] if request.code else []
        options = (f"--kbisect-commit={at.commit}", f"--kbisect-runs={runs}", *tools, *extra)
        private = (f"--junitxml={xml}",)
        running = self._start(self._executor, options, log, request, scratch=folder, private=private, at=at)

        def ended(status: int) -> F:
            seconds = time.monotonic() - started
            if not xml.exists() or status not in _TOLD:
                if status == ExitCode.USAGE:
                    raise UsageError(_complaint(log))
                raise KbisectError(
                    f"the session at {at.commit[:12]} ended with exit status {status}: see {log}"
                )
            return found(xml, seconds)

        return LaunchedSession(running, _Events(folder / events.FILE, hear), ended)

    def _start(
        self,
        executor: Executor,
        extra: Iterable[str],
        log: Path,
        request: SessionRequest,
        *,
        scratch: Path,
        private: Iterable[str] = (),
        at: Target | None = None,
    ) -> RunningSession:
        """Start a session with the user's arguments and `extra` ones; `private` ones are not repeated."""
        # The last of several equal options wins; an empty range is none. A user's -x must not make a session
        # test less than it was asked to.
        arguments = (*self._arguments, "--kbisect-range=", "--maxfail=0", *extra)
        file = scratch / session_request.FILE
        replace(request, arguments=arguments, directory=str(self._cwd)).write(file)
        command = (
            *(sys.executable, "-m", "pytest", *arguments, *private),
            # Nobody reads a summary, and plugins take their time for it: hypothesis imports itself for one.
            # A cache of its own, for the same reason as --maxfail: --lf.
            *("--no-summary", "--color=no", "-o", f"cache_dir={scratch / 'cache'}"),
            f"--kbisect-request={file}",
        )
        # Unbuffered: what pytest says in the end (_complaint) comes after the report that it printed before.
        ours = {"PYTHONUNBUFFERED": "1", **process.bytecode(self._cache / "bytecode")}
        environment = {**os.environ, **ours}
        facts = asdict(at or Target())
        return executor.start(
            SessionCommand(command, self._cwd, environment, folder=scratch, log=log, **facts)
        )


class _Events:
    """What a session says while it runs."""

    def __init__(self, path: Path, hear: Callable[[Mapping[str, Any]], None]) -> None:
        self._path, self._hear, self._offset = path, hear, 0

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
            try:
                event = json.loads(line)
            except ValueError:  # cut short by a full disk, and another worker's glued to it
                continue
            self._hear(event)


class LaunchedSession(Generic[F]):
    """A session at a commit that is running, until it has ended or is closed."""

    def __init__(self, running: RunningSession, look: Callable[[], None], found: Callable[[int], F]) -> None:
        self._running, self._look, self._found = running, look, found

    def poll(self, seconds: float) -> F | None:
        """What it found; None where it has not ended within so many seconds.

        Raises UsageError where the session says that something must be mended first, KbisectError
        where it fell apart.
        """
        status = self._running.wait(seconds)
        self._look()
        return None if status is None else self._found(status)

    def close(self) -> None:
        """End it now, and all that it has started."""
        self._running.cancel()


def _status(running: RunningSession) -> int:
    """Wait for the end of a session, however long it takes."""
    while (status := running.wait(3600)) is None:
        pass
    return status


def _selection(status: int, answer: Path, log: Path) -> Selection:
    if status != ExitCode.FOUND or not answer.exists():
        if status in (ExitCode.FOUND, ExitCode.NOTHING_COLLECTED):
            raise UsageError(
                "no reproducer selected: name one (for example repro/name.c), or check -k and -m"
            )
        raise UsageError(_complaint(log))
    known = json.loads(answer.read_text())
    if not known["tests"]:
        raise UsageError("no reproducer selected: none of the tests uses a kernel")
    each = [
        SelectedTest(one.pop("test"), tuple(one.pop("configurations")), _with_tuples(one))
        for one in known.pop("each")
    ]
    return Selection(**_with_tuples(known), each=tuple(each))


def _with_tuples(facts: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}


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
