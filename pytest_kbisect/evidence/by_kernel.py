"""All that was seen so far, by kernel: what a strategy decides from.

Two commits with the same signature are the same kernel, so what was seen of one was seen of both.
Evidence is built by adding what sessions found, in order; the same order gives the same evidence,
and a journal is nothing else.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain
from math import ceil, log, log1p
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

from pytest_kbisect.evidence.contrast import Contrast, like
from pytest_kbisect.evidence.failure import Failure, failure_of, naming_a_bug
from pytest_kbisect.evidence.measured import spread
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run, Verdict
from pytest_kbisect.evidence.reference import Match, Matcher, Reference, known_by, match_names
from pytest_kbisect.evidence.run_counts import RunCounts, chance_of, count_runs, likelier_apart
from pytest_kbisect.evidence.verdict import crash_chance, enough_runs
from pytest_kbisect.evidence.witness import path_of
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.symptoms.metric import HIGHER
from pytest_kbisect.symptoms.metric import NAME as METRIC
from pytest_kbisect.symptoms.symptom import CRASH_NAME
from pytest_kbisect.symptoms.wording import Wording, wording_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pytest_kbisect.evidence.outcome import Report
    from pytest_kbisect.history.candidates import History

ENOUGH_ALIKE: Final = 20
"""Values like as many of the bad end, after which a release is taken to be like it."""
SURELY_BAD: Final = 2
"""Crashes that match, from which on a commit has the bug and related crashes there are it by another name."""
UNLIKE: Final = 1000.0
"""How many times likelier runs must be of two kernels than of one to disbelieve an equal signature."""
_NOISE: Final = 0.01
"""Chance of a crash like the bug's where the bug is not, as far as equal signatures are concerned."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Seconds that a build takes, a wave of runs, a session besides; `width` runs go side by side in a wave.

    A session's own are what it takes however few its runs are: pytest, and the boots that runs begin from.
    """

    build: float = 300.0
    run: float = 60.0
    width: int = 1
    session: float = 0.0


class _Kernel(Enum):
    """What stands for a kernel where there is none; an enum stays itself when copied."""

    FAILED = "failed"


_FAILED: Final = _Kernel.FAILED


class Evidence:
    """What was seen of a history's commits (GOOD_END and parents outside it included), and of one bug.

    `reported` is the commit the bug was seen on: the bad end, or the good end (that is A) where the
    fix is looked for.

    `reference` may name crashes before anything was run (the reproducer says what to expect);
    otherwise every crash of the bad end belongs to the bug. A good end that the user has named (`trusted`)
    has not the bug: a title that it shows as often as the bad end is another bug's, where there is one left.

    Of a metric, no single run shows anything: values of a kernel are compared with those of both ends. Where
    the good end is still looked for (`walking`), they are compared with those of the bad end.
    """

    def __init__(
        self,
        history: History,
        *,
        matcher: Matcher = match_names,
        reference: Reference | None = None,
        reported: int | None = None,
        trusted: bool = False,
        looked_for: Collection[str] = (CRASH_NAME,),
        walking: bool = False,
    ) -> None:
        """`looked_for` are the kinds of symptoms that reproducers state."""
        self.history = history
        self.reported = history.bad_end if reported is None else reported
        self._matcher = matcher
        self._looked_for = looked_for
        self.walking = walking
        """Whether a good end is still looked for."""
        self._contrast: Contrast | None = None
        self.metric = ""
        """The metric that runs measure, and the direction that is bad; "" until one has."""
        self._trusted = trusted and self.reported != GOOD_END
        self._clean = history.bad_end if self.reported == GOOD_END else GOOD_END if trusted else None
        self._expected = reference or Reference()
        self._bad_runs: list[Run] = []
        self._by_other_names: list[Report] = []
        self._beside: set[str] = set()
        self._never: list[int] = []
        self._reference = self._expected
        self.path: tuple[str, ...] = ()
        """Functions whose execution shows that a run came to the bug's code, the innermost first."""
        self.closed = False
        """Whether the end that the user knows not to have the bug does not come to its code. Then that runs
        do not come there tells no commit from it, and what is found is the one that opens the way."""
        self.others: dict[str, str] = {}
        """Titles of reports that are another bug's, however like this one's, and how that is known."""
        self.failure = Failure()
        """What the runs of the reported commit show, where no reproducer says what to expect."""
        self._kernel_of: dict[int, object] = {}
        self._signatures: dict[int, str] = {}
        self._unlike: set[str] = set()
        self._own_runs: dict[int, list[Run]] = {}
        self._commits: dict[object, list[int]] = {}
        self._tallies: dict[object, RunCounts] = {}
        self._tried: dict[int, None] = {}
        self._compilers: dict[int, str] = {}
        self._build_seconds: list[float] = []
        self._run_seconds: list[tuple[float, ...]] = []
        self._test_seconds: list[float] = []
        self.spent = 0.0
        """Wall-clock seconds of all sessions so far."""

    def add(self, index: int, tested: CommitResult) -> None:
        """Take in what one session found at a commit (GOOD_END for A)."""
        self._tried.setdefault(index)
        self.spent += tested.build_seconds + tested.test_seconds
        if tested.compiler:
            self._compilers[index] = tested.compiler
        if tested.build_seconds and not tested.cached:
            self._build_seconds.append(tested.build_seconds)
        if seconds := tuple(run.own_seconds for run in tested.runs if run.seconds):
            self._run_seconds.append(seconds)
            self._test_seconds.append(tested.test_seconds)
        if tested.never:
            self._never.append(index)
        if not tested.runs and (tested.build_error or not tested.signature):
            self._kernel_of.setdefault(index, _FAILED)
            return
        self._join(index, tested.signature)
        self._own_runs.setdefault(index, []).extend(tested.runs)
        self._tallies.pop(self._kernel_of[index], None)
        self._take_values(tested.runs)
        if index == self.reported:
            self._bad_runs.extend(tested.runs)
            self._settle_reference()
        elif index == self._clean or (index < 0 and self._trusted):
            self._settle_reference()
        elif self.count(tested.runs).credited and self.counts(index).matching >= SURELY_BAD:
            self._by_other_names += [
                report
                for run in tested.runs
                for report in self._expected.own([run], self._matcher)
                if self._matcher(report, self._reference) is not Match.UNRELATED
            ]
            self._settle_reference()
        if index != self.reported and self._tells_bugs_apart(tested.runs):
            self._settle_reference()
        if self._is_unlike_itself(index):
            self._tell_apart(self.signature(index))

    def imagine(self, index: int, outcome: Outcome, times: int) -> Evidence:
        """A copy in which these runs were made too; this evidence stays as it is."""
        other = deepcopy(self, {id(self.history): self.history})
        title = next(iter(sorted(self._reference.main)), "")
        run = Run(outcome, title=title)
        if self.contrast is not None:
            like_bad = outcome.shows_symptom
            usual = median(self.contrast.bad if like_bad else self.contrast.good)
            run = Run(Outcome.OK, metric=self.metric, values=(usual,))
        signature = self.signature(index) or f"imagined {index}"
        other.add(index, CommitResult("", (run,) * times, signature))
        return other

    # -- metrics -------------------------------------------------------------------------------------

    @property
    def measures(self) -> bool:
        """Whether runs are judged by what they measure."""
        return bool(self.metric) or METRIC in self._looked_for

    @property
    def other_end(self) -> int:
        """The end of the range without the bug."""
        return self.history.bad_end if self.reported == GOOD_END else GOOD_END

    def values(self, index: int) -> tuple[float, ...]:
        """What the runs of the commit's kernel have measured, one value for each."""
        return _values(self.runs(index))

    def own_values(self, index: int) -> tuple[float, ...]:
        """The same of runs that were made at this very commit."""
        return _values(self._own_runs.get(index, ()))

    @property
    def contrast(self) -> Contrast | None:
        """The metric at both ends; None until both have values."""
        if not self.metric or self.walking:
            return None
        if self._contrast is None:
            bad, good = self.values(self.reported), self.values(self.other_end)
            if not bad or not good:
                return None
            samples = [_values(self.runs(members[0])) for members in self._commits.values() if members]
            self._contrast = Contrast(bad, good, self._higher, spread(samples))
        return self._contrast

    @property
    def _higher(self) -> bool:
        return self.metric.endswith(HIGHER)

    def _take_values(self, runs: Iterable[Run]) -> None:
        """Other values change the scale on which all are judged."""
        for run in runs:
            if run.metric:
                self.metric, self._contrast = run.metric, None
                self._tallies.clear()

    def _judged(self, counts: RunCounts, values: tuple[float, ...]) -> RunCounts:
        """The counts of runs with these values, by what the values are like."""
        bad = self.values(self.reported) if self.walking else ()
        if self.walking:
            same = values == bad
            verdict = Verdict.BAD if same else like(values, bad, higher=self._higher, enough=ENOUGH_ALIKE)
        else:
            verdict = self.contrast.verdict(values) if self.contrast else Verdict.SKIP
        return counts.judged(len(values), verdict)

    @property
    def runs_to_see(self) -> int:
        """Runs after which a kernel with the bug has shown it: of a metric as many as its ends needed."""
        contrast = self.contrast
        if contrast is not None:
            return min(len(contrast.bad), len(contrast.good))
        return enough_runs(crash_chance(self.counts(self.reported)))

    # -- kernels ---------------------------------------------------------------------------------------

    def _join(self, index: int, signature: str) -> None:
        """Make the commit one of its kernel: the one of its signature, or one of its own."""
        known = self._kernel_of.get(index, _FAILED)
        kernel: object = index if known is _FAILED else known
        if signature:
            # A commit that gives another signature than the last time (a compiler was updated) takes
            # its runs along: they were its own all the same.
            kernel = index if signature in self._unlike else signature
            self._signatures[index] = signature
        if known is not kernel and known in self._commits:
            self._commits[known].remove(index)
            self._tallies.pop(known, None)
        members = self._commits.setdefault(kernel, [])
        if index not in members:
            members.append(index)
        self._kernel_of[index] = kernel

    def _is_unlike_itself(self, index: int) -> bool:
        """Whether runs at this commit and at others that give the same kernel are of one kernel hardly ever.

        What decides is then not in the signature: a fault of the build, or of the signature itself.
        """
        members = self.same_kernel(index)
        if len(members) < 2 or self.measures:
            return False
        own = self.own_counts(index)
        # Counted for themselves: what a run says may depend on those it is counted with.
        others = self.count(run for i in members if i != index for run in self._own_runs.get(i, ()))
        # How often the bug crashes is known from where it was reported, if that is another kernel.
        known = RunCounts() if self.reported in members else self.own_counts(self.reported)
        apart = max(
            _where_it_is(own, known) + _where_it_is_not(others),
            _where_it_is_not(own) + _where_it_is(others, known),
        )
        both = RunCounts(matching=own.matching + others.matching, ok=own.ok + others.ok)
        return apart - max(_where_it_is(both, known), _where_it_is_not(both)) > log(UNLIKE)

    def _tell_apart(self, signature: str) -> None:
        """Commits of this signature share no evidence any more."""
        self._unlike.add(signature)
        for index in self._commits.pop(signature, []):
            self._kernel_of[index] = index
            self._commits[index] = [index]
        self._tallies.pop(signature, None)

    def _tells_bugs_apart(self, runs: Iterable[Run]) -> bool:
        """Whether a run shows that a report like the bug's is another bug's: the bug's own came after it."""
        found: set[str] = set()
        for run in runs:
            matches = [self._matcher(report, self._reference) for report in run.shown]
            if Match.MATCH in matches:
                before = zip(run.shown, matches[: matches.index(Match.MATCH)], strict=False)
                found |= {report.title for report, match in before if match is Match.RELATED}
        new = found - self._beside - self._reference.titles
        self._beside |= new
        return bool(new)

    def _settle_reference(self) -> None:
        """Know the bug by the crashes of the commit it was reported on, and by its other names.

        What the good end shows as often is another bug's.
        """
        self.failure, known = self._known()
        if self._trusted:
            seen = {report.title for run in self._good_runs() for report in run.shown}
            shared = {title for title in seen - self._expected.titles if self._is_of_both_ends(title)}
            if known.main - shared:
                self.failure, known = self._known(frozenset(shared))
        self.path = path_of(self._own_runs.get(self.reported, ()), known, self._matcher)
        known = replace(known, path=self.path)
        if self._clean is not None:
            end = count_runs(self._own_runs.get(self._clean, ()), known, self._matcher)
            self.closed = end.silent > 0 and not end.informative
            if self.closed:
                known = replace(known, path=())
        if known != self._reference:
            self._reference = known
            self._tallies.clear()

    def _known(self, without: frozenset[str] = frozenset()) -> tuple[Failure, Reference]:
        """The failure that the bad runs show, and the reference that it makes."""
        if self._expected:  # the reproducer has said which reports are the bug's
            failure = Failure()
            own = [
                report
                for run in self._bad_runs
                for report in _each_once(self._expected.own([run], self._matcher))
            ]
        else:
            failure = failure_of(self._bad_runs, without)
            shown = [report for run in self._bad_runs for report in _each_once(naming_a_bug(run.shown))]
            own = [report for report in shown if report.title in failure.counted]
        known = self._expected.grown(
            [*own, *(report for report in self._by_other_names if report.title not in without)]
        )
        joined = {
            report.title: report
            for run in self._bad_runs
            for report in run.shown
            if report.title in failure.joined
        }
        known = known.joined_by(joined.values())
        self.others = {
            **dict.fromkeys(self._beside, "it came in the same run as the bug"),
            **dict.fromkeys(failure.independent, f"{failure.principal} came without it, and it without that"),
            **dict.fromkeys(without, "the good end shows it as often as the bad end"),
        }
        return failure, replace(known, others=frozenset(self.others))

    def _good_runs(self) -> tuple[Run, ...]:
        """The runs at the good end, and at what it contains: parents outside the range."""
        return tuple(run for i in self._tried if i < 0 for run in self._own_runs.get(i, ()))

    def _is_of_both_ends(self, title: str) -> bool:
        """Whether the good end shows this title no more rarely: more often, or as often by one chance."""
        good, bad = self._good_runs(), self.runs(self.reported)
        here, there = (
            sum(any(report.title == title for report in run.shown) for run in runs) for runs in (good, bad)
        )
        if here * len(bad) >= there * len(good):
            return True
        return likelier_apart((here, len(good) - here), (there, len(bad) - there)) <= 0

    @property
    def reference(self) -> Reference:
        return self._reference

    @property
    def wording(self) -> Wording:
        """How to speak of the failure: as of what was seen, before that as of what is looked for."""
        shown = {one.symptom for one in self._reference.examples if one.title in self._reference.main}
        return wording_of(shown or self._looked_for)

    @property
    def trusted(self) -> bool:
        """Whether the user knows the good end not to have the bug."""
        return self._trusted

    @property
    def expected_titles(self) -> tuple[str, ...]:
        """What a run need not go on after it has shown it."""
        return tuple(sorted(self._reference.main | self._reference.alt_titles))

    @property
    def tried(self) -> tuple[int, ...]:
        """Commits of the range, and GOOD_END, that a session was made at, in the order of the first of each.

        Parents outside the range are not among them: which commit is the culprit does not show there.
        """
        return tuple(i for i in self._tried if i >= GOOD_END)

    @property
    def built(self) -> tuple[int, ...]:
        """Of those the commits that built."""
        return tuple(i for i in self.tried if self._kernel_of[i] is not _FAILED)

    def builds(self, index: int) -> bool | None:
        """Whether the commit builds; None where nobody tried."""
        kernel = self._kernel_of.get(index)
        return None if kernel is None else kernel is not _FAILED

    @property
    def never(self) -> tuple[int, ...]:
        """Commits that never had the bug: neither they nor what they contain can be its fix."""
        return tuple(self._never)

    def runs(self, index: int) -> tuple[Run, ...]:
        """All runs of the commit's kernel, whichever commit they were made at."""
        return tuple(run for one in self.same_kernel(index) for run in self._own_runs.get(one, ()))

    def counts(self, index: int) -> RunCounts:
        """The runs of the commit's kernel, counted by what they say of the bug."""
        kernel = self._kernel_of.get(index, _FAILED)
        if kernel is _FAILED:
            return RunCounts()
        if kernel not in self._tallies:
            self._tallies[kernel] = self.count(self.runs(index))
        return self._tallies[kernel]

    def own_counts(self, index: int) -> RunCounts:
        """The runs made at this very commit."""
        return self.count(self._own_runs.get(index, ()))

    def usual_end(self, index: int) -> str:
        """What the commit's runs ended in most often, in words; empty where none of them says."""
        titles = Counter(run.title.partition("\n")[0] for run in self.runs(index) if run.title)
        return titles.most_common(1)[0][0] if titles else ""

    def known_by(self, run: Run) -> Run:
        """The run, known by the one of its reports that is nearest to the bug."""
        return known_by(run, self._reference, self._matcher)

    def count(self, runs: Iterable[Run]) -> RunCounts:
        """Count runs by what they say of the bug."""
        if not self.metric:
            return count_runs(runs, self._reference, self._matcher)
        made = tuple(runs)
        return self._judged(count_runs(made, self._reference, self._matcher), _values(made))

    def same_kernel(self, index: int) -> tuple[int, ...]:
        """The commits known to give this commit's kernel, itself included where it was built."""
        return tuple(self._commits.get(self._kernel_of.get(index, _FAILED), ()))

    def signature(self, index: int) -> str:
        """The kernel signature, empty where none is known."""
        return self._signatures.get(index, "")

    @property
    def known_kernels(self) -> frozenset[str]:
        """Signatures of kernels that were run: what is known of them holds for any commit that gives them."""
        return frozenset(
            kernel for kernel, members in self._commits.items() if isinstance(kernel, str) and members
        )

    def compiler(self, index: int) -> str:
        return self._compilers.get(index, "")

    def prices(self, guess: Prices) -> Prices:
        """Seconds measured here; `guess` where nothing was measured yet.

        Medians: the first build from scratch says nothing about the ones that follow, and a hung
        guest nothing about the others.
        """
        build = median(self._build_seconds) if self._build_seconds else guess.build
        if not self._run_seconds:
            return replace(guess, build=build)
        waves = [ceil(len(runs) / guess.width) * fmean(runs) for runs in self._run_seconds]
        besides = [max(0.0, all_ - runs) for all_, runs in zip(self._test_seconds, waves, strict=True)]
        run = median(chain.from_iterable(self._run_seconds))
        return Prices(build=build, run=run, width=guess.width, session=median(besides))


def _values(runs: Iterable[Run]) -> tuple[float, ...]:
    return tuple(value for run in runs if (value := run.value) is not None)


def _each_once(reports: Iterable[Report]) -> Iterable[Report]:
    """The first of the reports of each title."""
    return {report.title: report for report in reversed(tuple(reports))}.values()


def _where_it_is(counts: RunCounts, known: RunCounts) -> float:
    """Log-probability of these runs with the bug, of whose crash chance `known` is all that is known."""
    together = chance_of(known.matching + counts.matching, known.ok + counts.ok)
    return together - chance_of(known.matching, known.ok)


def _where_it_is_not(counts: RunCounts) -> float:
    """The same without it."""
    return counts.matching * log(_NOISE) + counts.ok * log1p(-_NOISE)
