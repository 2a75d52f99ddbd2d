"""The search for a good end: release tags are tested backwards until one does not crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.evidence.outcome import Verdict
from pytest_kbisect.evidence.verdict import crash_chance, enough_runs
from pytest_kbisect.strategies.bayes.alone import MOST_RUNS, SURE, verdict
from pytest_kbisect.strategies.bayes.ends import ALONE, STAGES
from pytest_kbisect.strategies.bayes.testable import boot_failures, is_dead, is_mute
from pytest_kbisect.strategies.release_tags import WalkEnd, walk
from pytest_kbisect.strategies.strategy import Answer, AnswerKind, Experiment, Strategy

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.history.candidates import History
    from pytest_kbisect.strategies.release_tags import Release, Walk


LAST_SURE = 0.99
"""The required certainty that the oldest release is bad. No older release can be tested after it."""


class ReleaseWalk(Strategy):
    """A strategy over a line of releases, with the bad end last. The answer is a good release.

    `opening` is the strategy that decides how the bad end is tested. `chosen` are the releases worth testing,
    newest first; in the history each is the commit that it names. `bad` are the tags from which a search has
    already started and shown that they crash too.
    """

    name = "releases"

    def __init__(
        self, history: History, chosen: Sequence[Release], opening: Strategy, bad: Collection[str] = ()
    ) -> None:
        self.history = history
        self.chosen = tuple(chosen)
        self._opening = opening
        self._bad = frozenset(bad)
        # The history is oldest first, the releases are newest first, and the bad end is not a release.
        self._index = {release.tag: len(chosen) - 1 - n for n, release in enumerate(chosen)}

    def decide(self, evidence: Evidence) -> Experiment | Answer:
        opening = self._opening.decide(evidence)
        end = self.history.bad_end
        if isinstance(opening, Experiment) and opening.commit == end:
            return opening
        if not evidence.counts(end).matching:
            return opening
        step = self.step(evidence)
        if step.test is not None:
            return self._experiment(step.test, evidence)
        return self._answer(step, evidence)

    def conclude(self, evidence: Evidence) -> Answer:
        """The answer so far, if the search must stop early."""
        bad = self.step(evidence).bad if evidence.counts(self.history.bad_end).matching else None
        seen = f"{bad} {evidence.wording.has} too" if bad else "none was tested"
        return Answer(AnswerKind.UNTESTABLE, reason=f"stopped before a good release was found; {seen}")

    def step(self, evidence: Evidence) -> Walk:
        """The state of the walk."""
        verdicts = dict.fromkeys(self._bad, Verdict.BAD)
        for release in self.chosen:
            found = self._verdict(evidence, self._index[release.tag])
            if found is not None:
                verdicts.setdefault(release.tag, found)
        return walk(self.chosen, verdicts)

    def _verdict(self, evidence: Evidence, index: int) -> Verdict | None:
        """The verdict on a release; None if it needs more runs."""
        builds = evidence.builds(index)
        if builds is None:
            return None
        if not builds:
            return Verdict.SKIP
        if evidence.measures:
            return _verdict_by_values(evidence, index)
        return verdict(
            evidence.counts(index),
            evidence.counts(self.history.bad_end),
            boot_failures=boot_failures(evidence),
            bad=SURE if index else LAST_SURE,
        )

    def _experiment(self, tag: str, evidence: Evidence) -> Experiment:
        index = self._index[tag]
        counts = evidence.counts(index)
        if evidence.measures:
            have = len(evidence.values(index))
            wanted = next((stage for stage in STAGES if stage > have), ALONE)
            return Experiment(index, wanted - have, reason=f"release {tag}: is it better than the bad end?")
        runs = enough_runs(crash_chance(evidence.counts(self.history.bad_end)))
        so_far = (
            f" ({counts.matching} of {counts.total} runs {evidence.wording.had} so far)"
            if counts.total
            else ""
        )
        reason = f"release {tag}: is it good?{so_far}"
        return Experiment(index, min(runs, MOST_RUNS - counts.total), stop_at_crash=True, reason=reason)

    def _answer(self, step: Walk, evidence: Evidence) -> Answer:
        words = evidence.wording
        if step.end is WalkEnd.FOUND and step.good is not None:
            good = self._index[step.good]
            return Answer(AnswerKind.GOOD_RELEASE, good, 1.0, reason=f"{step.good} {words.has_not}")
        if step.end is WalkEnd.OLDEST_BAD:
            reason = f"{step.bad}, the oldest release to test, {words.has} already"
            return Answer(AnswerKind.BAD_AT_OLDEST, reason=reason)
        if step.end is WalkEnd.NO_TAGS:
            reason = "the bad end contains no release tags to search for a good end: name a good end (A..B)"
            return Answer(AnswerKind.UNTESTABLE, reason=reason)
        seen = f"{step.bad} {words.has}, " if step.bad else ""
        reason = f"{seen}no older release can be tested: name a good end (A..B)"
        return Answer(AnswerKind.UNTESTABLE, reason=reason)


def _verdict_by_values(evidence: Evidence, index: int) -> Verdict | None:
    """The verdict on a release by what it measures, compared with the bad end; None if it needs more runs."""
    counts = evidence.counts(index)
    if is_mute(counts) or is_dead(counts, boot_failures(evidence)):
        return Verdict.SKIP
    if counts.unclear or not counts.informative:
        return None
    return Verdict.BAD if counts.matching else Verdict.GOOD
