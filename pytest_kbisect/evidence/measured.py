"""Compares measured values without assuming how they are distributed: differences, intervals, spread.

A sample has one value for each run of a kernel.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import chain
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SURE: Final = 5e-4
"""Chance of so different ranks between equal distributions, above which samples are not told apart."""
FEWEST: Final = 3
"""Values that a sample must have to be told apart from another one."""
_RANKED: Final = 8
"""Values from which on ranks can be that different by more than the last digit of their chance."""
_GAP: Final = 3.0
"""With fewer values two samples are told apart by a gap so many times as wide as the wider one of them. Of
two samples of three of one normal distribution, such a gap is between 1 in 2,000."""
_SEEN: Final = 3.3 + 0.84
"""Standard errors of a difference that is found in four of five tries at this chance."""
_NORMAL: Final = 1.4826
"""Standard deviations of a normal distribution in one median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How a sample differs from a `base`: the difference of medians, and whether chance is ruled out.

    `part` is the difference relative to the base's median; None if that is 0.
    """

    shift: float
    base: float
    sure: bool

    @property
    def part(self) -> float | None:
        return self.shift / abs(self.base) if self.base else None


def difference(sample: Sequence[float], base: Sequence[float]) -> Difference:
    """How one sample differs from another one. Both have a value at least."""
    middle = median(base)
    return Difference(median(sample) - middle, middle, _told_apart(sample, base))


def _told_apart(a: Sequence[float], b: Sequence[float]) -> bool:
    fewest = min(len(a), len(b))
    if fewest < FEWEST:
        return False
    if fewest >= _RANKED and rank_chance(a, b) < SURE:
        return True
    lower, upper = sorted((a, b), key=median)
    gap = min(upper) - max(lower)
    return gap > _GAP * max(max(one) - min(one) for one in (a, b))


def rank_chance(a: Sequence[float], b: Sequence[float]) -> float:
    """Chance that ranks differ so much between equal distributions (Mann and Whitney's test, two-sided).

    By the normal approximation, corrected for ties; 1 if all values are equal.
    """
    ordered = sorted(chain(a, b))
    n, m = len(a), len(b)
    ranks = sum(bisect_left(ordered, x) + bisect_right(ordered, x) + 1 for x in a) / 2
    off = abs(ranks - n * (n + m + 1) / 2) - 0.5
    ties = sum(count**3 - count for count in _runs_of_equal(ordered))
    variance = n * m / 12 * ((n + m + 1) - ties / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 1.0
    return math.erfc(max(0.0, off) / math.sqrt(2 * variance))


def _runs_of_equal(ordered: Sequence[float]) -> Iterable[int]:
    at = 0
    while at < len(ordered):
        end = bisect_right(ordered, ordered[at])
        yield end - at
        at = end


def spread(samples: Iterable[Sequence[float]]) -> float:
    """The spread that runs of one kernel have, of all kernels together: as a standard deviation, if normal.

    Outliers hardly matter. 0 if no kernel has two different values.
    """
    residuals = []
    for sample in samples:
        if len(sample) > 1:
            middle, factor = median(sample), math.sqrt(len(sample) / (len(sample) - 1))
            # One of them is no more than what makes the others add up: of three values, one is the median.
            residuals += sorted(factor * abs(value - middle) for value in sample)[1:]
    if not residuals:
        return 0.0
    usual = _NORMAL * median(residuals)
    return usual or math.sqrt(math.pi / 2) * fmean(residuals)


def visible(a: Sequence[float], b: Sequence[float]) -> float:
    """The difference of medians that would have been seen in four of five tries with so many values."""
    error = spread((a, b)) * math.sqrt(1 / len(a) + 1 / len(b))
    return _SEEN * error


def interval(sample: Sequence[float]) -> tuple[float, float]:
    """An interval that holds the median with 95 % (sign test); of fewer than 6 values, all of them."""
    ordered = sorted(sample)
    n, at, below = len(ordered), 0, 0.0
    while at < n // 2:
        below += math.comb(n, at) / 2**n
        if 2 * below > 0.05:
            break
        at += 1
    at = max(at - 1, 0)
    return ordered[at], ordered[n - 1 - at]


def percent(part: float | None) -> str:
    """A relative difference in words: +18 %, -3.2 %."""
    if part is None:
        return ""
    size = abs(100 * part)
    return f"{100 * part:+.{0 if size >= 10 else 1 if size >= 1 else 2}f} %"


def number(value: float) -> str:
    """A value for people: five digits."""
    return f"{value:.5g}" if abs(value) < 100_000 else f"{value:,.0f}"
