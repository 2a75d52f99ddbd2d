"""What verdicts that the user has say: a factor for each class of suspects and each crash chance.

A verdict is right with its stated trust T, and else as likely good as bad: it is reliable with 2 T - 1. A
reliable one follows from its runs where their number is known, so that "good" after three runs says little of
a bug that shows in every tenth. It can be outvoted: T = 0.9 weighs as much as 9:1, whatever else is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_kbisect.evidence.outcome import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.evidence.known_verdict import KnownVerdict
    from pytest_kbisect.strategies.bayes.partition import Partition
    from pytest_kbisect.strategies.bayes.run_model import Matrix, RunModel


def log_factors(model: RunModel, partition: Partition, known: Sequence[KnownVerdict], *, fix: bool) -> Matrix:
    """Log-probability of all known verdicts by class (no culprit in the range last) and hypothesis.

    The partition must have been split at their commits.
    """
    inside = partition.inside
    total: Matrix = np.zeros((len(inside) + 1, len(model.log_prior)))
    for one in known:
        has_bug = np.append(inside[:, partition.tests.index(one.commit)] != fix, True)
        bad, good = (_log_probability(model, one, has_bug=has) for has in (True, False))
        total += np.where(has_bug[:, None], bad, good)
    return total


def _log_probability(model: RunModel, known: KnownVerdict, *, has_bug: bool) -> Matrix:
    """Log-probability that a commit which has the bug, or has it not, is called so, by hypothesis."""
    reliable = 2 * known.trust - 1
    runs = known.runs if known.verdict is Verdict.GOOD else None  # once seen, it does not matter how soon
    unseen = model.unseen(runs, has_bug=has_bug)
    says = unseen if known.verdict is Verdict.GOOD else 1 - unseen
    return np.asarray(np.log(reliable * says + (1 - reliable) / 2))
