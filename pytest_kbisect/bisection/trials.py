"""Experiments made: a session in the lab each, then a record in the journal."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kbisect.reports.live import Status, remaining

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_kbisect.bisection.journal import Journal
    from pytest_kbisect.bisection.outcome import Tested
    from pytest_kbisect.kernel.ahead import BuildAhead
    from pytest_kbisect.reports.teller import Teller


class Tester(Protocol):
    """What tests a commit: the lab, which starts a session."""

    def test(
        self,
        commit: str,
        runs: int,
        *,
        per_run: int,
        stop: Iterable[str] | None,
        known: Iterable[str],
        watch: Iterable[str],
        strict: bool,
        number: int,
        hear: Callable[[Mapping[str, Any]], None],
    ) -> Tested: ...


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


@dataclass(frozen=True, slots=True)
class Order:
    """One experiment, in the lab's terms.

    `stop`: None makes all runs; else the first crash ends them, where titles are given one of these.
    `known` are signatures of kernels that need no run, `watch` functions of the crash. `phase` is "range" (looking for a good end),
    "search", "base" (does a fix bisection's commit descend from the bug?) or "revert".
    """

    commit: str
    runs: int
    reason: str
    title: str = ""
    stop: tuple[str, ...] | None = None
    known: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    strict: bool = False
    phase: str = "search"


class Trials:
    """Makes experiments and remembers them; `per_run` tests make one run."""

    def __init__(
        self, lab: Tester, journal: Journal, teller: Teller, *, per_run: int, ahead: Ahead | None = None
    ) -> None:
        self._ahead = ahead
        self._lab = lab
        self._journal = journal
        self._say = teller
        self._per_run = per_run

    @property
    def made(self) -> tuple[Tested, ...]:
        """All that was found so far, in order, whatever for."""
        return self._journal.tested

    def of_phase(self, *phases: str) -> tuple[Tested, ...]:
        """What was found in these phases, in order."""
        records = zip(self._journal.records, self._journal.tested, strict=True)
        return tuple(tested for record, tested in records if record.get("phase", "search") in phases)

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def spent(self) -> float:
        """Seconds of all sessions so far, those before an interruption included."""
        return sum(tested.build_seconds + tested.test_seconds for tested in self.made)

    def sessions(self, commit: str) -> int:
        """How many sessions a commit had."""
        return sum(tested.commit == commit for tested in self.made)

    def test(
        self,
        order: Order,
        *,
        left: int | None = None,
        likely: Sequence[tuple[str, float]] = (),
        foresee: Callable[[], str] = lambda: "",
    ) -> Tested:
        """Make an experiment. The caller records it, before anything follows from it.

        `left` candidates remain, of which `likely` are the likeliest, for those who watch. `foresee`
        tells the commit that will probably be wanted next.
        """
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
            self._say.hear(event)
            if self._ahead is None or "outcome" not in event:
                return
            if order.stop is None or event["outcome"] != "crashed":  # else that was the last run
                self._ahead.start(foresee())

        try:
            return self._lab.test(
                order.commit,
                order.runs,
                per_run=self._per_run,
                stop=order.stop,
                known=order.known,
                watch=order.watch,
                strict=order.strict,
                number=self.sessions(order.commit) + 1,
                hear=hear,
            )
        finally:
            self._say.end()

    def record(self, order: Order, tested: Tested, **facts: Any) -> None:
        """Write an experiment down; it is on disk when this returns."""
        self._journal.add(
            tested,
            runs_asked=order.runs,
            reason=order.reason,
            phase=order.phase,
            title=order.title,
            time=time.time() - tested.build_seconds - tested.test_seconds,
            **facts,
        )


def merged(before: Tested, after: Tested) -> Tested:
    """Two sessions at one commit as one."""
    parts = before.seconds_by.keys() | after.seconds_by.keys()
    return replace(
        after,
        runs=before.runs + after.runs,
        build_seconds=before.build_seconds + after.build_seconds,
        test_seconds=before.test_seconds + after.test_seconds,
        cached=before.cached and after.cached,
        seconds_by={part: before.seconds_by.get(part, 0) + after.seconds_by.get(part, 0) for part in parts},
    )
