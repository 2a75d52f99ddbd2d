"""What one of several bisections waits for, and the pieces by which it asks: a launcher and a strategy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_kbisect.strategies.joint import Asking
from pytest_kbisect.strategies.strategy import Answer, Experiment, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_kbisect.bisection.commit_request import CommitRequest
    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.outcome import CommitResult, Verdict
    from pytest_kbisect.history.ancestry import Weights
    from pytest_kbisect.strategies.joint import Pick, Prospects
    from pytest_kbisect.strategies.strategy import Problem, StrategyKind

    Ask = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Ordered:
    """An experiment at a certain commit. The reply is what it finds (CommitResult).

    `number` counts this bisection's own sessions at the commit.
    """

    order: CommitRequest
    number: int


@dataclass(frozen=True, slots=True)
class Choosing:
    """An experiment at any commit. The reply is a Pick; None for what is best for this search alone."""

    asking: Asking


class AskingLauncher:
    """Asks for experiments in place of starting sessions (see experiment_runner.Launcher)."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def begin(
        self,
        order: CommitRequest,
        *,
        per_run: int,  # noqa: ARG002 - whoever starts the session knows it
        number: int,
        extra: Iterable[str],  # noqa: ARG002
        hear: Callable[[Mapping[str, Any]], None],  # noqa: ARG002 - one reporter shows a session of several
    ) -> _Asked:
        return _Asked(self._ask, Ordered(order, number))


class _Asked:
    """An experiment that is asked for when somebody looks whether it has ended."""

    def __init__(self, ask: Ask, wish: Ordered) -> None:
        self._ask, self._wish = ask, wish

    def poll(self, seconds: float) -> CommitResult | None:  # noqa: ARG002
        found: CommitResult = self._ask(self._wish)
        return found

    def close(self) -> None:
        """Nothing was started."""


def choosing_together(kind: StrategyKind, ask: Ask, good: str) -> StrategyKind:
    """A strategy that asks which commit is next, wherever it could say of each what it would tell.

    `good` stands for the hash of the good end.
    """
    return replace(kind, make=lambda problem: _Together(kind.make(problem), problem, ask, good))


class _Together(Strategy):
    """All but the choice of the commit is another strategy's."""

    def __init__(self, own: Strategy, problem: Problem, ask: Ask, good: str) -> None:
        self._own = own
        self._ask = ask
        self._shas = (*problem.history.commits, good)
        self.name = own.name
        self.confidence = own.confidence

    def decide(self, evidence: Evidence) -> Experiment | Answer:
        return self._own.decide(evidence)

    def conclude(self, evidence: Evidence) -> Answer:
        return self._own.conclude(evidence)

    def batch(
        self, evidence: Evidence, count: int, running: Sequence[int] = ()
    ) -> tuple[Experiment, ...] | Answer:
        decision = self._own.batch(evidence, count, running)
        prospects = None if isinstance(decision, Answer) else self._own.prospects(evidence)
        if prospects is None:
            return decision
        pick: Pick | None = self._ask(Choosing(Asking(prospects, self._shas)))
        return decision if pick is None else (prospects.experiment(pick.column, pick.length),)

    def verdict(self, evidence: Evidence, commit: int) -> Verdict:
        return self._own.verdict(evidence, commit)

    def credible_set(self, evidence: Evidence) -> tuple[tuple[int, float], ...]:
        return self._own.credible_set(evidence)

    def likelihood(self, evidence: Evidence) -> Weights | None:
        return self._own.likelihood(evidence)

    def prospects(self, evidence: Evidence) -> Prospects | None:
        return self._own.prospects(evidence)

    def foresee(self, evidence: Evidence, experiment: Experiment) -> tuple[int, ...]:
        return self._own.foresee(evidence, experiment)

    def explain(self, evidence: Evidence, commit: int, sha: Callable[[int], str]) -> list[str]:
        return self._own.explain(evidence, commit, sha)
