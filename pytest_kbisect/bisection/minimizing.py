"""Before the search: the configuration that it builds with, found where the bug was reported.

The whole configuration shows the bug once. What a run executes there says which symbols the bug needs (see
kernel.minimize); a configuration of these is tried, and where it does not show the bug, the difference is
halved. Detectors that have nothing to do with the crash are left out in any case. Every try is an experiment
in the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from pytest_kbisect.bisection.config_tries import PHASE, ConfigTries
from pytest_kbisect.enrichment import attempt
from pytest_kbisect.evidence.reach import Reach, reach_of
from pytest_kbisect.kernel import config
from pytest_kbisect.kernel.minimize import detectors, kept, place
from pytest_kbisect.kernel.minimize.halving_groups import Group, fewest, most_steps
from pytest_kbisect.kernel.minimize.smaller import Smaller
from pytest_kbisect.symptoms.symptom import CRASH_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from pytest_kbisect.bisection.commit_request import CommitRequest
    from pytest_kbisect.bisection.config_wishes import ConfigWishes
    from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
    from pytest_kbisect.bisection.stages import Plan
    from pytest_kbisect.evidence.outcome import CommitResult
    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.minimize.detectors import Detector
    from pytest_kbisect.kernel.rules import BuildRules
    from pytest_kbisect.kernel.tree import LinuxTree
    from pytest_kbisect.reports.terminal import TerminalReporter

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Settled:
    """The configuration to search with: its text (empty: the user's own), its size, what it must have."""

    text: str = ""
    words: str = ""
    wanted: frozenset[str] = frozenset()


@dataclass(slots=True)
class ConfigSearch:
    """Finds it. `requests` are what is asked for, one for each configuration that reproducers name."""

    plan: Plan
    wishes: ConfigWishes
    requests: Sequence[ConfigRequest]
    rules: BuildRules
    tree: LinuxTree
    runner: ExperimentRunner
    say: TerminalReporter
    log: Path

    def run(self) -> Settled:
        """Find it; once it is known, the journal has it."""
        noted = self.runner.journal.noted(PHASE)
        if noted is None:
            settled = self._find()
            if not settled.text and not settled.words:
                return settled
            noted = {"text": settled.text, "words": settled.words, "wanted": sorted(settled.wanted)}
            self.runner.journal.note(PHASE, noted)
        settled = Settled(noted["text"], noted["words"], frozenset(noted["wanted"]))
        self.say.line(f"# configuration: {settled.words}")
        if settled.text and settled.wanted:
            keep = lambda: kept.save(self.tree.cache, self.requests[0], settled.wanted)  # noqa: E731
            attempt("the small configuration is not kept for other bugs", keep, None, self.say.note)
        return settled

    def _find(self) -> Settled:
        request = self.requests[0]
        values = config.values(request.base)
        tries = ConfigTries(self._commit, self.plan, self.runner, self.say)
        if not self.wishes.minimize:
            known = self._dropped(values, tries)
            costly = any(one.costly for one in (known if self.plan.crash else detectors.present(values)))
            if not request.base or self.wishes.keep or not costly or CRASH_NAME not in self.plan.symptoms:
                return Settled()
            if self.plan.crash:  # what it needs is known without a run
                return self._without_detectors(tries)
        elif found := self._known_one(tries):
            return found
        if not tries.begin("", "does the whole configuration show the bug?"):
            return (
                Settled(words="the whole one, which does not show the bug")
                if self.wishes.minimize
                else Settled()
            )
        if self.wishes.minimize and (found := self._from_what_runs(tries)):
            return found
        return self._without_detectors(tries)

    @property
    def _commit(self) -> str:
        ends = self.plan.ends
        return ends.good if self.plan.fix else ends.bad

    def _make(self, make: Callable[[Smaller], _Made]) -> _Made:
        """Something of the tree's own tools; the slot is free for builds again afterwards."""
        at = place.at(self.tree, self._commit, self.requests[0], self.rules, log=self.log)
        with at as opened:
            return make(Smaller(opened, self.requests))

    def _dropped(self, values: dict[str, str], tries: ConfigTries) -> tuple[Detector, ...]:
        """The detectors that the bug, as far as it is known, does not need."""
        return () if self.wishes.keep else detectors.unneeded(values, tries.crashes)

    # -- what may be there already ---------------------------------------------------------------------

    def _known_one(self, tries: ConfigTries) -> Settled | None:
        """The baseline, or what the last bug of this configuration needed, if that shows the bug."""
        baseline = self.wishes.baseline
        if baseline and tries.shows(baseline, "does the baseline configuration show the bug?"):
            return Settled(baseline, "the baseline, which shows the bug")
        wanted = kept.load(self.tree.cache, self.requests[0])
        if not wanted:
            return None
        values = config.values(self.requests[0].base)
        before = self._dropped(values, tries)
        text, words = self._small(wanted, before)
        if not tries.begin(text, "does what the last bug of this configuration needed show this one?"):
            return None
        dropped = self._dropped(values, tries)
        if dropped == before:
            return Settled(text, words, wanted)
        smaller, its_words = self._small(wanted, dropped)
        if tries.shows(smaller, "and without the detectors that have nothing to do with it?"):
            return Settled(smaller, its_words, wanted)
        return Settled(text, words, wanted)

    # -- what runs -------------------------------------------------------------------------------------

    def _small(self, wanted: Collection[str], dropped: Collection[Detector]) -> tuple[str, str]:
        """The smallest configuration with these symbols, and how large it is."""

        def make(smaller: Smaller) -> tuple[str, str]:
            text = smaller.of(wanted, dropped)
            return text, smaller.words(text)

        return self._make(make)

    def _from_what_runs(self, tries: ConfigTries) -> Settled | None:
        """The configuration of what a run executes; if that is too small, with half of the rest."""
        executed, why = tries.executed()
        if not executed:
            self.say.note(f"no smaller configuration: it is not known what a run executes: {why}")
            return None
        dropped = self._dropped(config.values(self.requests[0].base), tries)

        def first(smaller: Smaller) -> tuple[str, str, frozenset[str], tuple[Group, ...]]:
            wanted = smaller.needed_for(executed)
            text = smaller.of(wanted, dropped)
            return text, smaller.words(text), wanted, smaller.groups(text, executed, dropped)

        text, words, wanted, groups = self._make(first)
        self.say.line(f"# a run executes code of {len(executed)} objects: {words}")
        if tries.shows(text, "does a configuration of what a run executes show the bug?"):
            return Settled(text, words, wanted)
        return self._halved(tries, wanted, dropped, groups)

    def _halved(
        self,
        tries: ConfigTries,
        wanted: frozenset[str],
        dropped: tuple[Detector, ...],
        groups: tuple[Group, ...],
    ) -> Settled | None:
        """The smallest configuration that shows the bug between one that does not and the whole one.

        The detectors that were dropped are the first of what comes back.
        """
        levels = (Group("the detectors", frozenset()),) * bool(dropped) + groups
        made: dict[int, Settled] = {}

        def shows(count: int) -> bool | None:
            if tries.spent:
                self.say.note("the budget is spent: the search for a small configuration ends")
                return None
            more = wanted.union(*(level.symbols for level in levels[:count]))
            made[count] = Settled(*self._small(more, ()), more)
            names = ", ".join(level.name for level in levels[:count])
            return tries.shows(
                made[count].text, f"does it with {count} of {len(levels)} more groups ({names})?"
            )

        self.say.line(
            f"# it does not: halving the difference, {len(levels)} groups, at most {most_steps(len(levels))} steps"
        )
        return made.get(fewest(len(levels), shows))

    def _without_detectors(self, tries: ConfigTries) -> Settled:
        """The whole configuration without what the crash does not need, where that still shows the bug."""
        dropped = self._dropped(config.values(self.requests[0].base), tries)
        whole = Settled(words="the whole one" if self.wishes.minimize else "")
        if not any(one.costly for one in dropped) or tries.spent:
            return whole

        def make(smaller: Smaller) -> tuple[str, str]:
            text = smaller.without(dropped)
            return text, smaller.words(text)

        text, words = self._make(make)
        names = ", ".join(one.name for one in dropped)
        if tries.shows(text, f"does the whole configuration without {names} show the bug?"):
            return Settled(text, words)
        return replace(whole, words="the whole one, with all detectors")


def again_with_whole(order: CommitRequest, tested: CommitResult) -> CommitRequest | None:
    """The request of a commit once more, with the whole configuration; None where that is not called for.

    A symbol may have been split or renamed along the range: then the small configuration does not have the
    bug's code at a commit, and that its runs end well says nothing.
    """
    asks = order.configuration is None and order.phase != PHASE and order.watch
    if not asks or not tested.runs or any(run.outcome.shows_symptom for run in tested.runs):
        return None
    # A function that the source of this kernel has not: the source that it was built from may be too little.
    lost = [
        bool(set(run.absent) & set(order.watch[:1])) or reach_of(run, order.watch) is Reach.SILENT
        for run in tested.runs
    ]
    if not any(lost) or not all(lost):
        return None
    return replace(
        order,
        known=(),
        configuration="",
        reason=f"no run reaches {order.watch[0]} with the small configuration: again with the whole one",
    )
