"""The source file to blame first: the file whose code did wrong, not the file that noticed."""

from __future__ import annotations

import posixpath
from functools import cache
from typing import Final

from pytest_kbisect.crash.pattern import Pattern

_LONGEST_LINE: Final = 1000
_LOCATION: Final = Pattern(r"(?P<path>[\w.-]{1,80}(?:/[\w.@+-]{1,80}){0,16}\.[chS]):\d{1,7}\b")

# Locations on these lines are not part of the fault's own trace: lockdep's lock history.
_ASIDE: Final = Pattern(r"last\s{1,4}(?:en|dis)abled|, at:|#\d{1,3}:")

# Code that everything calls. It appears in traces without being at fault.
_CALLED_BY_ALL: Final[dict[str, str]] = {
    "headers and libraries": r".*\.h  include/.*  lib/.*  tools/.*  rust/.*  virt/lib/.*",
    "entry, traps, unwinding": r"""
        arch/\w+/(?:entry|lib|include)/.*  arch/\w+/mm/(?:fault|extable|physaddr|kasan_init\w*)\.c
        arch/\w+/kernel/(?:traps|unwind\w*|stacktrace|process\w*|entry\S*|smp\w*|irq\w*|time|kvm|paravirt\S*|nmi|signal\w*)\.[cS]
        arch/\w+/kernel/(?:apic|cpu|fpu)/.*  kernel/entry/.*
    """,
    "locks, RCU, scheduling, time, printing": r"""
        kernel/(?:locking|rcu|sched|time|printk|trace|irq|kcsan)/.*
        kernel/(?:panic|fork|exit|kcov|softirq|workqueue|kthread|smpboot|hung_task|watchdog|stacktrace|notifier|task_work)\.c
    """,
    "memory": r"""
        mm/(?:kasan|kmsan|kfence)/.*
        mm/(?:slab|slub|slob|slab_common|page_alloc|util|memory|vmalloc|percpu\S*|filemap|fault\S*|gup|maccess|kmemleak)\.c
        mm/(?:page_poison|page_owner|debug|dmapool|usercopy|mempool|vmscan|vmstat|oom_kill|list_lru|shrinker|truncate|folio-compat)\.c
        mm/(?:kasan|kmsan)\w*\.c
    """,
    "cores of subsystems": r"""
        net/core/(?:dev|sock|skbuff)\.c  net/socket\.c  drivers/base/.*  fs/(?:proc/generic|sysfs/\w+)\.c
        drivers/usb/core/(?:urb|hcd)\.c  drivers/usb/gadget/udc/dummy_hcd\.c  security/security\.c
    """,
}

# A stalled CPU was interrupted here. Only the frames below are its own work.
_STALL: Final = Pattern(r"detected (?:expedited )?stall|soft lockup")
_INTERRUPTED: Final = Pattern(r"apic_timer_interrupt\+0x|\bel1h?_(?:64_)?irq\+0x|Exception stack")


@cache
def _called_by_all() -> Pattern[str]:
    return Pattern("|".join(f"{path}$" for table in _CALLED_BY_ALL.values() for path in table.split()))


def is_called_by_all(path: str) -> bool:
    """Whether a file of the tree appears in traces without being at fault."""
    return _called_by_all().match(path) is not None


def guilty_file(report_text: str) -> str:
    """The path (in the kernel tree) of the file to blame, from a symbolized report; "" if it names none.

    This is the first location outside the code that everything calls, or simply the first if there is none. A
    later file in a subdirectory of that file's directory is a better guess: the first file is then the
    common code that the later one uses.
    """
    if _STALL.search(report_text):
        cut = _INTERRUPTED.search(report_text)
        if cut is not None:
            report_text = report_text[cut.start() :]
    first = ""
    guilty = ""
    for line in report_text.splitlines():
        if ":" not in line:
            continue
        aside = _ASIDE.search(line[:_LONGEST_LINE]) is not None
        for found in _LOCATION.finditer(line[:_LONGEST_LINE]):
            path = posixpath.normpath(found["path"])
            first = first or path
            if aside or is_called_by_all(path):
                continue
            if not guilty or _is_below(path, guilty):
                guilty = path
    return guilty or first


def _is_below(path: str, other: str) -> bool:
    directory = other.rpartition("/")[0] + "/"
    return path.startswith(directory) and "/" in path[len(directory) :]
