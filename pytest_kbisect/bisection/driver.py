"""Bisects: asks the strategy, has the lab test what it says, writes the journal, tells the answer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kbisect import options
from pytest_kbisect.bisection.bayes import Bayes
from pytest_kbisect.bisection.classic import Classic
from pytest_kbisect.bisection.evidence import Evidence, Prices
from pytest_kbisect.bisection.history import LOG_FORMAT, History
from pytest_kbisect.bisection.journal import Journal
from pytest_kbisect.bisection.lab import Lab, Selection
from pytest_kbisect.bisection.matcher import match_crash
from pytest_kbisect.bisection.outcome import Outcome, Verdict
from pytest_kbisect.bisection.reference import Reference
from pytest_kbisect.bisection.strategy import GOOD_END, Answer, AnswerKind, Experiment
from pytest_kbisect.errors import ExitCode, KbisectError, UsageError
from pytest_kbisect.kernel.maintainers import Recipients, recipients
from pytest_kbisect.reports import bisectlog, junit, result

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from pytest_kbisect.bisection.outcome import Run, Tested
    from pytest_kbisect.bisection.strategy import Strategy
    from pytest_kbisect.kernel.tree import LinuxTree

EXIT_CODES = {
    AnswerKind.CULPRIT: ExitCode.FOUND,
    AnswerKind.NOT_REPRODUCED: ExitCode.NOT_REPRODUCED,
    AnswerKind.BAD_AT_GOOD_END: ExitCode.USAGE,
}


def main(config: pytest.Config) -> int:
    """Answer to pytest_cmdline_main: the exit code of the bisection."""
    teller = Teller()
    try:
        with _terminated_like_interrupted():
            return _bisect(config, teller)
    except KeyboardInterrupt:
        teller.line("kbisect: interrupted; the same command goes on where it was")
        return ExitCode.INTERRUPTED
    except KbisectError as error:
        sys.stdout.flush()
        print(f"ERROR: {error}", file=sys.stderr)
        return error.exit_code


def _bisect(config: pytest.Config, teller: Teller) -> int:
    from pytest_kbisect.kernel.tree import LinuxTree

    path = options.value(config, "kernel")
    if path is None:
        raise UsageError("no kernel to bisect: give --kbisect-kernel DIR, a git tree of Linux")
    for option in options.OPTIONS:
        options.value(config, option.name)
    tree = LinuxTree(path, options.cache_folder(config))
    a, b = tree.parse_range(options.value(config, "range"))
    _check_host(config, tree)
    arguments = [str(argument) for argument in config.invocation_params.args]
    selection = Lab(arguments, Path(), config.invocation_params.dir).select()
    _check_config(config, selection)
    folder = _folder(config, selection, a, b)
    with _only_one(folder):
        search = Bisection(config, tree, (a, b), selection, folder, teller)
        return search.run()


class Bisection:
    """One search over one range, from the journal's state to the answer."""

    def __init__(
        self,
        config: pytest.Config,
        tree: LinuxTree,
        ends: tuple[str, str],
        selection: Selection,
        folder: Path,
        teller: Teller,
    ) -> None:
        self._config = config
        self._tree = tree
        self._a, self._b = ends
        self._selection = selection
        self._folder = folder
        self._say = teller
        self._history = History.from_log(tree.log_text(*ends, line=LOG_FORMAT))
        arguments = [str(argument) for argument in config.invocation_params.args]
        self._lab = Lab(arguments, folder, config.invocation_params.dir)
        self._journal = Journal(folder / "journal.jsonl", self._subject())
        reference = Reference(frozenset(selection.crash))
        self._evidence = Evidence(self._history, matcher=match_crash, reference=reference)
        self._strategy = _strategy(config, self._history)
        self._tested: dict[int, Tested] = {}
        self._order: list[int] = []

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> int:
        """Go on from the journal to the answer, and tell it; returns the exit code."""
        self._say.open(self._folder / "bisect.log")
        self._say.lines(bisectlog.start(self._b))
        self._say.line(
            f"{len(self._history)} commits between {self._a[:12]} (good) and {self._b[:12]} (bad); "
            f"results in {self._folder}",
            log=False,
        )
        for tested in self._journal.tested:
            self._take(tested)
        while isinstance(decision := self._strategy.decide(self._evidence), Experiment):
            self._announce(decision)
            tested = self._test(decision)
            self._journal.add(tested, runs_asked=decision.runs, reason=decision.reason)
            self._take(tested)
        answer = decision
        parent = self._test_parent(answer)
        return self._conclude(answer, parent)

    def _announce(self, experiment: Experiment) -> None:
        i = experiment.commit
        title = f" {self._history.title(i)}" if i != GOOD_END else " (the good end)"
        self._say.line(f"-> {self._sha(i)[:12]}{title}: {experiment.reason}", log=False)

    def _test(self, experiment: Experiment) -> Tested:
        own = self._evidence.signature(experiment.commit)
        known = {self._evidence.signature(i) for i in self._evidence.tested} - {own, ""}
        return self._lab.test(
            self._sha(experiment.commit),
            experiment.runs,
            tests=len(self._selection.tests),
            stop_at_crash=experiment.stop_at_crash,
            known=sorted(known),
            say=lambda words: self._say.line(f"   {words}", log=False),
        )

    def _take(self, tested: Tested) -> None:
        """Add what was found to the evidence, and to the log as the peer would have it."""
        index = GOOD_END if tested.commit == self._a else self._history.position[tested.commit]
        twin = self._twin(tested, index)
        self._evidence.add(index, tested)
        merged = tested if index not in self._tested else _merged(self._tested[index], tested)
        self._tested[index] = merged
        if index not in self._order:
            self._order.append(index)
        self._say.lines(bisectlog.commit(tested, same_as=twin))
        self._say.lines(self._after(index))

    def _twin(self, tested: Tested, index: int) -> str:
        """The commit whose kernel this one shares, where it was not run again for that reason."""
        if tested.runs or tested.build_error:
            return ""
        for i in self._evidence.tested:
            if i != index and self._evidence.signature(i) == tested.signature:
                return self._sha(i)
        return ""

    def _after(self, index: int) -> list[str]:
        """What the strategy makes of the latest experiment."""
        if isinstance(self._strategy, Classic):
            return self._git_words(self._strategy, index)
        if isinstance(self._strategy, Bayes) and self._evidence.tally(self._history.bad_end).matching:
            suspects = self._strategy.suspects(self._evidence)
            likely = ", ".join(f"{self._sha(i)[:12]} {p:.0%}" for i, p in suspects[:3])
            return [f"# {len(suspects)} candidates hold {self._strategy.confidence:.0%}: {likely}", ""]
        return []

    def _git_words(self, classic: Classic, index: int) -> list[str]:
        """What git bisect would say to the verdict on this commit."""
        judged = classic.judged(self._evidence)
        verdict = judged.verdicts[index]
        if index == self._history.bad_end:
            return []
        if judged.verdicts.get(self._history.bad_end) is not Verdict.BAD:
            return []
        step = classic.step(judged)
        words = (
            f"# git bisect start {self._b} {self._a}"
            if index == GOOD_END
            else f"# git bisect {verdict.value} {self._sha(index)}"
        )
        if index == GOOD_END and verdict is not Verdict.GOOD:
            return []
        if step.next is None:
            return [words]
        return [words, str(step), f"[{self._sha(step.next)}] {self._history.title(step.next)}", ""]

    def _test_parent(self, answer: Answer) -> Tested | None:
        """The culprit's first parent, tested where the search did not need it."""
        if answer.culprit is None:
            return None
        parents = self._history.parents[answer.culprit]
        parent = parents[0] if parents else GOOD_END
        if parent not in self._tested:
            experiment = Experiment(
                parent, options.value(self._config, "runs"), reason="the culprit's parent"
            )
            self._announce(experiment)
            tested = self._test(experiment)
            self._journal.add(tested, runs_asked=experiment.runs, reason=experiment.reason)
            self._take(tested)
        return self._tested[parent]

    # -- the answer ------------------------------------------------------------------------------

    def _conclude(self, answer: Answer, parent: Tested | None) -> int:
        culprit = self._tested.get(answer.culprit) if answer.culprit is not None else None
        flags = self._flags(answer, culprit, parent)
        told = self._result(answer, culprit, parent, flags)
        self._say.lines(self._last_words(answer, told, culprit, parent))
        result.write(told, self._folder / "result.json")
        sessions = [(self._suite_facts(i), self._lab.session_folder(self._sha(i))) for i in self._order]
        targets = [self._folder / "junit.xml"]
        if self._config.option.xmlpath:
            targets.append(Path(self._config.option.xmlpath).expanduser())
        for target in targets:
            junit.write(target, sessions, told)
        self._say.line(f"results: {self._folder}", log=False)
        if answer.kind in {AnswerKind.NOT_REPRODUCED, AnswerKind.BAD_AT_GOOD_END, AnswerKind.UNTESTABLE}:
            sys.stdout.flush()
            print(f"ERROR: {self._reason(answer)}", file=sys.stderr)
        return EXIT_CODES.get(answer.kind, ExitCode.INCONCLUSIVE)

    def _flags(self, answer: Answer, culprit: Tested | None, parent: Tested | None) -> tuple[str, ...]:
        flags = []
        if answer.culprit is not None and self._history.is_merge(answer.culprit):
            flags.append("merge")
        if culprit and parent and culprit.signature and culprit.signature == parent.signature:
            flags.append("no-op")
        return tuple(flags)

    def _last_words(
        self, answer: Answer, told: result.Result, culprit: Tested | None, parent: Tested | None
    ) -> list[str]:
        lines = []
        if answer.culprit is not None:
            sha = self._sha(answer.culprit)
            lines += [f"{sha} is the first bad commit", self._tree.describe(sha).text, ""]
            lines.append(f"culprit signature: {told.culprit_signature}")
            lines.append(f"parent  signature: {told.parent_signature}")
            if "no-op" in told.flags:
                lines.append(
                    "WARNING: the culprit builds the same kernel as its parent: it cannot be the cause"
                )
            if "merge" in told.flags:
                lines.append(
                    "note: the first bad commit is a merge: both sides are good, together they are not"
                )
            if parent is not None and any(run.outcome is Outcome.CRASHED for run in parent.runs):
                lines.append("WARNING: the culprit's parent crashed too")
        seconds = told.seconds
        lines.append(
            f"revisions tested: {told.revisions_tested}, total time: {bisectlog.duration(sum(seconds.values()))}"
            f" (build: {bisectlog.duration(seconds['build'])}, test: {bisectlog.duration(seconds['test'])})"
        )
        if answer.culprit is not None:
            lines.append(f"first bad commit: {told.culprit} {told.title}")
            lines.append(f"recipients (to): {bisectlog.go_list(told.recipients_to)}")
            lines.append(f"recipients (cc): {bisectlog.go_list(told.recipients_cc)}")
        elif answer.kind is AnswerKind.CANDIDATES and answer.candidates:
            lines.append("bisection is inconclusive, the first bad commit could be any of:")
            lines += [self._sha(i) for i, _ in answer.candidates]
        else:
            lines.append(f"error: {self._reason(answer)}")
        crash = self._crash(culprit)
        if crash is not None:
            lines += [f"crash: {crash.title}", crash.report]
        return lines

    def _reason(self, answer: Answer) -> str:
        if answer.kind is AnswerKind.NOT_REPRODUCED:
            runs = self._evidence.runs(self._history.bad_end)
            others = sorted({run.title for run in runs if run.outcome is Outcome.CRASHED})
            also = f" (other crashes seen: {', '.join(others)})" if others else ""
            matching = self._evidence.tally(self._history.bad_end).matching
            return f"{matching} of {len(runs)} runs crashed on {self._b[:12]}: nothing to bisect{also}"
        if answer.kind is AnswerKind.BAD_AT_GOOD_END:
            tally = self._evidence.tally(GOOD_END)
            return (
                f"{tally.matching} of {tally.total} runs crashed on the good end {self._a[:12]} already: "
                "name an older one"
            )
        end = self._tested.get(self._history.bad_end)
        if answer.kind is AnswerKind.UNTESTABLE and end is not None and end.build_error:
            return f"{answer.reason}: {end.build_error.partition(chr(10))[0]}"
        return answer.reason

    def _crash(self, culprit: Tested | None) -> Run | None:
        """The crash to show: the culprit's, else the bad end's."""
        for tested in (culprit, self._tested.get(self._history.bad_end)):
            for run in tested.runs if tested else ():
                if run.outcome is Outcome.CRASHED and self._evidence.count([run]).matching:
                    return run
        return None

    def _result(
        self, answer: Answer, culprit: Tested | None, parent: Tested | None, flags: tuple[str, ...]
    ) -> result.Result:
        crash = self._crash(culprit)
        tested = list(self._tested.values())
        people = self._recipients(answer)
        return result.Result(
            kind=answer.kind.value,
            range=(self._a, self._b),
            culprit=self._sha(answer.culprit) if answer.culprit is not None else "",
            title=self._history.title(answer.culprit) if answer.culprit is not None else "",
            confidence=answer.confidence,
            reason=self._reason(answer),
            candidates=tuple((self._sha(i), self._history.title(i), p) for i, p in answer.candidates),
            crash=crash.title if crash else "",
            culprit_signature=culprit.signature if culprit else "",
            parent_signature=parent.signature if parent else "",
            flags=flags,
            recipients_to=people.to,
            recipients_cc=people.cc,
            revisions_tested=sum(not t.build_error for t in tested),
            builds=sum(not t.cached for t in tested),
            runs=sum(len(t.runs) for t in tested),
            seconds={
                "build": sum(t.build_seconds for t in tested),
                "test": sum(t.test_seconds for t in tested),
            },
            tested=tuple(self._suite_facts(i) for i in self._order),
        )

    def _recipients(self, answer: Answer) -> Recipients:
        if answer.culprit is None:
            return Recipients()
        return recipients(self._tree.path, self._sha(answer.culprit))

    def _suite_facts(self, index: int) -> dict[str, Any]:
        tested, tally = self._tested[index], self._evidence.tally(index)
        return {
            "commit": tested.commit,
            "title": self._history.title(index),
            "verdict": self._verdict(index).value,
            "signature": tested.signature,
            "compiler": tested.compiler,
            "runs": len(tested.runs),
            "crashed": tally.matching,
            "ok": tally.ok,
            "build_seconds": round(tested.build_seconds, 3),
            "test_seconds": round(tested.test_seconds, 3),
            "cached": tested.cached,
        }

    def _verdict(self, index: int) -> Verdict:
        if isinstance(self._strategy, Classic):
            return self._strategy.judged(self._evidence).verdicts[index]
        tally = self._evidence.tally(index)
        if tally.matching:
            return Verdict.BAD
        return Verdict.GOOD if tally.ok else Verdict.SKIP

    def _sha(self, index: int) -> str:
        return self._a if index == GOOD_END else self._history.commits[index]

    def _subject(self) -> dict[str, Any]:
        """What a journal is of: another range, reproducer or configuration makes it another bisection."""
        return {
            "range": [self._a, self._b],
            "tests": list(self._selection.tests),
            "reproducers": {Path(name).name: _digest(Path(name)) for name in self._selection.files},
            "fragments": self._selection.fragments,
            "config": [_digest(Path(name).expanduser()) for name in options.value(self._config, "config")],
            "strategy": options.value(self._config, "strategy"),
            "runs": options.value(self._config, "runs"),
        }


def _strategy(config: pytest.Config, history: History) -> Strategy:
    if options.value(config, "strategy") == "classic":
        return Classic(history, options.value(config, "runs"))
    return Bayes(
        history,
        confidence=options.value(config, "confidence"),
        prices=Prices(build=60.0, run=5.0, width=_width(config)),
    )


def _width(config: pytest.Config) -> int:
    """How many guests run side by side."""
    workers = getattr(config.option, "numprocesses", None)
    return workers if isinstance(workers, int) and workers else 1


def _merged(before: Tested, after: Tested) -> Tested:
    """Two sessions at one commit as one."""
    from dataclasses import replace

    return replace(
        after,
        runs=before.runs + after.runs,
        build_seconds=before.build_seconds + after.build_seconds,
        test_seconds=before.test_seconds + after.test_seconds,
        cached=before.cached and after.cached,
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


class Teller:
    """Prints, and keeps the log. A reader that went away does not end the bisection."""

    def __init__(self) -> None:
        self._log: Path | None = None
        self._deaf = False

    def open(self, log: Path) -> None:
        """Begin the log anew; a resumed bisection tells its past again from the journal."""
        log.write_text("")
        self._log = log

    def line(self, text: str, *, log: bool = True) -> None:
        if log and self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        if self._deaf:
            return
        try:
            print(text, flush=True)
        except BrokenPipeError:
            self._deaf = True
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def lines(self, texts: list[str]) -> None:
        for text in texts:
            self.line(text)


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP end a bisection as Ctrl-C does: children gone, journal whole."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {sig: signal.signal(sig, interrupt) for sig in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for sig, handler in before.items():
            signal.signal(sig, handler)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two bisections must not write one folder."""
    import filelock

    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UsageError(
            f"another bisection is running in {folder}: wait for it, or give another --kbisect-dir"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _folder(config: pytest.Config, selection: Selection, a: str, b: str) -> Path:
    """The folder of results: named by the reproducer and the range, so that people find it."""
    named = options.value(config, "dir")
    if named:
        return Path(config.invocation_params.dir, named)
    stems = sorted({Path(name).stem for name in selection.files})
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", "+".join(stems))[:60]
    return Path(config.invocation_params.dir, "kbisect-results", f"{name}-{a[:8]}-{b[:8]}")


def _check_host(config: pytest.Config, tree: LinuxTree) -> None:
    """Tools, memory: what would fail at the first commit is said before it."""
    del tree
    from pytest_kbisect import session
    from pytest_kbisect.host import Purpose, missing, require

    require(*(tool.name for tool in missing(Purpose.BUILD, Purpose.GUEST)))
    session.check_memory(options.value(config, "memory"))


def _check_config(config: pytest.Config, selection: Selection) -> None:
    """Unreadable or contradictory configuration is told before anything is built."""
    from pytest_kbisect.kernel.config import request

    files = [Path(name).expanduser() for name in options.value(config, "config")]
    for fragments in selection.fragments.values():
        request(files, [(source, line) for source, line in fragments])
