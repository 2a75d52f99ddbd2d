"""`--kbisect-paths`: commits that touch some paths are looked at first; the others stay candidates.

What lies between two of them is not excluded: it has a small part of the prior, and runs that speak for it
win.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.history.ancestry import Weights
    from pytest_kbisect.history.candidates import History
    from pytest_kbisect.kernel.tree import LinuxTree

ELSEWHERE: Final = 0.05
"""Probability that the culprit touches none of the paths: the user may be wrong."""


def require(tree: LinuxTree, good: str, bad: str, paths: Sequence[str]) -> None:
    """Raise UsageError for a path that no commit of the range touches."""
    for path in paths:
        if not tree.touching(good, bad, [path]):
            raise UsageError(
                f"--kbisect-paths: no commit of {good[:12]}..{bad[:12]} touches {path}: "
                "name a file or folder as it is written from the top of the tree"
            )


def weights(
    tree: LinuxTree, good: str, history: History, paths: Sequence[str], *, first_parent: bool = False
) -> Weights | None:
    """The prior of each commit; None where no paths are named, or the history has none that touches them."""
    if not paths:
        return None
    bad = history.commits[history.bad_end]
    touching = tree.touching(good, bad, paths, first_parent=first_parent)
    on = np.array([sha in touching for sha in history.commits])
    if not on.any() or on.all():
        return None
    weights: Weights = np.where(on, (1 - ELSEWHERE) / on.sum(), ELSEWHERE / (~on).sum())
    return weights
