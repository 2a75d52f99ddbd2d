"""Classes of commits that no test distinguishes yet. The cost of inference grows with tests, not commits.

The probability that a commit is the culprit depends only on its prior and on which of the tested commits
contain it. Commits equal in both form a class. Each tested commit splits the classes that it contains in
part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_kbisect.history.ancestry import Ancestry, Flags, Weights


class Partition:
    """Classes of suspects. `inside[k]` states for each tested commit whether it contains class k.

    `counts[i, k]` is the number of commits of class k that commit i contains. A test of i separates them from
    the rest of the class.
    """

    def __init__(self, ancestry: Ancestry, prior: Weights) -> None:
        self._ancestry = ancestry
        self.tests: list[int] = []
        self.weights: list[float] = []
        self._members: list[Flags] = []
        self._inside: list[list[bool]] = []
        self._counts: list[NDArray[np.int64]] = []
        for weight in np.unique(prior[prior > 0]).tolist():
            members = prior == weight
            self._append(members, weight, [], ancestry.count(members))

    def _append(self, members: Flags, weight: float, inside: list[bool], counts: NDArray[np.int64]) -> None:
        self._members.append(members)
        self.weights.append(weight)
        self._inside.append(inside)
        self._counts.append(counts)

    def copy(self) -> Partition:
        """A copy that can be split without changing this one."""
        other = object.__new__(Partition)
        other._ancestry = self._ancestry
        other.tests, other.weights = list(self.tests), list(self.weights)
        other._members, other._counts = list(self._members), list(self._counts)
        other._inside = [list(row) for row in self._inside]
        return other

    def split(self, commit: int) -> None:
        """Separate the commits that this commit contains from those that it does not."""
        self.tests.append(commit)
        contained = self._ancestry.ancestors(commit)
        for k in range(len(self._members)):
            members = self._members[k]
            cut = members & contained
            hit = int(cut.sum())
            whole = int(members.sum())
            if 0 < hit < whole:
                counts = self._ancestry.count(cut)
                self._append(
                    members & ~contained, self.weights[k], [*self._inside[k], False], self._counts[k] - counts
                )
                self._members[k], self._counts[k] = cut, counts
            self._inside[k].append(hit > 0)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Whether a tested commit contains a class: classes x tests."""
        return np.array(self._inside, dtype=bool).reshape(len(self._members), len(self.tests))

    @property
    def sizes(self) -> NDArray[np.int64]:
        return np.array([int(members.sum()) for members in self._members], dtype=np.int64)

    @property
    def share(self) -> NDArray[np.float64]:
        """The part of each class that each commit contains: commits x classes.

        The last row is the good end, which contains no commits. The last column is all ones, for a bug that
        is older than the range.
        """
        share = np.zeros((len(self._members[0]) + 1, len(self._members) + 1))
        for k, (counts, size) in enumerate(zip(self._counts, self.sizes.tolist(), strict=True)):
            share[:-1, k] = counts / size
        share[:, -1] = 1.0
        return share

    def members(self, k: int) -> NDArray[np.int64]:
        """The commits of class k, oldest first."""
        return np.flatnonzero(self._members[k])
