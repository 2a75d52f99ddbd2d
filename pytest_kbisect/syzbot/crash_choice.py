"""Which crash of a bug to bisect: one with a C reproducer, on mainline, the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from pytest_kbisect.syzbot.bug_model import Bug, BugCrash


def rank(crash: BugCrash) -> tuple[int, ...]:
    """How well a crash can be bisected; more is better.

    A C reproducer runs anywhere and a syz program only with syzkaller. Commits of linux-next vanish. A 32-bit
    process needs another compiler. A revoked reproducer works where it was found.
    """
    return (
        2 if crash.c else 1 if crash.syz else 0,
        2 if crash.is_mainline else 0 if crash.is_next else 1,
        int(bool(crash.commit)),
        int("386" not in crash.manager and crash.user_space not in {"i386", "386"}),
        int(not crash.revoked),
    )


def choose(bug: Bug, number: int | None = None) -> BugCrash | None:
    """The crash to bisect, or the one with this number, from 1, as the page has them; None if there is none.

    syzbot lists the newest of equals first. Raises UsageError for a number that is not there.
    """
    if number is not None:
        if not 1 <= number <= len(bug.crashes):
            raise UsageError(f"{bug.source} has {len(bug.crashes)} crashes: give --crash a number up to that")
        return bug.crashes[number - 1]
    timed = [(rank(crash), crash.time, -place) for place, crash in enumerate(bug.crashes)]
    if not timed:
        return None
    known = all(time is not None for _, time, _ in timed)
    best = max(
        range(len(timed)),
        key=lambda n: (
            (timed[n][0], timed[n][1] if known else None, timed[n][2])
            if known
            else (timed[n][0], timed[n][2])
        ),
    )
    return bug.crashes[best]
