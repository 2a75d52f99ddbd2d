"""What holds for each build of a session or a bisection, whoever starts it and whatever for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kbisect.kernel.patches import Patch


@dataclass(frozen=True, slots=True)
class BuildRules:
    """`store_limit` is in bytes of built kernels.

    `full`: nothing is left out because of lists of the files that a build has read. Each commit is configured
    and built, make enters all directories, and no kernel that was built otherwise is taken from the store.
    `patches` are applied to each commit that is built.
    """

    store_limit: int
    full: bool = False
    patches: tuple[Patch, ...] = ()
