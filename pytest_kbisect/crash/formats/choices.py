"""Chooses the key frame for reports in which it is not the first distinctive function of a trace."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.pattern import Pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

# The top of a stall's trace is whatever the CPU happened to run when the timer fired. The work that it was
# given is more stable: the function just above the place that dispatches work. These are such places.
_DISPATCH: Final = Pattern(
    r"""
    # system calls
      syscall | sysenter | SYSENTER | ^entry_ | ^el0_ | ^do_el0 | ^ret_from_ | ^ret_fast | ^vector_swi
    | ^exit_to_user | ^prepare_exit_to_user | ^do_notify_resume
    # files
    | ^_{0,2}vfs_(?:read|write|fsync|ioctl|open) | ^(?:do|new)_sync_(?:read|write) | ^call_(?:read|write)_iter | ^vfs_iter_(?:read|write)$
    | ^do_(?:vfs_ioctl|iter_readv|iter_read|iter_write|loop_readv|dentry_open|fsync)
    | compat_(?:sys_)?ioctl | ^ioctl_(?!fs) | blkdev_ioctl | S(?:yS|YSC)_ioctl | ^_{0,3}(?:do_|se_|x64_|ia32_|arm64_)?sys_ioctl | ^ksys_ioctl | ^_{0,4}fput | ^_{0,2}mmap_region | ^do_mmap$ | ^call_mmap | ^__do_fault
    # sockets and netlink
    | ^sock_sendmsg | ^_{0,2}sock_(?:recvmsg|read_iter|write_iter|do_ioctl|ioctl|common_[sg]etsockopt) | ^do_sock_[sg]etsockopt
    | ^_{0,4}sys_[sg]etsockopt | ^__sys_(?:connect|bind|accept|listen|shutdown) | ^_{0,4}sock_release | rtnetlink_rcv_msg | ^netlink_dump | nfnetlink_rcv_msg | ^genl_.*rcv
    # packets
    | ^_{0,2}netif_receive_skb | ^netif_receive | ^process_backlog | napi_poll | ^net_rx_action
    # soft interrupts, timers, work items
    | ^_{0,2}handle_irq_event | ^call_timer_fn | ^__run_timers | ^expire_timers | ^run_timer_softirq | ^_{0,2}hrtimer_run_queues | ^_{0,2}run_hrtimer | ^tasklet_(?:hi_)?action
    | irq_exit | ^_{0,4}do_softirq(?:_own_stack)?$ | ^run_ksoftirqd | ^smpboot_thread_fn | ^process_one_work | ^worker_thread
    | ^kthread$ | ^task_work_run | ^rcu_do_batch
    # the idle loop and booting
    | ^cpu_startup_entry | ^start_secondary | ^start_kernel | ^do_one_initcall
    """,
    re.VERBOSE,
)


def handed_work(functions: Sequence[str]) -> tuple[str, str]:
    """The function whose work did not finish: the name for the title, and the function's own name."""
    return _above(_DISPATCH, functions) or _above(_FAULT_OF_USER, functions) or ("", "")


# The kernel faults on user memory in the middle of other work, so this is a weak hint.
_FAULT_OF_USER: Final = Pattern(
    r"^(?:asm_)?exc_page_fault|^page_fault|^_{0,2}do_page_fault|^do_user_addr|^do_mem_abort"
)


def _above(dispatch: Pattern[str], functions: Sequence[str]) -> tuple[str, str] | None:
    """The function that a dispatcher called, or the dispatcher itself if it is the innermost function."""
    last = ""
    for function in functions:
        if "smp_call_function" in function:  # the stalled CPU is the one that does not answer
            return "smp_call_function", function
        if dispatch.search(function):
            return last or function, last or function
        last = function
    return None


_WAITING: Final = Pattern(
    r"sched|_lock|_slowlock|down|rwsem|completion|kthread|wait|synchronize|context_switch|__switch_to"
    r"|^do_read_cache|cancel_delayed_work|rcu_barrier|mutex|semaphore|^io_schedule|^msleep|^usleep|hung_task"
    r"|flush_work|filemap_get_folio|pagecache_get_page|^truncate_inode_pages_range"
)
_GRACE_PERIOD: Final = Pattern(r"synchronize_(?:rcu|srcu|net|sched)")


def waiter(functions: Sequence[str]) -> tuple[str, str]:
    """The function that waits, not the primitives it waits in.

    The two best known bottlenecks, the RTNL lock and RCU grace periods, are named themselves.
    """
    for function in functions:
        if "rtnl_lock" in function:
            return function, function
        if _GRACE_PERIOD.search(function):
            return "synchronize_rcu", function
    for function in functions:
        if not _WAITING.search(function):
            return function, function
    return "", ""
