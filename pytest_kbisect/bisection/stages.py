"""The stages of a bisection: a good end where none is named, the search, the last checks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kbisect.bisection import hints, known_log, merges, path_prior
from pytest_kbisect.bisection.commit_request import CommitRequest
from pytest_kbisect.bisection.reverting import RevertCheck, after_revert
from pytest_kbisect.bisection.search import Rules, Search
from pytest_kbisect.enrichment import reason
from pytest_kbisect.evidence.by_kernel import Evidence, Prices
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run, Verdict
from pytest_kbisect.evidence.reference import Reference
from pytest_kbisect.evidence.related import match_crashes
from pytest_kbisect.evidence.run_counts import RunCounts
from pytest_kbisect.evidence.verdict import crash_chance, enough_runs
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.kernel.revert import reverted
from pytest_kbisect.kernel.sources import read_together
from pytest_kbisect.reports import bisectlog
from pytest_kbisect.strategies.bayes.alone import MOST_RUNS, chance_of_bug, verdict
from pytest_kbisect.strategies.bayes.testable import boot_failures
from pytest_kbisect.strategies.release_tags import pick, releases
from pytest_kbisect.strategies.release_walk import ReleaseWalk
from pytest_kbisect.strategies.strategy import AnswerKind, Problem
from pytest_kbisect.symptoms.symptom import CRASH_NAME
from pytest_kbisect.symptoms.wording import Wording, wording_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
    from pytest_kbisect.bisection.known_log import Known
    from pytest_kbisect.bisection.merges import Outer
    from pytest_kbisect.history.ancestry import Weights
    from pytest_kbisect.kernel.tree import LinuxTree, Range
    from pytest_kbisect.reports.terminal import TerminalReporter
    from pytest_kbisect.strategies.strategy import Answer, Strategy, StrategyKind

_GUESS = {"build": 60.0, "run": 5.0, "session": 4.0}
"""Seconds that a build, a run and a session are thought to take until some were measured."""

_BAD_RELEASE = "bad-release"
"""The journal's kind of note on a release that crashes, as the search from it has found."""
_SEARCH = "search"
"""The journal's kind of note on where a search begins, and whether the user has said that it is good."""
_DOUBT_OF_BASE = 0.01
"""Chance that a merge base is taken for what it is not: a branch depends on it, and it is asked once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is wanted of a bisection.

    `runs` of a commit where no strategy says how many; `width` runs go side by side, at each of `at_once`
    commits (more at one that is tested alone); `room` gives how many commits that is now, if it changes;
    `crash` are the titles that the reproducers name, `symptoms` the kinds of symptoms that they look for;
    `budget` in seconds of all sessions together; `log` are lines that follow the first one of the log.
    `known` are verdicts of the user's, each right with probability `trust`; `at_leisure`: a person makes the
    runs; `paths` are looked at first; `first_parent`: of merges only that they are there, and with
    `into_merge` also what the one that is found brought in.
    """

    ends: Range
    strategy: StrategyKind
    fix: bool = False
    confidence: float = 0.95
    runs: int = 10
    width: int = 1
    at_once: int = 1
    room: Callable[[], int] | None = None
    budget: float | None = None
    crash: frozenset[str] = field(default_factory=frozenset)
    log: tuple[str, ...] = ()
    symptoms: frozenset[str] = frozenset({CRASH_NAME})
    known: tuple[Known, ...] = ()
    trust: float = 0.9
    paths: tuple[str, ...] = ()
    first_parent: bool = False
    into_merge: bool = False
    at_leisure: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """How a bisection ended: the search with all it knows, its answer, and the check by a revert.

    `plan` is what was wanted, `outer` the first step where there was a second one into a merge.
    """

    search: Search
    answer: Answer
    revert: RevertCheck
    plan: Plan
    outer: Outer | None = None


class Bisection:
    """Goes the whole way once; what the journal knows is not done again."""

    def __init__(
        self, plan: Plan, tree: LinuxTree, runner: ExperimentRunner, reporter: TerminalReporter
    ) -> None:
        self._plan = plan
        self._tree = tree
        self._runner = runner
        self._say = reporter

    def run(self) -> Finding:
        """Find the answer, and check it."""
        ends = self._plan.ends
        self._say.lines(bisectlog.start(ends.good if self._plan.fix else ends.bad, fix=self._plan.fix))
        self._say.lines(self._plan.log)
        search, answer = self._between(ends.good) if ends.good else self._from_a_release()
        outer = None
        if self._plan.into_merge:
            search, answer, outer = merges.descend(
                *(search, answer, self._tree), begin=self._into_merge, say=self._say.line
            )
        check = self._revert_check(search, answer)
        return Finding(search, after_revert(answer, check), check, self._plan, outer)

    @property
    def _words(self) -> Wording:
        """How to speak of what is looked for."""
        return wording_of(self._plan.symptoms)

    @property
    def _trusted(self) -> bool:
        """Whether the user knows the good end."""
        return bool(self._plan.ends.good) and not self._plan.ends.named_good

    # -- the stages ----------------------------------------------------------------------------------

    def _between(self, good: str) -> tuple[Search, Answer]:
        """The search between a good end and the bad one."""
        search = self._search(good)
        return search, search.run()

    def _from_a_release(self) -> tuple[Search, Answer]:
        """The search from a release that does not crash; from an older one where it does after all."""
        while True:
            walk = self._walk()
            found = walk.run()
            if found.kind is not AnswerKind.GOOD_RELEASE or found.culprit is None:
                return walk, found
            good = walk.sha(found.culprit)
            search, answer = self._between(good)
            if answer.kind is not AnswerKind.BAD_AT_GOOD_END:
                return search, answer
            self._say.line(
                f"# {walk.title(found.culprit)} {walk.evidence.wording.has} too: on to an older release"
            )
            self._runner.journal.note(_BAD_RELEASE, {"commit": good})

    def _walk(self) -> Search:
        """The search for a release that does not crash, over the releases as a line of commits."""
        bad = self._plan.ends.bad
        tags = self._tree.tags_before(bad)
        # A commit with two names (v6.7 and v6.7.0) is one release: the walk knows it by its commit.
        known = {tags[release.tag]: release for release in releases(tags)}
        chosen = pick(sorted(known.values(), reverse=True))
        if chosen:
            names = " ".join(release.tag for release in chosen)
            self._say.line(f"picked [{names}] out of {len(known)} release tags")
        history = History.line([*(tags[release.tag] for release in reversed(chosen)), bad])
        names_of = {len(chosen) - 1 - n: release.tag for n, release in enumerate(chosen)}
        history = replace(history, titles=(*(names_of[i] for i in range(len(chosen))), "the bad end"))
        noted = {note["commit"] for note in self._runner.journal.notes(_BAD_RELEASE)}
        bad_ones = [release.tag for release in chosen if tags[release.tag] in noted]
        return Search(
            "",
            history,
            Evidence(
                history,
                matcher=match_crashes,
                reference=Reference(self._plan.crash),
                looked_for=self._plan.symptoms,
                walking=True,
            ),
            ReleaseWalk(history, chosen, self._strategy(history, trusted=self._trusted), bad_ones),
            self._runner,
            self._say,
            Rules(runs=self._plan.runs, budget=self._plan.budget, phase="range"),
            names=names_of,
        )

    def _search(self, good: str) -> Search:
        ends = self._plan.ends
        begins = {"good": good, "trusted": self._trusted}
        if not begins.items() <= (self._runner.journal.noted(_SEARCH) or {}).items():
            self._runner.journal.note(_SEARCH, begins)
        return self._search_between(good, ends.bad, trusted=self._trusted)

    def _into_merge(self, good: str, merge: str) -> Search:
        """The search among the commits that a merge has brought in; both ends have been tested."""
        return self._search_between(good, merge, trusted=True, phase=merges.PHASE)

    def _search_between(self, good: str, bad: str, *, trusted: bool, phase: str = "search") -> Search:
        plan = self._plan
        line = plan.first_parent and phase == "search"
        history = History.from_log(self._tree.log_text(good, bad, first_parent=line), good=good)
        for mended in history.repairs:
            self._say.line(f"note: {mended}", log=False)
        self._say.line(
            f"{len(history)} commits between {good[:12]} ({self._words.has if plan.fix else 'good'}) and "
            f"{bad[:12]} ({'fixed' if plan.fix else 'bad'}){' on the first-parent line' if line else ''}",
            log=False,
        )
        if plan.strategy.probabilistic:  # classic says it where git would: once A has proved good
            self._say.line(f"# git bisect start {'--first-parent ' if line else ''}{bad} {good}")
        evidence = Evidence(
            history,
            matcher=match_crashes,
            reference=Reference(plan.crash),
            looked_for=plan.symptoms,
            reported=GOOD_END if plan.fix else history.bad_end,
            trusted=trusted,
        )
        self._take_known(history, evidence)
        strategy = partial(
            self._strategy,
            history,
            trusted=trusted,
            paths=path_prior.weights(self._tree, good, history, plan.paths, first_parent=line),
        )
        return Search(
            good,
            history,
            evidence,
            strategy(),
            self._runner,
            self._say,
            Rules(
                runs=plan.runs,
                budget=plan.budget,
                at_once=plan.at_once,
                room=plan.room,
                fix=plan.fix,
                check_good=bool(plan.ends.named_good),
                absent=(lambda commit, seen: self._test_base(good, commit, seen)) if plan.fix else None,
                reweigh=partial(self._reweigh, strategy, line) if plan.strategy.probabilistic else None,
                phase=phase,
                at_leisure=plan.at_leisure,
            ),
        )

    def _take_known(self, history: History, evidence: Evidence) -> None:
        """Say what the user's verdicts come to, and note them; what he skips is not tested."""
        known = self._plan.known
        if known:
            self._say.lines(f"# {words}" for words in known_log.words(known, history, fix=self._plan.fix))
        note = known_log.to_note(known, self._plan.trust)
        if note != {name: (self._runner.journal.noted(known_log.NOTE) or {}).get(name, []) for name in note}:
            self._runner.journal.note(known_log.NOTE, note)
        for at, tested in known_log.skipped(known, history):
            evidence.add(at, tested)

    def _strategy(
        self,
        history: History,
        prior: Weights | None = None,
        *,
        trusted: bool = False,
        paths: Weights | None = None,
    ) -> Strategy:
        """The strategy, with a prior from what was seen, and one from the paths that the user names."""
        plan = self._plan
        weights = [one for one in (prior, paths) if one is not None]
        problem = Problem(
            history,
            runs=plan.runs,
            confidence=plan.confidence,
            fix=plan.fix,
            trusted=trusted,
            prices=Prices(**_GUESS, width=plan.width),
            prior=prod(weights[1:], start=weights[0]) if weights else None,
            known=known_log.verdicts(plan.known, history, plan.trust),
        )
        return plan.strategy.make(problem)

    def _reweigh(
        self, strategy: Callable[[Weights], Strategy], line: bool, search: Search
    ) -> Strategy | None:
        """The strategy with a prior from the files in the crash's stack, and those the build reads.

        `line`: the search is over the first-parent line.
        """
        journal = self._runner.journal
        note = journal.noted("prior")
        between = [search.good, search.sha(search.history.bad_end), line]
        known = note is not None and len(note.get("of", search.history)) == len(search.history)
        if note is None or not known or note.get("between", between) != between:
            note = self._hints(search, line=line) | {"between": between}
            journal.note("prior", note)
        prior = hints.from_note(note, len(search.history))
        if prior is None:
            return None
        if note["stack"]:
            self._say.line(f"# files of the {self._words.noun}: {' '.join(note['stack'])}")
        return strategy(prior)

    def _hints(self, search: Search, *, line: bool) -> dict[str, Any]:
        """The prior for the journal; empty where the build left no list of what it read."""
        end = search.evidence.reported
        tested = search.found[end]
        sources = read_together(map(Path, tested.sources.split(os.pathsep))) if tested.sources else None
        crash = next((run for run in tested.runs if search.evidence.count([run]).matching), None)
        if search.evidence.measures:
            crash = Run(Outcome.OK)  # has no stack
        if sources is None or not sources.targets or crash is None:
            return {}
        functions = hints.stack_functions(crash.report, crash.frame)
        stack = frozenset[str]()
        if functions:
            stack = hints.stack_files(self._tree, search.sha(end), functions, sources)
        prior = hints.prior(self._tree, search.good, search.history, stack, sources, first_parent=line)
        return hints.to_note(prior, stack)

    # -- what else is tested ---------------------------------------------------------------------------

    def _test_base(self, known_bad: str, commit: str, evidence: Evidence) -> CommitResult | None:
        """Test where a commit on the way to a fix branched off; None where that has the bug.

        A commit that branched off before the bug came in does not crash, and is no fix. Where the
        branches part tells: descendants of a commit that crashes have the bug or its fix. Branches that
        were merged into each other part in several places, and any of these may have brought the bug.
        """
        bases = self._tree.merge_bases(known_bad, commit)
        if bases == (known_bad,):
            return None
        if not bases:
            return CommitResult(
                commit, absent=f"it has no history in common with {known_bad[:12]}", never=True
            )
        # All that the commit contains is no suspect then, so each of these must be that much surer.
        contained = int(evidence.history.ancestry.ancestors(evidence.history.position[commit]).sum())
        doubt = _DOUBT_OF_BASE / contained / len(bases)
        good = []
        for base in bases:
            has_bug = self._has_base_the_bug(base, commit, evidence, doubt)
            if has_bug is Verdict.BAD:
                return None
            if has_bug is Verdict.GOOD:
                good.append(base)
        dark = [base for base in bases if base not in good]
        never = not dark and all(self._chance_at_base(base, evidence) <= doubt for base in bases)
        which = " and ".join(base[:12] for base in dark or good)
        words = evidence.wording
        why = "cannot be tested" if dark else words.has_not if len(good) == 1 else words.have_not
        return CommitResult(commit, absent=f"it branched off at {which}, which {why}", never=never)

    def _has_base_the_bug(self, base: str, commit: str, evidence: Evidence, doubt: float) -> Verdict:
        """Test a merge base until its runs say whether it has the bug."""
        while (has_bug := self._verdict_of_base(base, evidence, doubt)) is None:
            order = CommitRequest(
                base,
                evidence.runs_to_see,
                f"does {commit[:12]}, which branched off here, have the bug?",
                stop=None if evidence.measures else tuple(sorted(evidence.reference.main)),
                expect=evidence.expected_titles,
                watch=evidence.path,
                phase="base",
                # Beside others it has the share that each of them has.
                at_once=max((other.at_once for other in self._runner.pending), default=1),
            )
            tested = self._runner.test(order)
            self._runner.record(order, tested)
            self._say.lines(bisectlog.commit(tested))
        return has_bug

    def _counts_of_base(self, base: str, evidence: Evidence) -> RunCounts | None:
        """The runs at a merge base; None where it was not tested."""
        made = [tested for tested in self._runner.of_phase("base") if tested.commit == base]
        return evidence.count(run for tested in made for run in tested.runs) if made else None

    def _chance_at_base(self, base: str, evidence: Evidence) -> float:
        """The probability that a merge base that was tested has the bug."""
        return chance_of_bug(
            self._counts_of_base(base, evidence) or RunCounts(), evidence.counts(evidence.reported)
        )

    def _verdict_of_base(self, base: str, evidence: Evidence, doubt: float) -> Verdict | None:
        """What the runs at a merge base say; None where more of them are wanted."""
        counts = self._counts_of_base(base, evidence)
        if counts is None:
            return None
        if not counts.total:
            return Verdict.SKIP
        return verdict(
            counts,
            evidence.counts(evidence.reported),
            boot_failures=boot_failures(evidence),
            bad=1 - _DOUBT_OF_BASE,
            good=1 - doubt,
        )

    def _revert_check(self, search: Search, answer: Answer) -> RevertCheck:
        """The bad end without the culprit: the crash must be gone (of a fix: it must be back).

        The answer is known by then: what keeps this from being tested does not take it away.
        """
        try:
            return self._without_culprit(search, answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is known
            return RevertCheck(why=reason(error))

    def _without_culprit(self, search: Search, answer: Answer) -> RevertCheck:
        if answer.kind is not AnswerKind.CULPRIT or answer.culprit is None:
            return RevertCheck()
        if search.sha(answer.culprit) == self._plan.ends.bad:
            return RevertCheck(why="the culprit is the end of the range, its parent was tested")
        if self._plan.budget is not None and self._runner.spent >= self._plan.budget:
            return RevertCheck(why="the budget is spent")
        end = self._plan.ends.bad
        without = reverted(self._tree, search.sha(answer.culprit), end)
        if not without.commit:
            return RevertCheck(outcome="conflict", why=without.why)
        evidence = search.evidence
        chance = crash_chance(evidence.counts(evidence.reported))
        order = CommitRequest(
            without.commit,
            evidence.runs_to_see if evidence.measures else enough_runs(chance, MOST_RUNS),
            "the end of the range without the culprit",
            title=f"Revert {search.sha(answer.culprit)[:12]}",
            stop=None if evidence.measures else tuple(sorted(evidence.reference.main)),
            expect=evidence.expected_titles,
            watch=evidence.path,
            phase="revert",
        )
        known = [one for one in self._runner.of_phase("revert") if one.commit == without.commit]
        if not known:
            known = [self._runner.test(order)]
            self._runner.record(order, known[0])
        self._say.line(f"# {end} with {search.sha(answer.culprit)[:12]} reverted:")
        self._say.lines(f"# {line}" for line in bisectlog.commit(known[0]))
        counts = evidence.count(known[0].runs)
        return RevertCheck.of(known[0], counts, chance=chance, fix=self._plan.fix)
