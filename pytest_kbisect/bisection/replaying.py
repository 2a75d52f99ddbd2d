"""`--kbisect-replay`: what would have been concluded from a bisection made before, by whomever.

Nothing is built or run. Verdicts need the log alone; the strategy's conclusion needs the tree as well,
for who is whose ancestor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kbisect import options
from pytest_kbisect.bisection import hints, known_log, registry
from pytest_kbisect.bisection.replay import Log, Trial, read_log, second_opinion
from pytest_kbisect.errors import ExitCode, UsageError
from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.evidence.journal import experiments, records_of, require_single
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run, Verdict
from pytest_kbisect.evidence.reference import Reference
from pytest_kbisect.evidence.related import match_crashes
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.reports.terminal import ANSWER
from pytest_kbisect.strategies.strategy import Experiment, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from pytest_kbisect.kernel.tree import LinuxTree, Range
    from pytest_kbisect.reports.terminal import TerminalReporter
    from pytest_kbisect.strategies.strategy import Strategy

# A verdict without runs (git bisect's) is somebody's word; it weighs as much as these runs would.
_WORD = {
    Verdict.BAD: (Run(Outcome.CRASHED, title="said to be bad"),) * 3,
    Verdict.GOOD: (Run(Outcome.OK),) * 10,
}
_LARGEST = 256 << 20
"""Bytes of a log: a week of runs is a tenth of it."""
_SHOWN = 10
"""Candidates listed at most."""


def main(config: pytest.Config, path: Path, reporter: TerminalReporter) -> int:
    """Show it; the exit code is 0 when the log could be read."""
    log, ends = _read(path)
    reporter.line(f"{path}: tests: {len(log.trials)}, verdicts for git: {len(log.marks)}")
    for opinion in second_opinion(log):
        theirs = f" (there: {opinion.theirs.value})" if opinion.theirs else ""
        reporter.line(f"{opinion.commit[:12]} {opinion.ours.value}{theirs}")
    if log.culprit:
        reporter.line(f"there: first {'good' if log.fix else 'bad'} commit {log.culprit}")
    elif log.candidates or log.error:
        reporter.line(f"there: {log.error or f'{len(log.candidates)} candidates'}")
    kernel = options.value(config, "kernel")
    if kernel is None:
        reporter.line("give --kbisect-kernel DIR, a git tree with these commits, for what follows from it")
        return ExitCode.FOUND
    from pytest_kbisect.kernel.tree import LinuxTree

    tree = LinuxTree(kernel, options.cache_folder(config))
    _conclude(config, log, _range(config, tree, log, ends), tree, reporter)
    return ExitCode.FOUND


def _read(path: Path) -> tuple[Log, str]:
    """A log of whatever kind, and the range that it says it is of, if it does."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) > _LARGEST:
        raise UsageError(
            f"{path} is larger than {_LARGEST >> 20} MiB: no bisection writes as much, name its log"
        )
    if raw.startswith(b'{"'):
        records = records_of(raw, path)
        if not records or records[0].get("kind") != "subject":
            raise _no_bisection(path)
        subject = records[0]
        require_single(subject, path)
        prior, search, known = (_last(records, kind) for kind in ("prior", "search", known_log.NOTE))
        trials = [Trial(tested) for tested in experiments(records, path)]
        log = Log(
            trials,
            fix=bool(subject.get("fix")),
            expected=frozenset(subject.get("crash", ())),
            prior=prior,
            known=known,
            trusted=bool((search or {}).get("trusted", (search or {}).get("vouched", True))),
        )
        good, bad = subject.get("range", ("", ""))
        good = (search or {}).get("good", good)  # the release that a walk has found
        log.ends = good, bad
        return log, f"{good}..{bad}" if good else ""
    log = read_log(raw.decode("utf-8", "replace"))
    if not log.trials and not log.marks:
        raise _no_bisection(path)
    return log, ""


def _last(records: Sequence[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    """The last record of a kind."""
    return next((record for record in reversed(records) if record.get("kind") == kind), None)


def _no_bisection(path: Path) -> UsageError:
    return UsageError(
        f"{path} holds no bisection: give a journal.jsonl, a bisection log or the output of git bisect log"
    )


def _range(config: pytest.Config, tree: LinuxTree, log: Log, ends: str) -> Range:
    """The range: the option's, the journal's, or the first verdicts given to git.

    Where the option leaves the good end open (..B) it is the log's.
    """
    text = options.value(config, "range")
    named = tree.parse_range(text) if text else None
    if named is not None and named.good:
        return named
    good, _, bad = ends.partition("..")
    if not good:
        first = dict(reversed(log.marks))
        good, bad = first.get(Verdict.GOOD, ""), first.get(Verdict.BAD, "")
    bad = bad if named is None else named.bad
    if not good or not bad:
        raise UsageError("the log names no range: add --kbisect-range A..B")
    return tree.parse_range(f"{good}..{bad}")


def _conclude(
    config: pytest.Config, log: Log, ends: Range, tree: LinuxTree, reporter: TerminalReporter
) -> None:
    history = History.from_log(tree.log_text(ends.good, ends.bad), good=ends.good)
    trusted = log.trusted and not ends.named_good
    evidence = Evidence(
        history,
        matcher=match_crashes,
        reference=Reference(log.expected),
        reported=GOOD_END if log.fix else history.bad_end,
        trusted=trusted,
    )
    outside = 0
    for tested in _evidence(log):
        if tested.commit == ends.good:
            evidence.add(GOOD_END, tested)
        elif (index := history.index(tested.commit)) is not None:
            evidence.add(index, tested)
        else:
            outside += 1
    if outside:
        reporter.line(f"tests of commits outside {ends.good[:12]}..{ends.bad[:12]}, left out: {outside}")
    strategy = _strategy(config, history, log, trusted=trusted)
    answer = strategy.conclude(evidence)
    reason = f": {answer.reason}" if answer.reason else ""
    reporter.line(f"here: {answer.kind.value}, confidence {answer.confidence:.1%}{reason}", level=ANSWER)
    candidates = answer.candidates
    if answer.culprit is not None and not candidates:
        candidates = ((answer.culprit, answer.confidence),)
    for i, chance in candidates[:_SHOWN]:
        reporter.line(f"  {chance:6.1%} {history.commits[i][:12]} {history.title(i)}", level=ANSWER)
    if len(candidates) > _SHOWN:
        reporter.line(f"  and {len(candidates) - _SHOWN} more")
    following = strategy.decide(evidence)
    if isinstance(following, Experiment):
        sha = ends.good if following.commit == GOOD_END else history.commits[following.commit]
        reporter.line(f"next: {sha[:12]}, {following.runs} runs: {following.reason}")


def _evidence(log: Log) -> list[CommitResult]:
    """The tests of a log; of a log without any, its verdicts."""
    if log.trials:
        return [trial.tested for trial in log.trials]
    told = [(Verdict.GOOD if verdict is Verdict.BAD else Verdict.BAD, sha) for verdict, sha in log.marks]
    marks = [pair for pair in (told if log.fix else log.marks) if pair[0] in _WORD]
    return [CommitResult(sha, _WORD[verdict], signature=f"unknown {sha}") for verdict, sha in marks]


def _strategy(config: pytest.Config, history: History, log: Log, *, trusted: bool) -> Strategy:
    problem = Problem(
        history,
        runs=options.value(config, "runs"),
        confidence=options.value(config, "confidence"),
        fix=log.fix,
        trusted=trusted,
        prior=hints.from_note(log.prior, len(history)),
        known=known_log.from_note(log.known, history),
    )
    return registry.strategy(config).make(problem)
