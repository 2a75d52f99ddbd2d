"""What is known of a range so far, in a reader's words: commits by hash and title, verdicts, witnesses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_kbisect.evidence.outcome import CommitResult, Outcome, merged
from pytest_kbisect.evidence.reach import Reach, reach_of
from pytest_kbisect.evidence.witness import Witness, watched_functions, witness_of
from pytest_kbisect.history.candidates import GOOD_END
from pytest_kbisect.strategies.strategy import verdict_of

if TYPE_CHECKING:
    from pytest_kbisect.evidence.by_kernel import Evidence
    from pytest_kbisect.evidence.outcome import Verdict
    from pytest_kbisect.history.candidates import History
    from pytest_kbisect.strategies.strategy import Strategy

SLICES = 100
"""Parts of the range for which the journal keeps how likely the culprit is there, for pictures."""
_SLIGHT = 1e-4
"""Chances this much smaller than the greatest are not drawn."""


class SearchState:
    """`good` is the hash of the range's good end; commits are indices into the history."""

    def __init__(self, good: str, history: History, evidence: Evidence, strategy: Strategy) -> None:
        self.good = good
        self.history = history
        self.evidence = evidence
        self.strategy = strategy
        self.found: dict[int, CommitResult] = {}
        """All that was found, by commit, in the order in which commits were first tried."""

    def add(self, tested: CommitResult) -> None:
        """Take in what a session found."""
        index = self.index(tested.commit)
        self.evidence.add(index, tested)
        self.found[index] = merged(self.found[index], tested) if index in self.found else tested

    def index(self, sha: str) -> int:
        """A commit by its hash. Raises KeyError for one that is neither of the range nor beside it."""
        index = GOOD_END if sha == self.good else self.history.index(sha)
        if index is None:
            raise KeyError(sha)
        return index

    def sha(self, index: int) -> str:
        return self.good if index == GOOD_END else self.history.sha(index)

    def title(self, index: int) -> str:
        return f"({self.history.title(index)})" if index < 0 else self.history.title(index)

    def parent_of(self, culprit: int | None) -> int | None:
        """The first parent of a culprit; None where there is no culprit."""
        if culprit is None:
            return None
        parents = self.history.parents[culprit]
        return parents[0] if parents else GOOD_END

    def verdict(self, index: int) -> Verdict:
        """What git bisect would be told of a tested commit."""
        if index < GOOD_END:  # a parent outside the range is no commit that a strategy asks for
            return verdict_of(self.evidence.counts(index))
        return self.strategy.verdict(self.evidence, index)

    @property
    def clean_end(self) -> int:
        """The end of the range that should not have the bug."""
        return self.history.bad_end if self.evidence.reported == GOOD_END else GOOD_END

    @property
    def stack(self) -> tuple[str, ...]:
        """The functions of the crash, once it was seen at the commit it was reported on."""
        seen = self.found.get(self.evidence.reported)
        crash = (
            next((run for run in seen.runs if self.evidence.count([run]).matching), None) if seen else None
        )
        return watched_functions(self.evidence.known_by(crash)) if crash else ()

    def unreached(self, index: int) -> bool:
        """Whether no run at a commit that ended well came to the bug's code, as far as that is known."""
        path = self.evidence.path
        ends = {reach_of(run, path) for run in self.evidence.runs(index) if run.outcome is Outcome.OK}
        return Reach.SILENT in ends and Reach.REACHED not in ends

    def witness(self, index: int) -> Witness:
        """What the runs at a commit executed of the crash's functions."""
        tested = self.found.get(index)
        return witness_of(self.evidence.path, tested.runs) if tested else Witness()

    def twin(self, tested: CommitResult, index: int) -> str:
        """The commit whose kernel this one shares, where it was not run again for that reason."""
        if tested.runs or tested.build_error:
            return ""
        twins = (
            i for i in self.evidence.built if i != index and self.evidence.signature(i) == tested.signature
        )
        return next((self.sha(i) for i in twins), "")

    def belief(self) -> dict[str, Any]:
        """How likely each commit is now, for those who look back: the likeliest, and slices of the range.

        The slices begin at position `start` and are `width` commits each.
        """
        crashed = self.evidence.counts(self.evidence.reported).matching
        each = self.strategy.likelihood(self.evidence) if crashed else None
        if each is None:
            return {}
        suspects = self.strategy.credible_set(self.evidence)
        held = np.flatnonzero(each > _SLIGHT * each.max(initial=0.0))
        low, high = (int(held[0]), int(held[-1]) + 1) if len(held) else (0, len(each))
        width = max(1, -(-(high - low) // SLICES))
        slices = [each[at : min(at + width, high)] for at in range(low, high, width)]
        return {
            "belief": {
                "candidates": len(suspects),
                "top": [[self.sha(i), self.title(i), round(p, 4)] for i, p in suspects[:5]],
                "start": low,
                "width": width,
                "spread": [round(float(part.sum()), 4) for part in slices],
            }
        }
