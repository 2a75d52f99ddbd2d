"""What holds for each build of a session or a bisection, whoever starts it and whatever for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuildRules:
    """`store_limit` is in bytes of built kernels.

    `full`: nothing is left out because of lists of the files that a build has read. Each commit is configured
    and built, make enters all directories, and no kernel that was built otherwise is taken from the store.
    """

    store_limit: int
    full: bool = False
