"""What a metric is at each end of a range: the scale on which all other values are judged."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from typing import TYPE_CHECKING, Final

from pytest_kbisect.evidence import level_fit, measured
from pytest_kbisect.evidence.outcome import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.evidence.measured import Difference

_UNSURE: Final = 1.5
"""Standard errors of a spread by which it is taken to be larger."""
_FITS: Final = log(3.0)
"""How much likelier values must be at one end's level to be called that end's."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """The values of the end with the regression (`bad`), and of the other one.

    `higher`: higher values are worse. `spread` is that of runs of one kernel.
    """

    bad: tuple[float, ...]
    good: tuple[float, ...]
    higher: bool
    spread: float

    @property
    def difference(self) -> Difference:
        """How the bad end differs from the good one."""
        return measured.difference(self.bad, self.good)

    @property
    def worse(self) -> bool:
        """Whether the bad end is worse, and that is no chance."""
        found = self.difference
        return found.sure and (found.shift > 0) == self.higher

    @property
    def better(self) -> bool:
        """Whether the bad end is better, and that is no chance: the direction is wrong, or the ends are."""
        found = self.difference
        return found.sure and (found.shift > 0) != self.higher

    @property
    def constant(self) -> bool:
        """Whether all runs at both ends have measured the same."""
        return len({*self.bad, *self.good}) == 1

    @property
    def scale(self) -> float:
        """The spread of runs in units of the difference between the ends.

        It is known from a few runs at first, and may be larger.
        """
        may_be = 1 + _UNSURE / sqrt(len(self.bad) + len(self.good))
        return may_be * self.spread / abs(self.difference.shift)

    def levels(self, values: Iterable[float]) -> tuple[float, ...]:
        """Values in units of the difference: 0 is the good end's, 1 the bad end's."""
        found = self.difference
        return tuple((value - found.base) / found.shift for value in values)

    def verdict(self, values: tuple[float, ...]) -> Verdict:
        """Which end the values of a kernel are like."""
        if not values or not self.worse:
            return Verdict.SKIP
        ratio = level_fit.log_ratio(self.levels(values), self.scale)
        return Verdict.BAD if ratio > _FITS else Verdict.GOOD if ratio < -_FITS else Verdict.SKIP


def like(values: tuple[float, ...], bad: tuple[float, ...], *, higher: bool, enough: int) -> Verdict:
    """Whether values are like those of the bad end, where there is no good one to compare them with.

    They are if so many values as are `enough` cannot be told apart from them, or are worse.
    """
    if not values or not bad:
        return Verdict.SKIP
    found = measured.difference(values, bad)
    if found.sure:
        return Verdict.BAD if (found.shift > 0) == higher else Verdict.GOOD
    return Verdict.BAD if min(len(values), len(bad)) >= enough else Verdict.SKIP
