"""What the runs at one commit say by themselves, beside those at the commit the bug was reported on."""

from __future__ import annotations

from functools import cache

import numpy as np

from pytest_kbisect.bisection.outcome import Verdict
from pytest_kbisect.bisection.run_counts import RunCounts
from pytest_kbisect.bisection.strategies.bayes.crashchance import CrashChance
from pytest_kbisect.bisection.strategies.bayes.posterior import KIN, by_another_bug
from pytest_kbisect.bisection.strategies.bayes.testable import hardly_speaks, is_dead

MOST_RUNS = 200
"""Runs at one commit after which what they say is left as it is."""
SURE = 0.9
"""How sure a verdict is that something weighs again, or goes back on, later."""


def verdict(
    tally: RunCounts, reported: RunCounts, *, boot_failures: float, bad: float = SURE, good: float = SURE
) -> Verdict | None:
    """What is made of a commit by its runs; None where more of them are wanted.

    A few runs that end ok prove little of a rare crash, a single crash little where there is noise, and
    runs that end otherwise nothing. `bad` and `good` are how sure these verdicts must be.
    """
    if _says_nothing(tally) or is_dead(tally, boot_failures):
        return Verdict.SKIP
    bug = chance_of_bug(tally, reported)
    if 1 - good < bug < bad and tally.total < MOST_RUNS and tally.kin <= tally.telling:
        return None
    return Verdict.BAD if bug > 1 / 2 else Verdict.GOOD


def _says_nothing(tally: RunCounts) -> bool:
    """Whether runs end in too much else to wait for those that say something of the bug."""
    return hardly_speaks(tally) or (not tally.telling and 2 * tally.infra_failed > tally.total)


def chance_of_bug(tally: RunCounts, reported: RunCounts, clean: RunCounts | None = None) -> float:
    """Probability that a commit of this tally has the bug, starting at even odds.

    `clean` are runs of a commit that is known not to have it: they say how much noise there is.
    """
    clean = clean or RunCounts()
    bad, good = _scores(tally, reported, clean)
    if tally.kin:
        if_kin = _scores(tally.counting_kin(), reported, clean)
        by_another = np.log1p(-KIN) + by_another_bug(tally)
        bad = np.logaddexp(np.log(KIN) + if_kin[0], by_another + bad)
        good = np.logaddexp(np.log(KIN) + if_kin[1], by_another + good)
    return float(1 / (1 + np.exp(np.clip(good - bad, -700, 700))))


@cache
def _model() -> CrashChance:
    return CrashChance()


def _scores(tally: RunCounts, reported: RunCounts, clean: RunCounts) -> tuple[float, float]:
    """Log-probability of these runs where the commit has the bug, and where it has not."""
    known, _ = _model().log_likelihood(reported.matching, reported.ok)
    _, noise = _model().log_likelihood(clean.matching, clean.ok)
    bad, good = _model().log_likelihood(tally.matching, tally.ok)
    prior = _model().log_prior + known + noise
    return float(np.logaddexp.reduce(prior + bad)), float(np.logaddexp.reduce(prior + good))
