"""Several bisections that share sessions: whose experiments are made next, at which commit, and by whom.

Each bisection is on its own (journal, evidence, strategy, answer) and runs until it waits for something (see
`wishes`). Experiments at a certain commit go first, with all that are wanted there; a search that can choose
joins them if that tells it enough. Otherwise the commit is the one that tells most about all searches that
can choose (see `strategies.joint`). One session makes all experiments of a commit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_kbisect.bisection.launcher import Target
from pytest_kbisect.bisection.several.session_division import Wanted, divide, read_each
from pytest_kbisect.bisection.several.wishes import Choosing, Ordered
from pytest_kbisect.errors import KbisectError
from pytest_kbisect.evidence.outcome import CommitResult
from pytest_kbisect.reports.consoles import session_folder
from pytest_kbisect.reports.live import Status
from pytest_kbisect.session.session_request import AskedOfTest, SessionRequest
from pytest_kbisect.strategies import joint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_kbisect.bisection.commit_request import CommitRequest, Share
    from pytest_kbisect.bisection.launcher import LaunchedSession, SessionLauncher
    from pytest_kbisect.bisection.several.turns import Turn
    from pytest_kbisect.bisection.stages import Finding
    from pytest_kbisect.errors import UsageError
    from pytest_kbisect.evidence.journal import Journal
    from pytest_kbisect.reports.terminal import TerminalReporter

    Found = dict[str, CommitResult | UsageError]

SESSION = "session"
"""The kind of note on a session in the common journal."""
GIVEN_UP = "given-up"
"""The same on one that was ended before it had found anything."""
_POLL = 0.1
"""Seconds between two looks at the sessions that run."""


class OutOfTimeError(KbisectError):
    """The budget is spent, and what a bisection waits for will not be made."""

    def __init__(self) -> None:
        super().__init__("the budget is spent: raise --kbisect-budget")


@dataclass(eq=False)
class Member:
    """One of the bisections. `folder` is its own; `known` are commits that it knows not to build."""

    name: str
    test: str
    configurations: tuple[str, ...]
    per_run: int
    folder: Path
    turn: Turn[Finding]
    in_session: bool = False
    known: set[str] = field(default_factory=set)

    @property
    def order(self) -> CommitRequest | None:
        """The experiment that it waits for, if it waits for a certain one."""
        wish = self.turn.wish
        return wish.order if isinstance(wish, Ordered) else None

    @property
    def asking(self) -> joint.Asking | None:
        """What it could learn where, if any commit will do."""
        wish = self.turn.wish
        return wish.asking if isinstance(wish, Choosing) else None


@dataclass(eq=False)
class _Running:
    """A session with the experiments of its members."""

    commit: str
    number: int
    orders: dict[Member, CommitRequest]
    launched: LaunchedSession[Found]
    began: float
    at_once: int


class SharedSessions:
    """Runs the members' bisections to their ends.

    `room` gives how many sessions may run at a time, `share` what each of several gets. `budget` is in
    seconds of all sessions.
    """

    def __init__(
        self,
        members: Sequence[Member],
        launcher: SessionLauncher,
        journal: Journal,
        reporter: TerminalReporter,
        *,
        room: Callable[[], int] = lambda: 1,
        share: Share | None = None,
        budget: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.members = members
        self._launcher = launcher
        self._journal = journal
        self._say = reporter
        self._room = room
        self._share = share
        self._budget = budget
        self._running: list[_Running] = []
        self._built = {str(note["commit"]) for note in journal.notes(SESSION) if note["kernel"]}
        self._broken: dict[tuple[str, tuple[str, ...]], CommitResult] = {}

    @property
    def spent(self) -> float:
        """Seconds of all sessions so far, as in ExperimentRunner.spent."""
        return spent(self._journal)

    def run(self) -> Iterator[Member]:
        """Run them all; gives each as soon as it has ended."""
        try:
            for member in self.members:
                member.turn.start()
            left = list(self.members)
            while left:
                self._settle()
                for member in [one for one in left if one.turn.ended]:
                    left.remove(member)
                    yield member
                if left:
                    self._begin_what_has_room()
                    self._wait()
        finally:
            self._stop()

    # -- what is next ----------------------------------------------------------------------------------

    @property
    def _idle(self) -> list[Member]:
        return [one for one in self.members if not (one.turn.ended or one.in_session)]

    def _settle(self) -> None:
        """Reply to all that need no session: the time is over, or a commit is known not to build."""
        for member in self._idle:
            while not member.turn.ended and (reply := self._at_once(member)) is not _NO_REPLY:
                member.turn.resume(reply)

    def _at_once(self, member: Member) -> Any:
        """What a member can be told now, without a session."""
        if self._budget is not None and self.spent >= self._budget:
            return OutOfTimeError() if member.order else None
        unknown = {
            commit: found
            for (commit, configurations), found in self._broken.items()
            if configurations == member.configurations and commit not in member.known
        }
        if member.order and member.order.commit in unknown:
            member.known.add(member.order.commit)
            return unknown[member.order.commit]
        if member.asking:
            shas = member.asking.shas
            for commit in unknown:
                if commit in shas:
                    return joint.Pick(shas.index(commit), 1)
                member.known.add(commit)
        return _NO_REPLY

    def _begin_what_has_room(self) -> None:
        while self._idle and len(self._running) < max(1, self._room()):
            commit = self._next()
            if commit is None:
                return
            together = [one for one in self._idle if one.order and one.order.commit == commit]
            if together:
                self._begin(commit, {one: one.order for one in together if one.order})

    def _next(self) -> str | None:
        """The commit of the next session; whoever can choose and takes part in it has ordered it then."""
        idle = self._idle
        busy = {one.commit for one in self._running}
        choosers = [one for one in idle if one.asking]
        asking = [one.asking for one in choosers if one.asking]
        best = joint.choose(asking, self._built, busy)
        ordered = [one.order.commit for one in idle if one.order and one.order.commit not in busy]
        if ordered:
            commit = max(dict.fromkeys(ordered), key=ordered.count)
            rate = best.rate if best else 0.0
            picks = {one: joint.joins(its, commit, rate) for one, its in zip(choosers, asking, strict=True)}
        elif best:
            commit = best.sha
            picks = {one: best.picks.get(n) for n, one in enumerate(choosers)}
        elif choosers and not self._running:
            choosers[0].turn.resume(None)  # it will order what is best for it alone, or has its answer
            return self._next() if self._idle else None
        else:
            return None
        for one, pick in picks.items():
            if pick is not None:
                one.turn.resume(pick)
        if ordered or any(one.order and one.order.commit == commit for one in self._idle):
            return commit
        return self._next() if self._idle else None  # they want something else first

    # -- sessions --------------------------------------------------------------------------------------

    def _begin(self, commit: str, orders: dict[Member, CommitRequest]) -> None:
        first = next(iter(orders.values()))
        number = 1 + sum(note["commit"] == commit for note in self._journal.notes(SESSION))
        at_once = min(max(1, self._room()), len([one for one in self.members if not one.turn.ended]))
        runs = {member: order.runs * member.per_run for member, order in orders.items()}
        wanted = {
            member.test: Wanted(order.runs if order.stop is None else 0, member.per_run)
            for member, order in orders.items()
        }
        self._say.begin(
            Status(
                commit=commit,
                title=f"{first.title} ({', '.join(one.name for one in orders)})",
                runs=sum(runs.values()),
                builds=len(self._built),
                spent=self.spent,
            )
        )
        host = next((order.host for order in orders.values() if order.host), "")
        launched = self._launcher.launch(
            Target(commit, first.title, host),
            SessionRequest(
                strict=any(order.strict for order in orders.values()),
                each=tuple(_asked(member, order) for member, order in orders.items()),
            ),
            runs=max(order.runs for order in orders.values()),
            number=number,
            extra=self._share.options(at_once, sum(runs.values())) if self._share else (),
            hear=lambda event: self._say.hear(event, commit),
            found=partial(_read, commit, wanted),
        )
        for member in orders:
            member.in_session = True
        self._running.append(_Running(commit, number, orders, launched, self._clock(), at_once))

    def _wait(self) -> None:
        """Wait until a session has ended, if any runs, and give its members what it found."""
        ended: list[tuple[_Running, Found]] = []
        while self._running and not ended:
            for running in self._running:
                found = running.launched.poll(_POLL / len(self._running))
                if found is not None:
                    ended.append((running, found))
        for running, found in ended:
            self._running.remove(running)
            self._say.end(running.commit)
            self._note(running, found)
            for member in running.orders:
                session = session_folder(self._launcher.folder, running.commit, running.number)
                wish = member.turn.wish
                divide(session, member.test, session_folder(member.folder, running.commit, wish.number))
            for member in running.orders:
                member.in_session = False
                member.turn.resume(found[member.test])

    def _note(self, running: _Running, found: Found) -> None:
        """Write the session down before anything follows from it."""
        results = {
            member: one for member in running.orders if isinstance(one := found[member.test], CommitResult)
        }
        first = next(iter(results.values()), None)
        kernel = any(result.signature and not result.build_error for result in results.values())
        self._journal.note(
            SESSION,
            {
                "commit": running.commit,
                "title": next(iter(running.orders.values())).title,
                "number": running.number,
                "tests": [member.name for member in running.orders],
                "build_seconds": round(first.build_seconds, 3) if first else 0.0,
                "seconds": round(self._clock() - running.began, 3),
                "kernel": kernel,
                "built": kernel and not (first is None or first.cached),
                "at_once": running.at_once,
                "time": time.time(),
            },
        )
        if kernel:
            self._built.add(running.commit)
        for member, result in results.items():
            if result.build_error:
                member.known.add(running.commit)
                self._broken[running.commit, member.configurations] = CommitResult(
                    result.commit, build_error=result.build_error, cached=True
                )

    def _stop(self) -> None:
        """End what is running: sessions first, then the bisections, where they wait."""
        for running in self._running:
            running.launched.close()
            seconds = round(self._clock() - running.began, 3)
            self._journal.note(
                GIVEN_UP, {"commit": running.commit, "seconds": seconds, "at_once": running.at_once}
            )
        self._running.clear()
        for member in self.members:
            member.turn.stop()
        self._say.end()


_NO_REPLY = object()


def spent(journal: Journal) -> float:
    """Seconds of all sessions that a common journal knows; of several at once each has its part."""
    notes: Iterable[Mapping[str, Any]] = (*journal.notes(SESSION), *journal.notes(GIVEN_UP))
    return sum(float(note["seconds"]) / int(note["at_once"]) for note in notes)


def _asked(member: Member, order: CommitRequest) -> AskedOfTest:
    return AskedOfTest(
        test=member.test,
        runs=order.runs,
        known=order.known,
        expect=order.expect,
        stop=order.stop,
        watch=order.watch,
        idle=order.idle,
    )


def _read(commit: str, wanted: Mapping[str, Wanted], xml: Path, seconds: float) -> Found:
    return read_each(xml, commit, wanted, seconds)
