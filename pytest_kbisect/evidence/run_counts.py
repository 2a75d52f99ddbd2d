"""Counted runs: what the runs of one kernel say of the bug."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import lgamma, log, pi
from typing import TYPE_CHECKING

from pytest_kbisect.evidence.outcome import Outcome, Verdict
from pytest_kbisect.evidence.reach import (
    Reach,
    is_cleared,
    is_not_heard,
    reach_of,
    went_past_other_bugs,
    went_past_statement,
)
from pytest_kbisect.evidence.reference import (
    Match,
    Matcher,
    Reference,
    is_of_the_harness,
    match_names,
    match_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.evidence.outcome import Run


@dataclass(frozen=True, slots=True)
class RunCounts:
    """Counted runs of one kernel. Only `matching` and `ok` are evidence.

    `unclear` runs have measured a metric, and the values of the kernel are like those of neither end.

    `silent` runs could not have shown the bug: they ended well without executing the code that it is in, or
    say so themselves (a subtest was skipped).
    """

    matching: int = 0
    ok: int = 0
    related: int = 0
    unrelated: int = 0
    boot_failed: int = 0
    infra_failed: int = 0
    silent: int = 0
    unclear: int = 0

    @property
    def total(self) -> int:
        return self.booted + self.boot_failed + self.infra_failed

    @property
    def booted(self) -> int:
        """Runs whose kernel came up, whatever they showed."""
        return self.informative + self.related + self.unrelated + self.silent

    @property
    def informative(self) -> int:
        """Runs that are evidence, whatever the related crashes are."""
        return self.matching + self.ok + self.unclear

    @property
    def credited(self) -> int:
        """Related crashes that may be the bug's: all of them, if they outnumber unrelated ones, else none.

        Of syzbot's commits where nearly all crashes were related ones, 8 of 8 had the bug; of the others,
        0 of 4.
        """
        return self.related if self.related > self.unrelated else 0

    def crediting_related(self) -> RunCounts:
        """As if the related crashes were the bug's own."""
        return replace(self, matching=self.matching + self.credited, related=self.related - self.credited)

    def judged(self, measured: int, verdict: Verdict) -> RunCounts:
        """With the `measured` runs, which are among those that ended well, counted as their kernel is."""
        measured = min(measured, self.ok)  # none of them is, where most runs failed for reasons of the host
        counts = replace(self, ok=self.ok - measured)
        if verdict is Verdict.BAD:
            return replace(counts, matching=counts.matching + measured)
        if verdict is Verdict.GOOD:
            return replace(counts, ok=self.ok)
        return replace(counts, unclear=measured)


def count_runs(runs: Iterable[Run], reference: Reference, matcher: Matcher = match_names) -> RunCounts:
    """Count runs by what they say of the bug with this reference.

    Where most runs fail for the test machine's reasons, the ok ones are no evidence either: they are
    a selection, and a crash may be what felled the others.
    """
    crashes: Counter[Match] = Counter()
    outcomes: Counter[Outcome] = Counter()
    reached: Counter[Reach] = Counter()
    said_nothing = 0
    for run in runs:
        if run.outcome.shows_symptom:
            match = match_of(run, reference, matcher)
            if match is not Match.MATCH and is_of_the_harness(run):
                outcomes[Outcome.INFRA_FAILED] += 1
            elif (
                (match is Match.UNRELATED and went_past_other_bugs(run, reference))
                or (match is Match.RELATED and went_past_statement(run, reference))
                or (match is not Match.MATCH and is_cleared(run, reference))
            ):
                outcomes[Outcome.OK] += 1
                reached[Reach.REACHED] += 1
            else:
                crashes[match] += 1
        elif run.outcome is Outcome.SILENT or is_not_heard(run, reference):
            said_nothing += 1
        else:
            outcomes[run.outcome] += 1
            if run.outcome is Outcome.OK:
                reached[reach_of(run, reference.path)] += 1
    silent = _silent(reached)
    if 2 * outcomes[Outcome.INFRA_FAILED] > crashes.total() + outcomes.total() + said_nothing:
        outcomes[Outcome.INFRA_FAILED] += outcomes.pop(Outcome.OK, 0)
        silent = 0
    return RunCounts(
        matching=crashes[Match.MATCH],
        ok=outcomes[Outcome.OK] - silent,
        related=crashes[Match.RELATED],
        unrelated=crashes[Match.UNRELATED],
        boot_failed=outcomes[Outcome.BOOT_FAILED],
        infra_failed=outcomes[Outcome.INFRA_FAILED],
        silent=silent + said_nothing,
    )


def _silent(reached: Counter[Reach]) -> int:
    """How many of the runs that ended well did not come to the bug's code.

    Those of which that is not known are divided as the others are.
    """
    silent, heard = reached[Reach.SILENT], reached[Reach.REACHED]
    if not silent:
        return 0
    return silent + round(reached[Reach.UNKNOWN] * silent / (silent + heard))


def chance_of(crashes: int, others: int) -> float:
    """Log-probability of one order of so many crashes and other runs, where the crash chance may be any.

    (The estimator of Krichevsky and Trofimov: a Beta prior with both parameters one half.)
    """
    return lgamma(crashes + 0.5) + lgamma(others + 0.5) - lgamma(crashes + others + 1) - log(pi)


def likelier_apart(here: tuple[int, int], there: tuple[int, int]) -> float:
    """How many times likelier (log) two sets of runs are with a crash chance each than with one for both.

    Each set is how many crashed, and how many did not.
    """
    both = here[0] + there[0], here[1] + there[1]
    return chance_of(*here) + chance_of(*there) - chance_of(*both)
