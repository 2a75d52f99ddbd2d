"""Kernels that stand still: RCU stalls, soft and hard lockups, hung tasks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.families.family import CALL_TRACE, RIP, STACK, anchor, family
from pytest_kbisect.crash.pattern import Pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

# A stall's trace ends in whatever the CPU happened to do when the timer looked. What it was asked to do
# is more stable: the function just above the place where work is handed out. These are such places.
_DISPATCH: Final = Pattern(
    r"""
    # system calls, and faults of user space
      syscall | sysenter | SYSENTER | ^entry_ | ^el0_ | ^do_el0 | ^ret_from_ | ^ret_fast | ^vector_swi
    | ^(?:asm_)?exc_page_fault | ^page_fault | ^_{0,2}do_page_fault | ^do_user_addr_fault | ^handle_mm_fault
    # files
    | ^_{0,2}vfs_(?:read|write|fsync|get_tree|ioctl) | ^(?:do|new)_sync_(?:read|write) | ^call_(?:read|write)_iter
    | ^do_(?:vfs_ioctl|iter_readv|iter_read|iter_write|loop_readv|splice|dentry_open|fsync)
    | compat_ioctl | blkdev_ioctl | ^ksys_ioctl | ^iterate_dir | ^mmap_region | ^call_mmap
    # sockets and netlink
    | ^sock_(?:sendmsg|recvmsg|read_iter|write_iter|do_ioctl|ioctl|common_[sg]etsockopt) | ^do_sock_[sg]etsockopt
    | ^_{0,4}sys_[sg]etsockopt | ^_{0,4}sock_release | rtnetlink_rcv_msg | nfnetlink_rcv_msg | ^genl_.*rcv
    # packets
    | ^_{0,2}netif_receive_skb | ^netif_receive | ^process_backlog | napi_poll | ^net_rx_action
    # soft interrupts, timers, work items
    | ^call_timer_fn | ^expire_timers | ^_{0,2}hrtimer_run_queues | ^_{0,2}run_hrtimer | ^tasklet_(?:hi_)?action
    | irq_exit | ^run_ksoftirqd | ^smpboot_thread_fn | ^process_(?:one|scheduled)_work | ^worker_thread
    | ^kthread$ | ^task_work_run | ^rcu_do_batch | ^rcu_core
    # the idle loop and booting
    | ^cpu_startup_entry | ^do_idle | ^start_secondary | ^start_kernel | ^do_one_initcall
    """,
    re.VERBOSE,
)


def _handed_work(functions: Sequence[str]) -> tuple[str, str]:
    """The function whose work the CPU did not finish."""
    last = ""
    for function in functions:
        if "smp_call_function" in function:  # what stalls is the CPU that does not answer
            return "smp_call_function", function
        if _DISPATCH.search(function):
            if last:
                return last, last
            continue
        last = function
    return "", ""


_WAITING: Final = Pattern(
    r"sched|_lock|_slowlock|down|rwsem|completion|kthread|wait|synchronize|context_switch|__switch_to"
    r"|cancel_delayed_work|rcu_barrier|mutex|semaphore|^io_schedule|^msleep|^usleep|hung_task"
)
_GRACE_PERIOD: Final = Pattern(r"synchronize_(?:rcu|srcu|net|sched)")


def _waiter(functions: Sequence[str]) -> tuple[str, str]:
    """The function that waits, not the ones it waits with; the two best known bottlenecks by their names."""
    for function in functions:
        if "rtnl_lock" in function:
            return function, function
        if _GRACE_PERIOD.search(function):
            return "synchronize_rcu", function
        if not _WAITING.search(function):
            return function, function
    return "", ""


# The timer interrupt through which a CPU looks at itself: what lies below it in the trace is the stall.
_TIMER_INTERRUPT: Final = anchor(
    r"apic_timer_interrupt\+0x|\bel1h?_(?:64_)?irq\+0x|Exception stack\(|\b__irq_svc\+0x|\bret_from_intr\+0x"
    r"|^--- interrupt: |\bhandle_exception\+0x|\bret_from_exception\+0x"
)

STALL: Final = (
    family(
        r"INFO: rcu_[a-z_]{1,40} (?:self-)?detected (?:expedited )?stalls? on CPU",
        "INFO: rcu detected stall in {frame}",
        "stall in {frame}",
        steps=(_TIMER_INTERRUPT, STACK),
        choose=_handed_work,
    ),
)
SOFT_LOCKUP: Final = (
    family(
        r"BUG: soft lockup",
        "BUG: soft lockup in {frame}",
        "stall in {frame}",
        steps=(RIP, CALL_TRACE, STACK),
        fallback_steps=(_TIMER_INTERRUPT, STACK),
        choose=_handed_work,
    ),
    family(r"BUG: workqueue lockup", "BUG: workqueue lockup", traceless=True),
)
HUNG: Final = (
    family(
        r"INFO: task [^\n]{1,64} blocked (?:in I/O wait )?for more than \d{1,9} seconds",
        "INFO: task hung in {frame}",
        "hang in {frame}",
        steps=(CALL_TRACE, STACK),
        choose=_waiter,
    ),
    family(
        r"INFO: task [^\n]{1,64} can't die for more than \d{1,9} seconds",
        "INFO: task can't die in {frame}",
        "hang in {frame}",
        steps=(CALL_TRACE, STACK),
        choose=_waiter,
    ),
)
