"""How well the values of a kernel's runs fit a level of a metric: their likelihood, with heavy tails.

Values are in units of the difference between the ends of the range: 0 is the level of the good end, 1 that of
the bad end. A run's value is distributed around its kernel's level as Student's t with four degrees of
freedom, but a few are anywhere: one run can only say so much. A kernel's own level differs a little from
that of its neighbours, because of how the linker has placed its code, and a few kernels are anywhere, too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Levels = NDArray[np.float64]

LEVELS: Final = tuple(round(-0.5 + 0.1 * step, 1) for step in range(21))
"""The levels that a kernel may have."""
_DEGREES: Final = 4.0
_T_CONSTANT: Final = 0.375  # density of Student's t with four degrees of freedom at 0
_ODD_RUN: Final = 0.02
"""Part of the runs whose value may be anything: a run says 1:2000 at most."""
_ODD_KERNEL: Final = 0.001
"""Part of the kernels whose level may be anything."""
PLACEMENT: Final = 0.05
"""How far the level of a kernel is usually from that of its neighbours, for no reason of interest."""
_OFFSETS: Final = PLACEMENT * np.array([-2.35, -1.25, -0.77, -0.37, 0.0, 0.37, 0.77, 1.25, 2.35])
"""Equally likely ones: the middles of ninths of Student's t with four degrees of freedom."""
LEAST_SCALE: Final = 0.02
"""A smaller spread of runs is not believed."""


@lru_cache(maxsize=4096)
def log_likelihoods(values: tuple[float, ...], scale: float) -> Levels:
    """Log-probability (density) of the values of one kernel's runs, at each of LEVELS.

    `scale` is the spread of runs. Values and scale are in units of the difference between the ends.
    """
    if not values:
        return np.zeros(len(LEVELS))
    scale = max(scale, LEAST_SCALE)
    centers = np.array(LEVELS)[:, None] + _OFFSETS
    z = (np.array(values)[:, None, None] - centers) / scale
    density = (1 - _ODD_RUN) * _T_CONSTANT / scale * (1 + z * z / _DEGREES) ** (-(_DEGREES + 1) / 2)
    anywhere = _ODD_RUN / (3.0 + 10.0 * scale)
    runs = np.log(density + anywhere).sum(axis=0)
    own = np.logaddexp.reduce(runs, axis=1) - np.log(len(_OFFSETS))
    odd = np.logaddexp.reduce(own) - np.log(len(LEVELS))
    found: Levels = np.logaddexp(np.log1p(-_ODD_KERNEL) + own, np.log(_ODD_KERNEL) + odd)
    found.flags.writeable = False
    return found


def log_ratio(values: tuple[float, ...], scale: float) -> float:
    """How much likelier (log) values are at the level of the bad end than at that of the good end."""
    logs = log_likelihoods(values, scale)
    return float(logs[LEVELS.index(1.0)] - logs[LEVELS.index(0.0)])
