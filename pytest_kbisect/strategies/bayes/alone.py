"""Judges one commit by its own runs and those at the commit on which the bug was reported."""

from __future__ import annotations

from functools import cache

import numpy as np

from pytest_kbisect.evidence.outcome import Verdict
from pytest_kbisect.evidence.run_counts import RunCounts
from pytest_kbisect.strategies.bayes.crashchance import CrashChance
from pytest_kbisect.strategies.bayes.posterior import RELATED_IS_BUG, by_another_bug
from pytest_kbisect.strategies.bayes.testable import hardly_speaks, is_dead

MOST_RUNS = 200
"""After this many runs at one commit its verdict is final."""
SURE = 0.9
"""The required certainty of a verdict that later evidence can still correct."""


def verdict(
    counts: RunCounts, reported: RunCounts, *, boot_failures: float, bad: float = SURE, good: float = SURE
) -> Verdict | None:
    """The verdict on a commit by its runs; None if more runs are needed.

    A few ok runs prove little about a rare crash, a single crash proves little if there is noise, and runs
    with another outcome prove nothing. `bad` and `good` are the required certainties of these verdicts.
    """
    if _says_nothing(counts) or is_dead(counts, boot_failures):
        return Verdict.SKIP
    bug = chance_of_bug(counts, reported)
    if 1 - good < bug < bad and counts.total < MOST_RUNS and counts.credited <= counts.informative:
        return None
    return Verdict.BAD if bug > 1 / 2 else Verdict.GOOD


def _says_nothing(counts: RunCounts) -> bool:
    """Whether too many runs have other outcomes to wait for runs that are evidence about the bug."""
    return hardly_speaks(counts) or (not counts.informative and 2 * counts.infra_failed > counts.total)


def chance_of_bug(counts: RunCounts, reported: RunCounts, clean: RunCounts | None = None) -> float:
    """Probability that a commit with these counts has the bug, starting at even odds.

    `clean` are the runs of a commit that is known not to have it: they measure the noise.
    """
    clean = clean or RunCounts()
    bad, good = _scores(counts, reported, clean)
    if counts.credited:
        if_bug = _scores(counts.crediting_related(), reported, clean)
        by_another = np.log1p(-RELATED_IS_BUG) + by_another_bug(counts)
        bad = np.logaddexp(np.log(RELATED_IS_BUG) + if_bug[0], by_another + bad)
        good = np.logaddexp(np.log(RELATED_IS_BUG) + if_bug[1], by_another + good)
    return float(1 / (1 + np.exp(np.clip(good - bad, -700, 700))))


@cache
def _model() -> CrashChance:
    return CrashChance()


def _scores(counts: RunCounts, reported: RunCounts, clean: RunCounts) -> tuple[float, float]:
    """Log-probability of these runs if the commit has the bug, and if it does not."""
    known, _ = _model().log_likelihood(reported.matching, reported.ok)
    _, noise = _model().log_likelihood(clean.matching, clean.ok)
    bad, good = _model().log_likelihood(counts.matching, counts.ok)
    prior = _model().log_prior + known + noise
    return float(np.logaddexp.reduce(prior + bad)), float(np.logaddexp.reduce(prior + good))
