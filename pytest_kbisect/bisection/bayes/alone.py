"""What the runs at one commit say by themselves, beside those at the commit the bug was reported on."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.bisection.bayes.crashchance import CrashChance
from pytest_kbisect.bisection.bayes.posterior import KIN, by_another_bug

if TYPE_CHECKING:
    from pytest_kbisect.bisection.tally import Tally

MOST_RUNS = 200
"""Runs at one commit after which what they say is left as it is."""


def chance_of_bug(tally: Tally, reported: Tally) -> float:
    """Probability that a commit of this tally has the bug, starting at even odds."""
    bad, good = _scores(tally, reported)
    if tally.kin:
        if_kin = _scores(tally.counting_kin(), reported)
        by_another = np.log1p(-KIN) + by_another_bug(tally)
        bad = np.logaddexp(np.log(KIN) + if_kin[0], by_another + bad)
        good = np.logaddexp(np.log(KIN) + if_kin[1], by_another + good)
    return float(1 / (1 + np.exp(np.clip(good - bad, -700, 700))))


@cache
def _model() -> CrashChance:
    return CrashChance()


def _scores(tally: Tally, reported: Tally) -> tuple[float, float]:
    """Log-probability of these runs where the commit has the bug, and where it has not."""
    known, _ = _model().log_likelihood(reported)
    bad, good = _model().log_likelihood(tally)
    prior = _model().log_prior + known
    return float(np.logaddexp.reduce(prior + bad)), float(np.logaddexp.reduce(prior + good))
