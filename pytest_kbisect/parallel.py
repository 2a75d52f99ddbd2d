"""The number of parallel guests, and of commits tested in parallel, from processors and memory."""

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
"""MiB that QEMU and its pytest worker need in addition to the guest's memory."""
_RESERVE = 512
"""MiB for the driver, for snapshots, and for other processes."""
GUESTS_EACH = 8
"""One commit's session can use this many parallel guests: a dozen runs decide most commits."""
MOST_AT_ONCE = 4
"""Maximum number of commits tested at a time. Each further one is less informative, and needs a worktree and
memory for a build."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The number of parallel guests (`count`), and the reason for this number (`why`)."""

    count: int
    why: str


def processors() -> int:
    """The number of processors that this process may use, limited by its affinity and its control group."""
    allowed = len(os.sched_getaffinity(0))
    return min(allowed, cgroup.processors() or allowed)


@functools.cache
def processor_model() -> str:
    """The processor's model, as /proc/cpuinfo names it; the machine's kind where it names none."""
    text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    found = re.search(r"^(?:model name|Processor|cpu model|uarch)\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def workers(processors: int, available: int, memory: int) -> Workers:
    """One guest of `memory` MiB for each processor, if `available` MiB are enough.

    A restored guest usually uses far less than its memory. It is counted in full, because a reproducer may
    use all of it.
    """
    fitting = max(1, (available - _RESERVE) // (memory + GUEST_OVERHEAD))
    each = f"{memory} MiB each, {available} MiB free"
    if fitting < processors:
        return Workers(fitting, f"limited by memory ({each}; {processors} processors)")
    return Workers(processors, f"one per processor (memory is enough for {fitting}: {each})")


def commits_at_once(guests: int) -> int:
    """The number of commits to test at a time, if this many guests may run."""
    return max(1, min(guests // GUESTS_EACH, MOST_AT_ONCE))


def require_memory(guest: int) -> None:
    """Raise HostError if the host has no memory for one more guest of this many MiB."""
    from pytest_kbisect.kernel.host_limits import MIB, memory_available

    free = memory_available() // MIB
    if free < guest + GUEST_OVERHEAD:
        raise HostError(
            f"no free memory for a guest (needs {guest + GUEST_OVERHEAD} MiB, {free} MiB free): "
            "run with a smaller -n or --kbisect-memory"
        )
