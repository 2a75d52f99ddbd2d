"""What the runs at one commit say by themselves, beside those at the commit the bug was reported on."""

from __future__ import annotations

from functools import cache

import numpy as np

from pytest_kbisect.evidence.outcome import Verdict
from pytest_kbisect.evidence.run_counts import RunCounts
from pytest_kbisect.strategies.bayes.crashchance import CrashChance
from pytest_kbisect.strategies.bayes.posterior import RELATED_IS_BUG, by_another_bug
from pytest_kbisect.strategies.bayes.testable import hardly_speaks, is_dead

MOST_RUNS = 200
"""Runs at one commit after which what they say is left as it is."""
SURE = 0.9
"""How sure a verdict is that something weighs again, or goes back on, later."""


def verdict(
    counts: RunCounts, reported: RunCounts, *, boot_failures: float, bad: float = SURE, good: float = SURE
) -> Verdict | None:
    """What is made of a commit by its runs; None where more of them are wanted.

    A few runs that end ok prove little of a rare crash, a single crash little where there is noise, and
    runs that end otherwise nothing. `bad` and `good` are how sure these verdicts must be.
    """
    if _says_nothing(counts) or is_dead(counts, boot_failures):
        return Verdict.SKIP
    bug = chance_of_bug(counts, reported)
    if 1 - good < bug < bad and counts.total < MOST_RUNS and counts.credited <= counts.informative:
        return None
    return Verdict.BAD if bug > 1 / 2 else Verdict.GOOD


def _says_nothing(counts: RunCounts) -> bool:
    """Whether runs end in too much else to wait for those that say something of the bug."""
    return hardly_speaks(counts) or (not counts.informative and 2 * counts.infra_failed > counts.total)


def chance_of_bug(counts: RunCounts, reported: RunCounts, clean: RunCounts | None = None) -> float:
    """Probability that a commit with these counts has the bug, starting at even odds.

    `clean` are runs of a commit that is known not to have it: they say how much noise there is.
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
    """Log-probability of these runs where the commit has the bug, and where it has not."""
    known, _ = _model().log_likelihood(reported.matching, reported.ok)
    _, noise = _model().log_likelihood(clean.matching, clean.ok)
    bad, good = _model().log_likelihood(counts.matching, counts.ok)
    prior = _model().log_prior + known + noise
    return float(np.logaddexp.reduce(prior + bad)), float(np.logaddexp.reduce(prior + good))
