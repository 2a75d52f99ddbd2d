"""`--kbisect-ask`: a person is the test. A commit's kernel is built and handed over; the terminal asks.

An answer becomes what a session would have found, so that everything else (evidence, strategy, journal,
confirmation, reports) is as in any bisection. Whoever leaves continues with the same command, days later.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kbisect import layout
from pytest_kbisect.bisection import answers, delivery
from pytest_kbisect.bisection.answers import Answer, Word
from pytest_kbisect.bisection.launcher import Selection
from pytest_kbisect.errors import BuildError, GuestError, UsageError
from pytest_kbisect.evidence.journal import is_answer, read_records, standing
from pytest_kbisect.evidence.outcome import CommitResult
from pytest_kbisect.guest.login import ssh_command
from pytest_kbisect.kernel import packages
from pytest_kbisect.kernel.provide import provide
from pytest_kbisect.needs import Needs
from pytest_kbisect.reports.terminal import ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import pytest

    from pytest_kbisect.bisection.commit_request import CommitRequest
    from pytest_kbisect.kernel.compiler_choice import Choice
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.image import KernelImage
    from pytest_kbisect.kernel.packages import Packaged
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.tree import LinuxTree
    from pytest_kbisect.reports.terminal import TerminalReporter
    from pytest_kbisect.session.shared import Session

SELECTION = Selection(
    tests=("a person",), files=(), fragments={"": ()}, per_run=1, memory=0, runs=0, crash=(answers.TITLE,)
)
"""What stands for reproducers."""
FOLDER = "kernels"
"""In the folder of results: the kernel that is being tested, with its modules and packages."""


class UndoError(Exception):
    """The person takes the last answer back: the journal has it no more, and all is decided again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """How a person gets a kernel besides its files: a guest, a command that delivers it, packages."""

    shell: bool = False
    deliver: str = ""
    package: str = ""


class AskLauncher:
    """Builds commits and asks a person about them, in place of sessions."""

    def __init__(
        self,
        tree: LinuxTree,
        request: ConfigRequest,
        reporter: TerminalReporter,
        session: Session,
        handover: Handover,
        *,
        rules: BuildRules,
        jobs: int,
        read: Callable[[], str],
    ) -> None:
        """`read` gives a line from the terminal, "" at its end."""
        self._tree = tree
        self._request = request
        self._say = reporter
        self._session = session
        self._handover = handover
        self._rules = rules
        self._jobs = jobs
        self._read = read
        self.folder = session.cache / "run"
        """The bisection's, once it is known."""
        self.compiler: Choice | None = None
        """What kernels are built with, once it is chosen."""
        self.selftests = ""
        """Nothing is run, so nobody needs them."""

    @contextlib.contextmanager
    def selecting(self) -> Iterator[Callable[[], Selection]]:
        """There is nothing to select."""
        yield lambda: SELECTION

    def begin(
        self,
        order: CommitRequest,
        *,
        per_run: int,  # noqa: ARG002 - a person makes one run at a time
        number: int,  # noqa: ARG002
        extra: Iterable[str],  # noqa: ARG002
        hear: Callable[[Mapping[str, Any]], None],
    ) -> _Asking:
        """Everything is done when it is polled: there is one person."""
        return _Asking(lambda: self._test(order, hear))

    # -- one commit ----------------------------------------------------------------------------------

    def _test(self, order: CommitRequest, hear: Callable[[Mapping[str, Any]], None]) -> CommitResult:
        began = time.monotonic()

        def progress(words: str) -> None:
            hear({"say": f"{order.commit[:12]}: {words}", "stage": words})

        try:
            with provide(
                *(self._tree, order.commit, self._request),
                jobs=self._jobs,
                rules=self.compiler.rules(self._rules) if self.compiler else self._rules,
                progress=progress,
            ) as kernel:
                built = CommitResult(
                    order.commit,
                    signature=kernel.signature,
                    compiler=kernel.compiler,
                    build_seconds=0.0 if kernel.cached else time.monotonic() - began,
                    cached=kernel.cached,
                    sources=str(kernel.sources or ""),
                )
                if kernel.signature in order.known:
                    return built
                packaged = self._package(kernel, progress)
                hear({"outcome": "asked"})  # a person takes longer than a build: the next one may begin
                return self._hand_over(order, kernel, packaged, built)
        except BuildError as error:
            words = "\n".join(dict.fromkeys([str(error), *error.cause]))
            return CommitResult(order.commit, build_error=words, build_seconds=time.monotonic() - began)

    def _package(self, kernel: KernelImage, progress: Callable[[str], None]) -> Packaged:
        shutil.rmtree(self.folder / FOLDER, ignore_errors=True)  # one that was answered
        return packages.package(
            kernel,
            self.folder / FOLDER / kernel.commit[:12],
            self._tree,
            self._request,
            target=self._handover.package,
            jobs=self._jobs,
            progress=progress,
        )

    def _hand_over(
        self, order: CommitRequest, kernel: KernelImage, packaged: Packaged, built: CommitResult
    ) -> CommitResult:
        """Get the kernel to the person, and take the answer."""
        self._say.end(order.commit)
        began = time.monotonic()
        self._tell(f"{order.commit[:12]} {order.title}: {order.reason}")
        for name, path in _shown(packaged):
            self._tell(f"{name:<9}{path}")
        if self._handover.deliver and not self._delivered(packaged):
            answer = Answer(Word.SKIP)
        else:
            with self._guest(kernel):
                answer = self._answer(order)
        return answers.result_of(answer, order, built, time.monotonic() - began)

    def _delivered(self, packaged: Packaged) -> bool:
        """Run the user's command until it succeeds, or the person skips the commit."""
        while why := delivery.deliver(self._handover.deliver, packaged):
            self._tell(f"--kbisect-deliver failed ({why}): type again, skip or quit")
            while (said := self._line()) not in {"again", "a", "skip", "s"}:
                self._tell("write again, skip or quit")
            if said in {"skip", "s"}:
                return False
        return True

    @contextlib.contextmanager
    def _guest(self, kernel: KernelImage) -> Iterator[None]:
        """A guest of this kernel for the person, if that was asked for; one that does not boot is told."""
        with contextlib.ExitStack() as held:
            if self._handover.shell:
                try:
                    guest = held.enter_context(
                        self._session.guest(kernel, Needs(), f"ask-{kernel.commit[:12]}")
                    )
                except GuestError as error:
                    self._tell(f"the guest did not boot: {error}")
                else:
                    self._tell(f"guest    {shlex.join(ssh_command(guest))}")
            yield

    # -- the terminal --------------------------------------------------------------------------------

    def _answer(self, order: CommitRequest) -> Answer:
        """Ask until there is an answer. Raises UndoError, and KeyboardInterrupt where the person leaves."""
        times = "once" if order.runs == 1 else f"{order.runs} times"
        enough = "" if order.stop is None or order.runs == 1 else ", or until it shows the bug"
        self._tell(f"try it {times}{enough}; does it show the bug?")
        while True:
            try:
                answer = answers.parse(self._line())
            except ValueError as error:
                self._tell(str(error))
                continue
            if answer.word is Word.QUIT:
                raise KeyboardInterrupt
            if answer.word is not Word.UNDO:
                return answer
            journal = read_records(self.folder / layout.JOURNAL)
            if any(map(is_answer, standing(journal))):
                raise UndoError
            self._tell("there is no answer to take back")

    def _line(self) -> str:
        """What the person types. Raises KeyboardInterrupt at the end of input, and for quit."""
        print("good, bad, skip, 3 of 10, undo, quit> ", end="", flush=True)
        line = self._read()
        said = line.strip().lower()
        if not line or said in {"quit", "q"}:
            if not line:
                print()
            raise KeyboardInterrupt
        return said

    def _tell(self, words: str) -> None:
        self._say.line(f"kbisect: {words}", log=False, level=ANSWER)


class _Asking:
    """A commit about which a person is asked."""

    def __init__(self, test: Callable[[], CommitResult]) -> None:
        self._test = test

    def poll(self, seconds: float) -> CommitResult | None:  # noqa: ARG002 - a person is not hurried
        return self._test()

    def close(self) -> None:
        """It is never running when somebody could close it."""


def _shown(packaged: Packaged) -> Iterator[tuple[str, Path | str]]:
    """What the person can do something with."""
    yield "kernel", packaged.image
    yield "release", packaged.release
    if packaged.modules is not None:
        yield "modules", packaged.modules
    for path in packaged.packages:
        yield "package", path


# -- around it ---------------------------------------------------------------------------------------------


def launcher(
    config: pytest.Config, tree: LinuxTree, reporter: TerminalReporter, read: Callable[[], str]
) -> AskLauncher:
    """What the options ask for. Raises UsageError for a configuration that cannot be used."""
    from pytest_kbisect import options
    from pytest_kbisect.stash import session_of

    if options.value(config, "shell"):
        for note in session_of(config).examine([Needs()]):
            reporter.note(note)
    return AskLauncher(
        tree,
        options.kernel_request(config),
        reporter,
        session_of(config),
        Handover(**{name: options.value(config, name) for name in ("shell", "deliver", "package")}),
        rules=options.build_rules(config),
        jobs=options.jobs(config),
        read=read,
    )


def check(config: pytest.Config, *, asks: bool) -> None:
    """Raise UsageError for options that do not fit, and for reproducers where a person is the test."""
    from pytest_kbisect import options

    for name in ("deliver", "package"):
        if options.value(config, name) and not asks:
            raise UsageError(f"--kbisect-{name} is for kernels that a person tests: add --kbisect-ask")
    if not asks:
        return
    if config.args_source is config.ArgsSource.ARGS:
        raise UsageError(
            f"--kbisect-ask: a person is the test, and not {config.args[0]}: remove it, or --kbisect-ask"
        )
    if options.value(config, "shell") and options.value(config, "deliver"):
        raise UsageError(
            "--kbisect-shell boots a guest, --kbisect-deliver takes kernels elsewhere: remove one"
        )


@contextlib.contextmanager
def terminal(config: pytest.Config) -> Iterator[Callable[[], str]]:
    """Read lines from the terminal, past pytest's capture."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture:
        capture.suspend(in_=True)
    try:
        yield sys.stdin.readline
    finally:
        if capture:
            capture.resume()
