"""How many guests run side by side, and at how many commits of a bisection: processors and memory."""

from __future__ import annotations

import functools
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from pytest_kbisect import cgroup
from pytest_kbisect.errors import HostError

GUEST_OVERHEAD = 128
"""MiB that QEMU and its pytest worker need besides the guest's memory."""
_RESERVE = 512
"""MiB for the driver, for frozen guests, and for everybody else."""
GUESTS_EACH = 8
"""Guests at a time that one commit's session can make use of: most commits are decided by a dozen runs."""
MOST_AT_ONCE = 4
"""Commits tested at a time: each further one says less, and needs a worktree and memory for a build."""


@dataclass(frozen=True, slots=True)
class Workers:
    """`count` guests at a time, and `why` no more, in words."""

    count: int
    why: str


def processors() -> int:
    """Processors this process may use: those of its affinity, less where its control group has a quota."""
    allowed = len(os.sched_getaffinity(0))
    return min(allowed, cgroup.processors() or allowed)


@functools.cache
def processor_model() -> str:
    """The processor's model, as /proc/cpuinfo names it; the machine's kind where it names none."""
    text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    found = re.search(r"^(?:model name|Processor|cpu model|uarch)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def workers(processors: int, available: int, memory: int) -> Workers:
    """As many guests of `memory` MiB as there are processors, if `available` MiB are enough for them.

    A restored guest takes far less than its memory as a rule; it is counted in full, because a
    reproducer may use all of it.
    """
    fitting = max(1, (available - _RESERVE) // (memory + GUEST_OVERHEAD))
    each = f"{memory} MiB each, {available} MiB free"
    if fitting < processors:
        return Workers(fitting, f"memory is enough for no more ({each}; {processors} processors)")
    return Workers(processors, f"one for each processor (memory is enough for {fitting}: {each})")


def commits_at_once(guests: int) -> int:
    """How many commits are tested at a time, where so many guests may run."""
    return max(1, min(guests // GUESTS_EACH, MOST_AT_ONCE))


def require_memory(guest: int) -> None:
    """Raise HostError where the host has no memory for one more guest of so many MiB."""
    from pytest_kbisect.kernel.host_limits import MIB, memory_available

    free = memory_available() // MIB
    if free < guest + GUEST_OVERHEAD:
        raise HostError(
            f"no free memory for a guest (needs {guest + GUEST_OVERHEAD} MiB, {free} MiB free): "
            "run with a smaller -n or --kbisect-memory"
        )
