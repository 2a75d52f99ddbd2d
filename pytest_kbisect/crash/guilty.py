"""The source file to ask about first: the one whose code did wrong, not the one that noticed."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.pattern import Pattern

_LOCATION: Final = Pattern(r"(?P<path>[\w-]{1,80}(?:/[\w.@+-]{1,80}){0,12}\.[chS]):\d{1,7}\b")

# Lines whose locations are no part of the fault's own trace: lockdep's history of locks.
_ASIDE: Final = Pattern(
    r"last\s{1,4}enabled|last\s{1,4}disabled|, at:|#\d{1,3}:|registered at|Modules linked|dependency chain"
)

# Code that everybody calls. A trace passes through it without its being wrong.
_CALLED_BY_ALL: Final = Pattern(
    r"""\.h$
    |^arch/[^/]+/(?:kernel/(?:traps|unwind|stacktrace|dumpstack|process|entry|smp|apic|irq|time|fpu|module|nmi|signal|sys_call|syscall|vdso|hw_breakpoint)
       |mm/(?:fault|extable|init|physaddr|kasan)|lib/|entry/|include/|kernel/cpu/)
    |^(?:lib|tools|scripts|include)/
    |^kernel/(?:locking|rcu|sched|time|printk|trace|irq|entry)/
    |^kernel/(?:panic|fork|exit|kcov|kcsan|softirq|workqueue|kthread|smpboot|hung_task|watchdog|stacktrace|softlockup|signal|notifier|rseq|freezer|task_work|stop_machine|context_tracking|iomem)
    |^kernel/kcsan/
    |^mm/(?:kasan|kmsan|kfence)/
    |^mm/(?:slab|slub|slob|slab_common|page_alloc|util|memory|vmalloc|percpu|filemap|fault|gup|maccess|kmemleak|page_poison|page_owner|debug|dmapool|usercopy|kasan|mempool|vmscan|vmstat|oom_kill|swap|show_mem|memcontrol|memblock|mempolicy|highmem|list_lru|shrinker|truncate|readahead|page-writeback|internal|mmap_lock|failslab|fail_page_alloc|backing-dev|kmsan|mmu_gather|shuffle|early_ioremap|interval_tree|page_table_check|page_ext)
    |^net/core/(?:dev|sock|skbuff|dst|neighbour|net-procfs|rtnetlink|datagram|gen_stats)\.c
    |^net/(?:socket|compat)\.c
    |^fs/(?:read_write|open|file_table|file|ioctl|compat_ioctl|splice|namei|select|exec|super|inode|dcache|namespace|buffer|seq_file|stat|sync|pipe|eventpoll|fs_context|fsopen|readdir|attr|xattr)\.c
    |^fs/(?:proc|sysfs|kernfs|debugfs)/
    |^drivers/base/
    |^drivers/usb/core/(?:urb|hub|driver|hcd|message|generic)\.c
    |^drivers/usb/gadget/udc/dummy_hcd\.c
    |^security/(?:security|commoncap)\.c
    |^rust/
    """.replace("\n", "").replace(" ", "")
)
# Where a stalled CPU was interrupted: only what lies below is its own work.
_STALL: Final = Pattern(r"detected (?:expedited )?stall|self-detected stall|soft lockup")
_INTERRUPTED: Final = Pattern(r"apic_timer_interrupt\+0x|el1h?_(?:64_)?irq\+0x|Exception stack")


def guilty_file(report_text: str) -> str:
    """The path (in the kernel tree) of the file to blame, from a symbolized report; "" if it names none.

    The first location that is not code everybody calls; if all are, the first of all. A file of the same
    directory's depths that the trace comes from is a better guess than the directory's own helper.
    """
    if _STALL.search(report_text):
        cut = _INTERRUPTED.search(report_text)
        if cut is not None:
            report_text = report_text[cut.start() :]
    first = ""
    guilty = ""
    for line in report_text.splitlines():
        if ":" not in line or _ASIDE.search(line[:1000]):
            continue
        for found in _LOCATION.finditer(line[:1000]):
            path = _in_tree(found["path"])
            first = first or path
            if _CALLED_BY_ALL.search(path):
                continue
            if not guilty or _is_deeper(path, guilty):
                guilty = path
    return guilty or first


def _is_deeper(path: str, than: str) -> bool:
    directory = than.rpartition("/")[0] + "/"
    return path.startswith(directory) and "/" in path[len(directory) :]


_TOP: Final = Pattern(
    r"(?:^|/)(?P<path>(?:arch|block|certs|crypto|drivers|fs|include|init|io_uring|ipc|kernel|lib|mm|net|rust|samples"
    r"|security|sound|usr|virt)/.{1,400})$"
)


def _in_tree(path: str) -> str:
    """The path within the kernel tree of one that may be absolute or begin with ./"""
    return path.removeprefix("./")


__all__ = ["guilty_file"]
