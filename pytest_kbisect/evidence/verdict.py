"""Good, bad or skip: the verdict on one commit from its runs.

The thresholds start from syzkaller's (pkg/bisect, 2024-07 and later); what counts as a crash is
stricter. syzkaller counts every crash, whatever its title, and two thirds of its wrong answers come
from crashes of other bugs. Here only a crash that matches the reference speaks for bad, and a crash
that does not speaks for nothing: it may have ended the run before the bug could show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.evidence.outcome import Verdict

if TYPE_CHECKING:
    from pytest_kbisect.evidence.run_counts import RunCounts


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the line between bad, good and skip is drawn; shares of runs.

    Chosen on 354 labelled bisections of syzbot, where no other choice is better on all counts at once;
    tests/benchmarks/verdict_frontier.py shows what each trades, and a cross-validation.
    """

    rare: float = 0.2
    """A bug whose reported commit crashes less often needs two crashes only, however many runs were made."""
    nearly_always: float = 0.75
    """A bug that crashes more often leaves no room for others: mostly other crashes are another bug. One
    that crashes less often may be seen by related crashes as well."""
    constant: float = 0.8
    """Related crashes alone count as the bug where they are this part of all runs that came to something."""
    unrelated: float = 1.0
    """Crashes of other bugs beside each of its own, above which such a bug's own do not speak."""
    related: float = 1.0
    """How many times the crashes wanted must be seen where some are only related ones."""
    sure: float = 0.05
    """A commit is good, too, where so few ok runs would be this unlikely of the reference."""
    unseen: float = 0.5
    """It is not, however many of its runs are ok, where so many of the reference would be this likely."""


LIMITS = Limits()

DOUBT = 0.01
"""Chance to miss the bug at one commit that a batch of runs may leave."""
FEWEST, MOST = 4, 60
"""Runs of such a batch, at least and at most."""


def judge(
    counts: RunCounts, *, flaky: bool = False, chance: float | None = None, limits: Limits = LIMITS
) -> Verdict:
    """The verdict on a commit that is not the reported one.

    `flaky` asks more ok runs of a good one (syzkaller: three quarters, not half). `chance` is the part
    of the runs that crashed on the commit the bug was reported on, where known.
    """
    total = counts.total
    known, strange = counts.matching + counts.related, counts.unrelated
    constant = chance is not None and chance >= limits.nearly_always
    want_bad = max(2, (total - counts.infra_failed) // 6)
    if chance is not None and chance < limits.rare:
        want_bad = 2
    if counts.matching >= want_bad and not (constant and strange > limits.unrelated * counts.matching):
        return Verdict.BAD
    if counts.matching and known >= limits.related * want_bad and known > strange and not constant:
        return Verdict.BAD
    if known >= max(limits.constant * (known + strange + counts.ok), want_bad, total // 3):
        return Verdict.BAD
    want_good = total * 3 // 4 if flaky else total // 2
    unseen = 0.0 if chance is None else (1 - chance) ** counts.ok
    enough = (counts.ok >= want_good and unseen <= limits.unseen) or (
        chance is not None and unseen < limits.sure
    )
    if not counts.matching and counts.related + strange <= total // 10 and counts.ok and enough:
        return Verdict.GOOD
    return Verdict.SKIP


def judge_reported(counts: RunCounts) -> Verdict:
    """The verdict on the commit the bug was reported on: once seen again, it is there."""
    if counts.matching:
        return Verdict.BAD
    return Verdict.GOOD if counts.ok else Verdict.SKIP


def crash_chance(counts: RunCounts) -> float:
    """The part of the runs that crash, a little off the ends (Krichevsky-Trofimov)."""
    return (counts.matching + 0.5) / (counts.informative + 1)


def enough_runs(chance: float, most: int = MOST) -> int:
    """Runs after which a bug that crashes with this chance has shown itself with 99 %, at most `most`."""
    if chance >= 1:
        return FEWEST
    return min(most, max(FEWEST, math.ceil(math.log(DOUBT) / math.log1p(-chance))))


def is_flaky(counts: RunCounts) -> bool:
    """Whether a commit judged bad crashed in fewer than half of its runs."""
    return counts.matching * 2 < counts.informative
