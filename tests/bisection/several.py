"""Several bisections over one real git history; only kernels and sessions are made up.

A commit's file NAME says what its kernel does to the test NAME: yes (it crashes), no, or mend (the test
cannot be run). The file `bug` says that no kernel can be built (broken).
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from worlds import KINDS

from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
from pytest_kbisect.bisection.several.each import turn_of
from pytest_kbisect.bisection.several.shared_sessions import Member, SharedSessions, spent
from pytest_kbisect.bisection.stages import Bisection, Plan
from pytest_kbisect.errors import UsageError
from pytest_kbisect.evidence.journal import Journal
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run
from pytest_kbisect.kernel.tree import LinuxTree
from pytest_kbisect.reports.consoles import session_folder
from pytest_kbisect.reports.section import SectionReporter
from pytest_kbisect.reports.terminal import TerminalReporter

OK = Run(Outcome.OK, seconds=1)
BUILD, SESSION = 60.0, 65.0
"""Seconds of a build, and of a session."""


def crash(name):
    return Run(Outcome.CRASHED, title=f"WARNING in {name}", type="WARNING", frame=name, seconds=1)


class Ended:
    """A session that is over when somebody looks for the n-th time."""

    def __init__(self, found, looks=1):
        self.found, self.looks = found, looks

    def poll(self, seconds):
        self.looks -= 1
        return self.found if self.looks <= 0 else None

    def close(self):
        pass


class Kernels:
    """What is built and run, whoever asks: for one test (`begin`), or for several (`launch`)."""

    def __init__(self, tree, folder):
        self.tree, self.folder = tree, folder
        self.built, self.sessions = set(), []
        self.most = 10**9
        """Sessions after which somebody presses Ctrl-C."""
        self.looks = lambda: 1
        self._files = {}

    def says(self, commit, name):
        if (commit, name) not in self._files:
            status, text, _ = self.tree.ask("show", f"{commit}:{name}")
            self._files[commit, name] = "" if status else text.decode().strip()
        return self._files[commit, name]

    def _found(self, commit, name, asked, *, fresh):
        if self.says(commit, "bug") == "broken":
            return CommitResult(commit, build_error="error: it does not build", build_seconds=1)
        signature = self.tree.tree_hash(commit)
        facts = {"build_seconds": BUILD if fresh else 0.0, "cached": not fresh, "test_seconds": 5.0}
        if signature in asked.known:
            return CommitResult(commit, signature=signature, **facts)
        bad = self.says(commit, name)
        if bad == "mend":
            return UsageError(f"{name} cannot be run: install something")
        end = replace(crash(name) if bad == "yes" else OK, reached=asked.watch)
        end = replace(end, idle=("",)) if asked.idle and bad == "yes" else end
        runs = 1 if asked.stop is not None and bad == "yes" else asked.runs
        return CommitResult(commit, (end,) * runs, signature, "gcc", **facts)

    def _session(self, commit, names):
        """Note it; -> whether its kernel is built now."""
        if len(self.sessions) >= self.most:
            raise KeyboardInterrupt
        self.sessions.append((commit, tuple(names)))
        fresh = commit not in self.built
        self.built.add(commit)
        return fresh

    def begin(self, order, **_):
        fresh = self._session(order.commit, (self.alone,))
        return Ended(self._found(order.commit, self.alone, order, fresh=fresh))

    def launch(self, at, request, *, number, **_):
        fresh = self._session(at.commit, [asked.test for asked in request.each])
        folder = session_folder(self.folder, at.commit, number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "junit.xml").write_text("<testsuites><testsuite/></testsuites>")
        found = {asked.test: self._found(at.commit, asked.test, asked, fresh=fresh) for asked in request.each}
        return Ended(found, self.looks())


class Several:
    """The searches for the culprits of these tests in a range of a git history."""

    def __init__(self, linux, path, names, *, strategy="bayes"):
        self.linux, self.path, self.names, self.strategy = linux, path, names, strategy
        self.tree = LinuxTree(linux.path, path / "cache")
        self.kernels = Kernels(self.tree, path / "result")

    def plan(self, range_, **wishes):
        return Plan(ends=self.tree.parse_range(range_), strategy=KINDS[self.strategy], **wishes)

    def run(self, range_, *, to="result", room=1, **wishes):
        """Bisect each; -> by name what each turn came to."""
        folder = self.path / to
        folder.mkdir(exist_ok=True)
        self.kernels.folder = folder
        common = Journal(folder / "journal.jsonl", {"range": range_})
        reporter = TerminalReporter()
        members = []
        for name in self.names:
            part = folder / "each" / name
            part.mkdir(parents=True, exist_ok=True)
            section = SectionReporter(reporter, name)
            section.open(part / "bisect.log")
            turn = turn_of(
                self.plan(range_, **wishes),
                self.tree,
                Journal(part / "journal.jsonl", {"range": range_, "test": name}),
                section,
                per_run=1,
                spent=lambda: spent(common),
            )
            members.append(Member(name, name, ("",), 1, part, turn))
        shared = SharedSessions(
            *(members, self.kernels, common, reporter),
            room=lambda: room,
            budget=wishes.get("budget"),
            clock=itertools.count(step=SESSION).__next__,
        )
        return {member.name: member.turn for member in shared.run()}

    def alone(self, name, range_, **wishes):
        """Bisect one of them alone; -> finding, kernels built"""
        kernels = Kernels(self.tree, self.path)
        kernels.alone = name
        folder = self.path / f"alone-{name}"
        folder.mkdir(exist_ok=True)
        reporter = TerminalReporter(-1)
        runner = ExperimentRunner(
            kernels, Journal(folder / "journal.jsonl", {"range": range_}), reporter, per_run=1
        )
        return Bisection(self.plan(range_, **wishes), self.tree, runner, reporter).run(), kernels


def culprit_of(turn):
    """The hash of the commit that was found."""
    if turn.error is not None:
        raise turn.error
    answer = turn.result.answer
    assert answer.culprit is not None, answer
    return turn.result.search.sha(answer.culprit)
