"""Good, bad or skip: the verdict on one commit from its runs.

The thresholds are syzkaller's (pkg/bisect, 2024-07 and later); what counts as a crash is stricter.
syzkaller counts every crash, whatever its title, and two thirds of its wrong answers come from crashes
of other bugs. Here only a crash that matches the reference speaks for bad, and a crash that does
not speaks for nothing: it may have ended the run before the bug could show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.bisection.outcome import Verdict

if TYPE_CHECKING:
    from pytest_kbisect.bisection.evidence import Tally


def judge(tally: Tally, *, flaky: bool = False) -> Verdict:
    """The verdict; `flaky` asks more ok runs of a good one."""
    total = tally.total
    want_bad = max(2, (total - tally.infra_failed) // 6)
    want_good = total * 3 // 4 if flaky else total // 2
    if not tally.matching and tally.ok and tally.ok >= want_good:
        return Verdict.GOOD
    if tally.matching >= want_bad and tally.telling >= total // 2:
        return Verdict.BAD
    return Verdict.SKIP


def is_flaky(tally: Tally) -> bool:
    """Whether a commit judged bad crashed in fewer than half of its runs."""
    return tally.matching * 2 < tally.telling
