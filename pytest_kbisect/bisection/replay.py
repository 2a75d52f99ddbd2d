"""Other people's bisections read back: syzkaller's logs and `git bisect log`.

Nothing is run: what is read goes through the same evidence and verdicts as our own runs, to show what
they would have concluded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pytest_kbisect.evidence.contrast import Contrast
from pytest_kbisect.evidence.measured import spread
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run, Verdict
from pytest_kbisect.evidence.reference import Reference, match_names
from pytest_kbisect.evidence.run_counts import count_runs
from pytest_kbisect.evidence.verdict import crash_chance, judge, judge_reported
from pytest_kbisect.reports.bisectlog import MEASURED, NOT_RUN
from pytest_kbisect.symptoms.metric import HIGHER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FULL = "[0-9a-f]{40}"
_RESULT = re.compile(r"(?:all runs|run #\d+): (.*)")
_HEADER = re.compile(rf"testing commit ({_FULL})(?: with (.*))?(?: gcc| clang)?\s*$")
_MARK = re.compile(rf"#? ?git bisect (good|bad|skip|new|old)((?: {_FULL})+)")
_START = re.compile(r"#? ?git bisect start\b(.*)")
_END = re.compile(rf"# (good|bad|new|old): \[({_FULL})\]")
_TERM = re.compile(r"--term-(new|bad|old|good)'?[ =]'?([^'\s]+)")
_FIRST = re.compile(
    rf"# first (?:bad|new) commit: \[({_FULL})\]|({_FULL}) is the first (?:bad|good|new) commit"
)
_ANSWER = re.compile(rf"first (?:bad|good) commit: ({_FULL})")
_LEFT = re.compile(rf"^(?:# )?({_FULL})$|^# (?:possible first bad commit): \[({_FULL})\]")
_ERROR = re.compile(r"error: (.*)")
_ONE_BATCH = 10
"""Runs behind an `all runs:` line.

Since 2021 the first test of a log makes 20; nothing in a log says which it was.
"""
_OUTCOMES = (
    ("OK", Outcome.OK),
    (MEASURED, Outcome.SILENT),
    ("crashed: ", Outcome.CRASHED),
    ("bad: ", Outcome.FAILED),
    ("no evidence: ", Outcome.SILENT),
    ("boot failed: ", Outcome.BOOT_FAILED),
    ("basic kernel testing failed: ", Outcome.BOOT_FAILED),
    ("infra problem: ", Outcome.INFRA_FAILED),
    ("ignore: ", Outcome.INFRA_FAILED),
    ("failed: ", Outcome.INFRA_FAILED),
)


@dataclass
class Trial:
    """One test of a commit in a log: what was seen, and what was made of it there."""

    tested: CommitResult
    verdict: Verdict | None = None
    tag: str = ""


@dataclass
class Log:
    """A bisection read back. `fix` means it looked for a fix: bad and good are exchanged in `marks`.

    Of one of ours also the titles that its reproducers `expected`, its notes of the `prior` (see hints) and
    of `known` verdicts (see known_log), and whether the good end can be `trusted`: somebody named it.

    `marks` are the verdicts given to git in order, the ends of the range among them; `culprit` and
    `candidates` are what the log ended with, `error` why it did not.
    """

    trials: list[Trial] = field(default_factory=list)
    marks: list[tuple[Verdict, str]] = field(default_factory=list)
    fix: bool = False
    culprit: str = ""
    candidates: tuple[str, ...] = ()
    error: str = ""
    expected: frozenset[str] = frozenset()
    prior: Mapping[str, Any] | None = None
    known: Mapping[str, Any] | None = None
    trusted: bool = True
    ends: tuple[str, str] = ("", "")
    """The good and the bad end; of a metric, all values are compared with theirs."""

    @property
    def reported(self) -> CommitResult | None:
        """The test of the commit the bug was reported on."""
        return self.trials[0].tested if self.trials else None


def read_log(text: str) -> Log:
    """Read a bisection log of syzkaller (2018 to today) or the output of `git bisect log`."""
    log = Log(fix=text.lstrip().startswith("bisecting fix") or "\nbisecting fix" in text[:2000])
    lines = _in_usual_terms(text.splitlines())
    for number, line in enumerate(lines):
        if found := _HEADER.match(line):
            body = list(_body(lines, number + 1))
            log.trials.append(_trial(found[1], found[2] or "", body, lines[number - 1] if number else ""))
        elif found := _START.match(line):
            _ends(log, found[1], lines[:number])
        elif found := _MARK.match(line):
            _mark(log, found[1], found[2].split())
        elif found := _FIRST.search(line):
            log.culprit = found[1] or found[2]
        elif found := _ANSWER.match(line):
            log.culprit = found[1]
        elif "only 'skip'ped commits left" in line or line.startswith("bisection is inconclusive"):
            log.candidates = tuple(_listed(lines, number + 1))
        elif (found := _ERROR.match(line)) and not log.error:
            log.error = found[1]
    return log


def _in_usual_terms(lines: list[str]) -> list[str]:
    """A log of `git bisect` with the user's own words for old and new (`--term-old fast`) in git's."""
    starts = [line for line in lines if _START.match(line)]
    words = {own: usual for line in starts for usual, own in _TERM.findall(line)}
    if not words:
        return lines
    own = "|".join(map(re.escape, words))
    said = re.compile(rf"^(#? ?git bisect|# first|#) ({own})(?=[ :])")
    return [said.sub(lambda found: f"{found[1]} {words[found[2]]}", line) for line in lines]


def _body(lines: list[str], start: int) -> Iterator[str]:
    """The lines of one test."""
    ends = ("testing ", "# git bisect", "revisions tested:", "culprit signature:", "bisection is ", "error: ")
    for line in lines[start:]:
        if line.startswith(ends) and not line.startswith("testing without"):
            return
        yield line


def _trial(sha: str, compiler: str, body: list[str], before: str) -> Trial:
    signature = ""
    runs: list[Run] = []
    strange: list[str] = []
    for line in body:
        if found := _RESULT.match(line):
            times = _ONE_BATCH if line.startswith("all") else 1
            runs += [_run(found[1])] * times
        elif line.startswith("kernel signature: "):
            signature = line.removeprefix("kernel signature: ").strip()
        elif line.startswith("compiler: "):
            compiler = line.removeprefix("compiler: ")
        elif line.strip() and not line.startswith(("#", *NOT_RUN)):
            strange.append(line)
    error = "\n".join(strange[:20]) if not runs else ""
    tag = before.removeprefix("testing release ") if before.startswith("testing release ") else ""
    return Trial(CommitResult(sha, tuple(runs), signature, compiler, build_error=error), tag=tag)


def _run(text: str) -> Run:
    for start, outcome in _OUTCOMES:
        if text.startswith(start):
            return Run(outcome, title=text.removeprefix(start).strip() if start != "OK" else "")
    return Run(Outcome.INFRA_FAILED, title=text)


def _ends(log: Log, commits: str, before: list[str]) -> None:
    """`git bisect start BAD GOOD...`: names perhaps (v6.5 v6.4), whose git says in the lines `before`."""
    if said := [found for found in takewhile(bool, map(_END.match, reversed(before))) if found]:
        for found in reversed(said):
            _mark(log, found[1], [found[2]])
        return
    bad, *good = re.findall(_FULL, commits) or [""]
    if bad:
        _mark(log, "bad", [bad])
    for sha in good:
        _mark(log, "good", [sha])


def _mark(log: Log, word: str, commits: list[str]) -> None:
    verdict = {"new": Verdict.BAD, "old": Verdict.GOOD}.get(word) or Verdict(word)
    for sha in commits:
        log.marks.append((verdict, sha))
        for trial in log.trials:
            if trial.tested.commit == sha and trial.verdict is None:
                trial.verdict = verdict


def _listed(lines: list[str], start: int) -> Iterator[str]:
    """Hashes on lines of their own, up to the first line of another kind."""
    for line in lines[start:]:
        found = _LEFT.match(line)
        if found:
            yield found[1] or found[2]
        elif line.strip() and "commit could be any of" not in line:
            return


@dataclass(frozen=True)
class Second:
    """A second opinion on one test of a log."""

    commit: str
    theirs: Verdict | None
    ours: Verdict


def _by_values(log: Log) -> tuple[Second, ...]:
    """The same of a metric, by what all runs of each commit have measured."""
    values: dict[str, tuple[float, ...]] = {}
    metric = ""
    for trial in log.trials:
        measured = tuple(run.value for run in trial.tested.runs if run.value is not None)
        values[trial.tested.commit] = values.get(trial.tested.commit, ()) + measured
        metric = next((run.metric for run in trial.tested.runs if run.metric), metric)
    good, bad = (values.get(end, ()) for end in (reversed(log.ends) if log.fix else log.ends))
    contrast = None
    if good and bad:
        contrast = Contrast(bad, good, metric.endswith(HIGHER), spread(values.values()))
    return tuple(
        Second(
            trial.tested.commit,
            trial.verdict,
            contrast.verdict(values[trial.tested.commit]) if contrast else Verdict.SKIP,
        )
        for trial in log.trials
    )


def second_opinion(log: Log) -> tuple[Second, ...]:
    """What our verdicts make of a log's tests, the first of which is the reported commit's."""
    if log.reported is None:
        return ()
    if any(run.metric for trial in log.trials for run in trial.tested.runs):
        return _by_values(log)
    expected = Reference(log.expected)
    reference = expected.grown(expected.own(log.reported.runs, match_names))
    chance = crash_chance(count_runs(log.reported.runs, reference))
    opinions = []
    for n, trial in enumerate(log.trials):
        counts = count_runs(trial.tested.runs, reference)
        ours = judge(counts, chance=chance) if n else judge_reported(counts)
        opinions.append(Second(trial.tested.commit, trial.verdict, ours))
    return tuple(opinions)
