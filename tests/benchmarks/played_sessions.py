"""Sessions of a search in a simulated world, in place of those that an executor starts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.strategy import Experiment

if TYPE_CHECKING:
    from pytest_kbisect.bisection.commit_request import CommitRequest
    from pytest_kbisect.evidence.outcome import CommitResult

GOOD = "good"
"""Stands for the hash of the good end."""


class World(Protocol):
    """A simulated world."""

    def made(self, experiment: Experiment) -> CommitResult:
        """What a session finds."""
        ...


@dataclass
class Sessions:
    """Makes what a search orders, in a simulated world."""

    world: World
    pending: tuple[CommitRequest, ...] = ()
    spent: float = 0.0
    sessions: int = 0
    builds: set[int] = field(default_factory=set)

    @property
    def journal(self) -> Sessions:
        """There is no other record of what was made."""
        return self

    @property
    def records(self) -> tuple[dict[str, Any], ...]:
        return ()

    def of_phase(self, *_: str) -> tuple[CommitResult, ...]:
        return ()

    def begin(self, order: CommitRequest, **_: Any) -> None:
        self.pending = (order,)

    def wait(self) -> list[tuple[CommitRequest, CommitResult]]:
        (order,), self.pending = self.pending, ()
        index = GOOD_END if order.commit == GOOD else int(order.commit, 16)
        self.sessions += 1
        experiment = Experiment(index, order.runs, stop_at_crash=order.stop is not None)
        return [(order, replace(self.world.made(experiment), commit=order.commit))]

    def record(self, *_: Any, **__: Any) -> None:
        pass

    def give_up(self, *_: Any) -> None:
        pass

    def stop(self) -> None:
        pass
