"""Whether a bug shows more often on some hosts than on others: another processor or accelerator is another
condition.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytest_kbisect.evidence.outcome import Run
    from pytest_kbisect.evidence.run_counts import RunCounts

UNLIKELY: Final = 0.01
"""Probability of such a difference between equal hosts, below which it is mentioned."""


@dataclass(frozen=True, slots=True)
class HostCount:
    """Runs on one host that say something of the bug, and how many of them showed it."""

    host: str
    machine: str
    crashed: int
    total: int


def by_host(runs: Iterable[Run], count: Callable[[Iterable[Run]], RunCounts]) -> tuple[HostCount, ...]:
    """The runs of one kernel by host, in the order of their names; those of no known host are left out."""
    groups: Mapping[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.host:
            groups[run.host, run.machine].append(run)
    counted = ((at, count(group)) for at, group in sorted(groups.items()))
    return tuple(
        HostCount(*at, counts.matching, counts.informative) for at, counts in counted if counts.informative
    )


def difference(counts: tuple[HostCount, ...]) -> tuple[HostCount, float] | None:
    """The host that differs most from the others, and how likely that is by chance; None if nothing is
    unlikely.

    Fisher's exact test of each host against all others, two-sided, corrected for their number (Bonferroni).
    """
    if len(counts) < 2:
        return None
    crashed, total = sum(one.crashed for one in counts), sum(one.total for one in counts)

    def chance(one: HostCount) -> float:
        return fisher(one.crashed, one.total, crashed - one.crashed, total - one.total)

    tests = len(counts) if len(counts) > 2 else 1
    most = min(counts, key=chance)
    corrected = min(1.0, chance(most) * tests)
    return (most, corrected) if corrected < UNLIKELY else None


def fisher(a: int, of_a: int, b: int, of_b: int) -> float:
    """Probability that a of `of_a` and b of `of_b` differ at least this much, if both are equally likely.

    Fisher's exact test, two-sided: all tables with the same margins that are no likelier than this one.
    """
    hits, every = a + b, of_a + of_b
    whole = comb(every, hits)

    def weight(k: int) -> int:
        return comb(of_a, k) * comb(of_b, hits - k)

    seen = weight(a)
    return (
        sum(weight(k) for k in range(max(0, hits - of_b), min(of_a, hits) + 1) if weight(k) <= seen) / whole
    )


def hosts_of(runs: Iterable[Run], count: Callable[[Iterable[Run]], RunCounts]) -> dict[str, int]:
    """Runs that say something of the bug, by host, those with most runs first."""
    counts = by_host(runs, count)
    return {one.host: one.total for one in sorted(counts, key=lambda one: (-one.total, one.host))}
