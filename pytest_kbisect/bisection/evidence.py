"""All that was seen so far, by kernel: what a strategy decides from.

Two commits with the same signature are the same kernel, so what was seen of one was seen of both.
Evidence is built by adding what sessions found, in order; the same order gives the same evidence,
and a journal is nothing else.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, replace
from enum import Enum
from statistics import median
from typing import TYPE_CHECKING, Final

from pytest_kbisect.bisection.outcome import Outcome, Run, Tested
from pytest_kbisect.bisection.reference import Match, Matcher, Reference, is_of_the_harness, match_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.bisection.history import History


SURELY_BAD: Final = 2
"""Crashes that match, from which on a commit has the bug and related crashes there are it by another name."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counted runs of one kernel. Only `matching` and `ok` speak; the rest is no evidence."""

    matching: int = 0
    ok: int = 0
    related: int = 0
    unrelated: int = 0
    boot_failed: int = 0
    infra_failed: int = 0

    @property
    def total(self) -> int:
        return self.matching + self.ok + self.related + self.unrelated + self.boot_failed + self.infra_failed

    @property
    def telling(self) -> int:
        """Runs that are evidence, whatever the related crashes are."""
        return self.matching + self.ok

    @property
    def kin(self) -> int:
        """Related crashes that may be the bug's. Beside as many strangers they are one more of them: of syzbot's
        commits where related crashes were nearly all there was, 8 of 8 had the bug; else 0 of 4.
        """
        return self.related if self.related > self.unrelated else 0

    def counting_kin(self) -> Tally:
        """As if the related crashes were the bug's own."""
        return replace(self, matching=self.matching + self.kin, related=self.related - self.kin)


@dataclass(frozen=True, slots=True)
class Prices:
    """Seconds a build and a wave of runs take; `width` runs go side by side in a wave."""

    build: float = 300.0
    run: float = 60.0
    width: int = 1


def tally_of(runs: Iterable[Run], reference: Reference, matcher: Matcher = match_names) -> Tally:
    """Count runs by what they say of the bug with this reference.

    Where most runs fail for the test machine's reasons, the ok ones are no evidence either: they are
    a selection, and a crash may be what felled the others.
    """
    crashes: Counter[Match] = Counter()
    outcomes: Counter[Outcome] = Counter()
    for run in runs:
        if run.outcome is Outcome.CRASHED:
            match = matcher(run, reference)
            if match is not Match.MATCH and is_of_the_harness(run):
                outcomes[Outcome.INFRA_FAILED] += 1
            else:
                crashes[match] += 1
        else:
            outcomes[run.outcome] += 1
    if 2 * outcomes[Outcome.INFRA_FAILED] > crashes.total() + outcomes.total():
        outcomes[Outcome.INFRA_FAILED] += outcomes.pop(Outcome.OK, 0)
    return Tally(
        matching=crashes[Match.MATCH],
        ok=outcomes[Outcome.OK],
        related=crashes[Match.RELATED],
        unrelated=crashes[Match.UNRELATED],
        boot_failed=outcomes[Outcome.BOOT_FAILED],
        infra_failed=outcomes[Outcome.INFRA_FAILED],
    )


class _Kernel(Enum):
    """What stands for a kernel where there is none; an enum stays itself when copied."""

    FAILED = "failed"


_FAILED: Final = _Kernel.FAILED


class Evidence:
    """What was seen of a history's commits (GOOD_END included), and of one bug.

    `reported` is the commit the bug was seen on: the bad end, or the good end (that is A) where the
    repair is looked for.

    `reference` may name crashes before anything was run (the reproducer says what to expect);
    otherwise every crash of the bad end belongs to the bug.
    """

    def __init__(
        self,
        history: History,
        *,
        matcher: Matcher = match_names,
        reference: Reference | None = None,
        reported: int | None = None,
    ) -> None:
        self.history = history
        self.reported = history.bad_end if reported is None else reported
        self._matcher = matcher
        self._expected = reference or Reference()
        self._reference = self._expected
        self._kernel_of: dict[int, object] = {}
        self._runs: dict[object, list[Run]] = {}
        self._commits: dict[object, list[int]] = {}
        self._tallies: dict[object, Tally] = {}
        self._order: dict[int, None] = {}
        self._compilers: dict[int, str] = {}
        self._build_seconds: list[float] = []
        self._run_seconds: list[float] = []
        self.spent = 0.0
        """Wall-clock seconds of all sessions so far."""

    def add(self, index: int, tested: Tested) -> None:
        """Take in what one session found at a commit (GOOD_END for A)."""
        self._order.setdefault(index)
        self.spent += tested.build_seconds + tested.test_seconds
        if tested.compiler:
            self._compilers[index] = tested.compiler
        if tested.build_seconds and not tested.cached:
            self._build_seconds.append(tested.build_seconds)
        self._run_seconds.extend(run.seconds for run in tested.runs if run.seconds)
        if not tested.runs and (tested.build_error or not tested.signature):
            self._kernel_of.setdefault(index, _FAILED)
            return
        kernel = self._join(index, tested.signature)
        self._runs[kernel].extend(tested.runs)
        self._tallies.pop(kernel, None)
        if index == self.reported:
            self._grow_reference(tested.runs)
        elif self.count(tested.runs).kin and self.tally(index).matching >= SURELY_BAD:
            self._grow_reference(run for run in tested.runs if self._is_kin(run))

    def imagine(self, index: int, outcome: Outcome, times: int) -> Evidence:
        """A copy in which these runs were made too; this evidence stays as it is."""
        other = deepcopy(self, {id(self.history): self.history})
        title = next(iter(sorted(self._reference.main)), "")
        signature = self.signature(index) or f"imagined {index}"
        other.add(index, Tested("", (Run(outcome, title=title),) * times, signature))
        return other

    def _join(self, index: int, signature: str) -> object:
        """The kernel of this commit: the one of its signature, or one of its own."""
        known = self._kernel_of.get(index, _FAILED)
        kernel: object = signature or (index if known is _FAILED else known)
        self._runs.setdefault(kernel, [])
        if known is not kernel and known is not _FAILED and known != kernel:
            # The commit gave another signature this time (a compiler was updated): the old runs
            # were its own all the same.
            self._runs[kernel].extend(self._runs[known])
        members = self._commits.setdefault(kernel, [])
        if index not in members:
            members.append(index)
        self._kernel_of[index] = kernel
        return kernel

    def _is_kin(self, run: Run) -> bool:
        return run.outcome is Outcome.CRASHED and self._matcher(run, self._reference) is not Match.UNRELATED

    def _grow_reference(self, runs: Iterable[Run]) -> None:
        """Take the crashes of these runs, on a commit known to be bad, for the bug's own.

        Where the reproducer says what to expect, other crashes stay other bugs.
        """
        if self._expected:
            runs = [
                run
                for run in runs
                if run.outcome is Outcome.CRASHED and self._matcher(run, self._expected) is Match.MATCH
            ]
        grown = self._reference.grown(runs)
        if grown != self._reference:
            self._reference = grown
            self._tallies.clear()

    @property
    def reference(self) -> Reference:
        return self._reference

    @property
    def order(self) -> tuple[int, ...]:
        """Commits in the order in which they were first tried."""
        return tuple(self._order)

    @property
    def tested(self) -> tuple[int, ...]:
        """Commits that built, in the order in which they were first tried."""
        return tuple(i for i in self._order if self._kernel_of[i] is not _FAILED)

    def built(self, index: int) -> bool | None:
        """Whether the commit builds; None where nobody tried."""
        kernel = self._kernel_of.get(index)
        return None if kernel is None else kernel is not _FAILED

    def runs(self, index: int) -> tuple[Run, ...]:
        """All runs of the commit's kernel, whichever commit they were made at."""
        kernel = self._kernel_of.get(index, _FAILED)
        return tuple(self._runs.get(kernel, ()))

    def tally(self, index: int) -> Tally:
        """The runs of the commit's kernel, counted by what they say of the bug."""
        kernel = self._kernel_of.get(index, _FAILED)
        if kernel is _FAILED:
            return Tally()
        if kernel not in self._tallies:
            self._tallies[kernel] = self.count(self._runs[kernel])
        return self._tallies[kernel]

    def count(self, runs: Iterable[Run]) -> Tally:
        """Count runs by what they say of the bug."""
        return tally_of(runs, self._reference, self._matcher)

    def same_kernel(self, index: int) -> tuple[int, ...]:
        """The commits known to give this commit's kernel, itself included where it was built."""
        return tuple(self._commits.get(self._kernel_of.get(index, _FAILED), ()))

    def signature(self, index: int) -> str:
        """The kernel signature, empty where none is known."""
        kernel = self._kernel_of.get(index)
        return kernel if isinstance(kernel, str) else ""

    def seen(self, signature: str) -> Tally | None:
        """What is known of a kernel by its signature; None where no run of it was made."""
        runs = self._runs.get(signature) if signature else None
        return self.count(runs) if runs else None

    def compiler(self, index: int) -> str:
        return self._compilers.get(index, "")

    def prices(self, guess: Prices) -> Prices:
        """Seconds measured here; `guess` where nothing was measured yet.

        Medians: the first build from scratch says nothing about the ones that follow, and a hung
        guest nothing about the others.
        """
        return Prices(
            build=median(self._build_seconds) if self._build_seconds else guess.build,
            run=median(self._run_seconds) if self._run_seconds else guess.run,
            width=guess.width,
        )
