"""The strategies and the verdict rule as functions of a simulated world: thin, over the shipped code.

A world has `parents` (by commit, oldest first; the good end is GOOD_END), `build(i) -> bool`,
`run(i, k) -> (crashed, ok, boot_failed)` and the constants BUILD, RUN (seconds) and WIDTH.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run
from pytest_kbisect.evidence.reference import Reference
from pytest_kbisect.evidence.run_counts import count_runs
from pytest_kbisect.evidence.verdict import LIMITS, Limits, crash_chance, judge, judge_reported
from pytest_kbisect.history.candidates import History
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.classic import FIRST_RUNS, Classic
from pytest_kbisect.strategies.strategy import Answer, Experiment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.strategies.strategy import Strategy

_HISTORIES: dict[int, tuple[object, History]] = {}


def history_of(parents: Sequence[Sequence[int]]) -> History:
    """The history of a world's graph, read once."""
    known = _HISTORIES.get(id(parents))
    if known is None or known[0] is not parents:
        shas = tuple(f"{i:040x}" for i in range(len(parents)))
        known = parents, History(shas, tuple(tuple(row) for row in parents))
        _HISTORIES[id(parents)] = known
    return known[1]


def session(world: Any, experiment: Experiment) -> CommitResult:
    """What a session finds: a build, then waves of runs side by side until one crashes."""
    sha = str(experiment.commit)
    before = world.seconds
    if not world.build(experiment.commit):
        return CommitResult(sha, build_error="does not build", build_seconds=world.seconds - before)
    build_seconds, before = world.seconds - before, world.seconds
    runs: list[Run] = []
    while len(runs) < experiment.runs:
        crashed, ok, boot = world.run(experiment.commit, min(world.WIDTH, experiment.runs - len(runs)))
        runs += [Run(Outcome.CRASHED, title="bug", seconds=world.RUN)] * crashed
        runs += [Run(Outcome.OK, seconds=world.RUN)] * ok
        runs += [Run(Outcome.BOOT_FAILED, seconds=world.RUN)] * boot
        if crashed and experiment.stop_at_crash:
            break
    return CommitResult(
        sha, tuple(runs), signature=sha, build_seconds=build_seconds, test_seconds=world.seconds - before
    )


def play(strategy: Strategy, world: Any, history: History) -> Answer:
    """A whole bisection."""
    evidence = Evidence(history)
    while True:
        what = strategy.decide(evidence)
        if isinstance(what, Answer):
            return what
        evidence.add(what.commit, session(world, what))


def prices(world: Any) -> Prices:
    return Prices(build=world.BUILD, run=world.RUN, width=world.WIDTH)


def bayes(world: Any) -> int | None:
    """The default strategy."""
    history = history_of(world.parents)
    return play(Bayes(history, prices=prices(world)), world, history).culprit


def classic(world: Any) -> int | None:
    """git bisect's order with the peer's verdicts."""
    history = history_of(world.parents)
    return play(Classic(history), world, history).culprit


_KINDS = {
    "ok": Outcome.OK,
    "crash": Outcome.CRASHED,
    "boot": Outcome.BOOT_FAILED,
    "basic": Outcome.BOOT_FAILED,
}


def verdict_rule(
    reference: Sequence[tuple[str, str]], runs: Sequence[tuple[str, str]], limits: Limits = LIMITS
) -> str:
    """The verdict of one commit; runs are (kind, title), those of the reference from the reported commit."""
    seen, made = (
        [Run(_KINDS.get(kind, Outcome.INFRA_FAILED), title) for kind, title in side]
        for side in (reference, runs)
    )
    known = Reference().grown(seen)
    counts = count_runs(made, known)
    if len(made) >= FIRST_RUNS and made == seen:
        # So many runs are made on the reported commit: these are the reference's own.
        return judge_reported(counts)
    return judge(counts, chance=crash_chance(count_runs(seen, known)), limits=limits)
