"""Makes experiments: a session each, then a record in the journal."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kbisect.evidence.outcome import Outcome
from pytest_kbisect.reports.live import Status, remaining

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_kbisect.bisection.commit_request import CommitRequest, Share
    from pytest_kbisect.evidence.journal import Journal
    from pytest_kbisect.evidence.outcome import CommitResult
    from pytest_kbisect.kernel.ahead import BuildAhead
    from pytest_kbisect.reports.terminal import TerminalReporter


_POLL = 0.1
"""Seconds between two looks at all sessions that run."""
_SESSIONS = "sessions"
"""The journal's fact on an experiment that took more than one session."""
_GIVEN_UP = "given-up"
"""The journal's kind of note on a session that was ended before it had found anything: what it took."""


class Launched(Protocol):
    """A session that is running (see launcher.LaunchedSession)."""

    def poll(self, seconds: float) -> CommitResult | None: ...

    def close(self) -> None: ...


class Launcher(Protocol):
    """What tests a commit (see launcher.SessionLauncher)."""

    def begin(
        self,
        order: CommitRequest,
        *,
        per_run: int,
        number: int,
        extra: Iterable[str],
        hear: Callable[[Mapping[str, Any]], None],
    ) -> Launched: ...


@dataclass(frozen=True, slots=True)
class Ahead:
    """Builds what will probably be wanted next, while guests run, on the processors they leave."""

    builder: BuildAhead
    spare: int

    def make_way(self, commit: str) -> None:
        """This commit is wanted now: what else is being built would hold its warm folder."""
        if self.builder.commit != commit:
            self.builder.stop()

    def start(self, commit: str) -> None:
        """Begin with a commit, unless it is begun already; "" is none."""
        if commit:
            self.builder.start(commit, jobs=self.spare)


class ExperimentRunner:
    """Makes experiments and remembers them; `per_run` tests make one run.

    Several may run at once, where there is a `share` for each. `observe` is called once it is in the journal.
    `again` gives another request for what a session found too little about: then that one's result counts.
    """

    def __init__(
        self,
        launcher: Launcher,
        journal: Journal,
        reporter: TerminalReporter,
        *,
        per_run: int,
        ahead: Ahead | None = None,
        share: Share | None = None,
        observe: Callable[[CommitResult], None] = lambda _: None,
        again: Callable[[CommitRequest, CommitResult], CommitRequest | None] = lambda _, __: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ahead = ahead
        self._launcher = launcher
        self._journal = journal
        self._say = reporter
        self._per_run = per_run
        self._share = share
        self._observe = observe
        self._again = again
        self._first: dict[CommitRequest, CommitResult] = {}
        self._clock = clock
        self._hearing: dict[CommitRequest, Callable[[Mapping[str, Any]], None]] = {}
        self._began: dict[CommitRequest, float] = {}
        self._running: dict[CommitRequest, Launched] = {}
        self._ended: dict[CommitRequest, CommitResult] = {}

    @property
    def made(self) -> tuple[CommitResult, ...]:
        """All that was found so far, in order, whatever for."""
        return self._journal.tested

    def of_phase(self, *phases: str) -> tuple[CommitResult, ...]:
        """What was found in these phases, in order."""
        records = zip(self._journal.records, self._journal.tested, strict=True)
        return tuple(tested for record, tested in records if record.get("phase", "search") in phases)

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def spent(self) -> float:
        """Seconds of all sessions so far, those given up and those before an interruption included.

        Of several at once each has its part.
        """
        records = zip(self._journal.records, self.made, strict=True)
        ended = sum(
            (tested.build_seconds + tested.test_seconds) / int(record.get("at_once", 1))
            for record, tested in records
        )
        notes = self._journal.notes(_GIVEN_UP)
        return ended + sum(float(note["seconds"]) / int(note["at_once"]) for note in notes)

    def sessions(self, commit: str) -> int:
        """How many sessions a commit had."""
        records = zip(self._journal.records, self.made, strict=True)
        return sum(int(record.get(_SESSIONS, 1)) for record, tested in records if tested.commit == commit)

    def test(
        self,
        order: CommitRequest,
        *,
        left: int | None = None,
        likely: Sequence[tuple[str, float]] = (),
        foresee: Callable[[], str] = lambda: "",
    ) -> CommitResult:
        """Make an experiment. The caller records it, before anything follows from it.

        `left` candidates remain, of which `likely` are the likeliest, for those who watch. `foresee`
        tells the commit that will probably be wanted next.
        """
        try:
            self.begin(order, left=left, likely=likely, foresee=foresee)
            while order not in self._ended:
                self._look()
        except BaseException:
            self.stop()
            raise
        return self._ended.pop(order)

    def begin(
        self,
        order: CommitRequest,
        *,
        left: int | None = None,
        likely: Sequence[tuple[str, float]] = (),
        foresee: Callable[[], str] = lambda: "",
    ) -> None:
        """Begin an experiment; the rest is as for `test`."""
        self._say.line(f"-> {order.commit[:12]} {order.title}: {order.reason}", log=False)
        self._say.begin(
            Status(
                commit=order.commit,
                title=order.title,
                runs=order.runs * self._per_run,
                left=left,
                likely=tuple(likely),
                builds=sum(not (one.cached or one.absent) for one in self.made),
                spent=self.spent,
                remaining=remaining(left, [one.build_seconds + one.test_seconds for one in self.made]),
            )
        )
        if self._ahead is not None:
            self._ahead.make_way(order.commit)
            foresee = cache(foresee)

        def hear(event: Mapping[str, Any]) -> None:
            self._say.hear(event, order.commit)
            if self._ahead is None or "outcome" not in event:
                return
            if order.stop is None or event["outcome"] not in {
                Outcome.CRASHED,
                Outcome.FAILED,
            }:  # else that was the last run
                self._ahead.start(foresee())

        self._began[order] = self._clock()
        self._launch(order, order, hear)

    def _launch(
        self, order: CommitRequest, asked: CommitRequest, hear: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """Start a session for an experiment, which asks for something else the second time."""
        self._hearing[order] = hear
        self._running[order] = self._launcher.begin(
            asked,
            per_run=self._per_run,
            number=self.sessions(order.commit) + (2 if order in self._first else 1),
            extra=self._share.options(order.at_once, order.runs * self._per_run) if self._share else (),
            hear=hear,
        )

    def wait(self) -> list[tuple[CommitRequest, CommitResult]]:
        """The experiments that have ended, of those that were begun, and what they found; at least one."""
        while not self._ended:
            self._look()
        ended = list(self._ended.items())
        self._ended.clear()
        return ended

    @property
    def pending(self) -> tuple[CommitRequest, ...]:
        """The experiments that were begun, and of which nobody was told yet: they run, or have just ended."""
        return (*self._ended, *self._running)

    def give_up(self, order: CommitRequest, why: str) -> None:
        """End an experiment that was begun and is not wanted any more, unless it has ended just now."""
        if order in self._running:
            self._running.pop(order).close()
            self._first.pop(order, None)
            self._note_given_up(order)
            self._say.end(order.commit)
            self._say.line(f"   {order.commit[:12]}: given up, {why}", log=False)

    def stop(self) -> None:
        """End all that are running; what had ended and was not asked for is forgotten."""
        for testing in self._running.values():
            testing.close()
        orders = [*self._running, *self._ended]
        self._running.clear()
        self._ended.clear()
        self._first.clear()
        with contextlib.suppress(OSError):  # on a full disk: what made us stop is told, not this
            for order in orders:
                self._note_given_up(order)
        self._say.end()

    def _note_given_up(self, order: CommitRequest) -> None:
        """Write down what an experiment took that found nothing: it belongs to what is spent."""
        seconds = round(self._clock() - self._began[order], 3)
        self._journal.note(_GIVEN_UP, {"commit": order.commit, "seconds": seconds, "at_once": order.at_once})

    def _look(self) -> None:
        """See which of the running experiments have ended."""
        for order, testing in list(self._running.items()):
            tested = testing.poll(_POLL / len(self._running))
            if tested is None:
                continue
            del self._running[order]
            if order in self._first:
                tested = _with_costs_of(self._first[order], tested)
            elif (another := self._again(order, tested)) is not None:
                self._say.line(f"   {order.commit[:12]}: {another.reason}", log=False)
                self._first[order] = tested
                self._launch(order, another, self._hearing[order])
                continue
            self._ended[order] = tested
            self._say.end(order.commit)

    def record(self, order: CommitRequest, tested: CommitResult, **facts: Any) -> None:
        """Write an experiment down; it is on disk when this returns."""
        if self._first.pop(order, None) is not None:
            facts[_SESSIONS] = 2
        if order.at_once > 1:
            facts["at_once"] = order.at_once
        self._journal.add(
            tested,
            runs_asked=order.runs,
            reason=order.reason,
            phase=order.phase,
            title=order.title,
            time=time.time() - tested.build_seconds - tested.test_seconds,
            **facts,
        )
        self._observe(tested)


def _with_costs_of(first: CommitResult, second: CommitResult) -> CommitResult:
    """What the second session of an experiment found; its costs are those of both."""
    parts = first.seconds_by.keys() | second.seconds_by.keys()
    return replace(
        second,
        build_seconds=first.build_seconds + second.build_seconds,
        test_seconds=first.test_seconds + second.test_seconds,
        cached=first.cached and second.cached,
        seconds_by={
            part: first.seconds_by.get(part, 0.0) + second.seconds_by.get(part, 0.0) for part in parts
        },
    )
