"""A verdict that the user has from elsewhere: evidence that is believed to a stated degree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kbisect.evidence.outcome import Verdict


@dataclass(frozen=True, slots=True)
class KnownVerdict:
    """A commit (index into the history) is good or bad, as somebody says.

    `runs` is how often it was tried for that, where that is known: a flaky bug does not show in a few runs of
    a good verdict. `trust` is the probability that the verdict is right otherwise.
    """

    commit: int
    verdict: Verdict
    runs: int | None = None
    trust: float = 0.9
