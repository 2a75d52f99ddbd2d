"""One fault in the words of different kernels, and of different architectures.

What a kernel prints changes every few releases; a bisection reads all of it. Formats are those of the
printk calls of 4.4 to 6.19.
"""

from __future__ import annotations

import pytest
from test_formats import BLOCKED, CPU, IOCTL, STACK, at, cycle, fault, held, locked, stall, trace, warned

from pytest_kbisect.crash import parse_console

X86_TRACE = trace("kbx_ioctl", *IOCTL[1:])
ARM64 = f"{CPU}pstate: 60400005\npc : kbx_ioctl+0x40/0xd0\nlr : vfs_ioctl+0x1/0x20\n" + trace(
    *IOCTL[:3], head="Call trace:"
)
RISCV = (
    f"{CPU}epc : kbx_ioctl+0x28/0x29\n ra : kbx_ioctl+0x28/0x29\n"
    "status: 0000000200000120 badaddr: 0000000000000000 cause: 0000000000000003\n"
)
RISCV_TRACE = "".join(f"[<ffffffff8583{at:04x}>] {name}+0x1/0x20\n" for at, name in enumerate(IOCTL))
S390 = f"Krnl PSW : 0704c00180000000 000003ff8012bc82 (kbx_ioctl+0x2a/0x50 [kbx])\n{CPU}" + trace(
    "kbx_ioctl", *IOCTL[1:]
)
POWERPC = (
    "Faulting instruction address: 0xc0000000000a1b2c\nOops: Kernel access of bad area, sig: 11 [#1]\n"
    f"{CPU}NIP [c0000000000a1b2c] kbx_ioctl+0x1c/0x80\nLR [c0000000000a1b20] kbx_ioctl+0x10/0x80\nCall Trace:\n"
    "[c000000003c6fb40] [c0000000000a1b20] kbx_ioctl+0x10/0x80 (unreliable)\n"
    "[c000000003c6fb80] [c0000000004d1e44] vfs_ioctl+0x44/0x60\n"
    "[c000000003c6fbc0] [c0000000004d1f44] sys_ioctl+0x44/0x60\n"
)
PAGING = "BUG: unable to handle kernel paging request in kbx_ioctl"
NULL = "BUG: unable to handle kernel NULL pointer dereference in kbx_ioctl"


def warn(line, *above, words="", rip=""):
    return f"{words}{line}\nModules linked in:\n{at(rip or above[0])}{trace(*above, *IOCTL)}"


def deadlock(headline, first, second):
    return (
        f"{headline}\n4.15.0 #1 Not tainted\n-----\nprog/4242 is trying to acquire lock:\n"
        f" (&kbx->a){{+.+.}}, at: [<ffffffff81234567>] {first}+0x10/0x20\n\nbut task is already holding lock:\n"
        f" (&kbx->b){{+.+.}}, at: [<ffffffff81234568>] {second}+0x10/0x20\n\n"
        "the existing dependency chain (in reverse order) is:\n\n-> #1 (&kbx->b){+.+.}:\n"
        "       lock_acquire+0x1/0x20\n       _raw_spin_lock+0x1/0x20\n       kbx_chain+0x1/0x20\n\n"
        f"-> #0 (&kbx->a){{+.+.}}:\n       lock_acquire+0x1/0x20\n\nstack backtrace:\n{STACK}"
    )


def leak(head):
    return (
        'BUG: memory leak\nunreferenced object 0xffff88006b006340 (size 32):\n  comm "prog", pid 1, jiffies 4294937368\n'
        f"  hex dump (first 8 bytes):\n    01 02 03 04 05 06 07 08  ........\n  {head}\n"
        "    [<000000005cb5aa0e>] __kmalloc_noprof+0x1d3/0x3f0\n    [<00000000c8234a88>] kbx_ioctl+0x38/0xc0\n"
        "    [<00000000c8234a99>] vfs_ioctl+0x38/0xc0\n\n"
        "write to /proc/sys/kernel/hung_task_check_interval_secs failed: No such file or directory\n"
    )


def slub(headline):
    return (
        f"{'=' * 77}\n{headline}\n{'-' * 77}\n\nINFO: Allocated in kbx_open+0x1/0x20 age=5 cpu=1 pid=4242\n"
        "INFO: Freed in kbx_release+0x1/0x20 age=4 cpu=1 pid=4242\nINFO: Slab 0xffffea0000 objects=1 used=1 fp=0x0\n"
        f"Object ffff8801: 6b 6b 6b 6b 6b 6b 6b a5  kkkkkkk.\n{CPU}"
        + trace("dump_stack", "print_trailer", "check_bytes_and_report", "check_object", *IOCTL)
    )


def hung(*above, line="INFO: task prog:4242 blocked for more than 143 seconds."):
    return f"{line}\n{BLOCKED}" + trace("__schedule", "schedule", *above, "vfs_read", "ksys_read")


def stalled(*functions):
    return (
        f"rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n{CPU}"
        + trace("sched_show_task", head="Call Trace:\n <IRQ>")
        + " asm_sysvec_apic_timer_interrupt+0x12/0x20\nRIP: 0010:kbx_poll+0x1/0x20\n"
        + "".join(f" {name}+0x1/0x20\n" for name in functions)
    )


PRINTED = [
    # Page faults: x86 before and since 5.1, then others.
    (PAGING, fault("BUG: unable to handle kernel paging request at ffffea0000000008")),
    (PAGING, fault("BUG: unable to handle page fault for address: ffffea0000000008")),
    (PAGING, f"Unable to handle kernel paging request at virtual address dead000000000108\n{ARM64}"),
    (PAGING, f"BUG: Unable to handle kernel data access on read at 0xc00a000000000000\n{POWERPC}"),
    (PAGING, f"Unable to handle kernel paging request for data at address 0xc00a000000000000\n{POWERPC}"),
    (NULL, fault("BUG: unable to handle kernel NULL pointer dereference at 0000000000000010")),
    (NULL, fault("BUG: kernel NULL pointer dereference, address: 0000000000000010")),
    (NULL, f"BUG: Kernel NULL pointer dereference on read at 0x00000010\n{POWERPC}"),
    (NULL, f"Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010\n{ARM64}"),
    (
        NULL,
        ("Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010\n"
        f"Oops [#1]\n{RISCV}{RISCV_TRACE}"),
    ),
    (
        "BUG: unable to handle kernel access to user memory in kbx_ioctl",
        ("Unable to handle kernel access to user memory without uaccess routines at virtual address 0000000020\n"
        f"Oops [#1]\n{RISCV}Call Trace:\n{RISCV_TRACE}"),
    ),
    (
        "BUG: unable to handle kernel write to read-only memory in kbx_ioctl",
        f"Unable to handle kernel write to read-only memory at virtual address ffff800080a0e010\n{ARM64}",
    ),
    (
        "BUG: unable to handle kernel pointer dereference in kbx_ioctl",
        f"Unable to handle kernel pointer dereference in virtual kernel address space\n{S390}",
    ),
    ("general protection fault in kbx_ioctl", fault("general protection fault: 0000 [#1] SMP")),
    (
        "general protection fault in kbx_ioctl",
        fault("Oops: general protection fault, probably for non-canonical address 0xdffffc0000000001: 0000 [#1]"),
    ),
    (
        "general protection fault in kbx_ioctl",
        ("general protection fault: 0000 [#1] SMP\nCPU: 0 PID: 4242 Comm: prog Not tainted 4.9.0 #1\n"
        f"RIP: 0010:[<ffffffff8123ab12>]  [<ffffffff8123ab12>] kbx_ioctl+0x12/0x40\n{X86_TRACE}"),
    ),
    # WARN(): 4.4, 4.15, 6.18 with a function, without one, with the condition; riscv has no "Call Trace:".
    ("WARNING in kbx_ioctl", warn("WARNING: CPU: 0 PID: 4242 at kbx.c:2 kbx_ioctl+0x12/0x40()", "kbx_ioctl")),
    ("WARNING in kbx_ioctl", warned("drivers/misc/kbx.c:2", "kbx_ioctl")),
    ("WARNING in kbx_ioctl", warn("WARNING: kbx.c:2 at kbx_ioctl+0x12/0x40, CPU#0: prog/4242", "kbx_ioctl")),
    ("WARNING in kbx_ioctl", warn("WARNING: kbx/node.rs:12 at kbx_ioctl+0x1/0x20, CPU#0: prog/4242", "kbx_ioctl")),
    # An oops of 4.9, where the stack's words have no line feed after them.
    (
        "BUG: unable to handle kernel paging request in kbx_ioctl",
        ("BUG: unable to handle kernel paging request at ffff8801\nIP: [<ffffffff8123ab12>] kbx_ioctl+0x12/0x40\n"
        f"Oops: 0000 [#1] SMP\n{CPU}Stack:\n ffff8801d3577888 dffffc0000000000Call Trace:\n"
        " [<ffffffff8123ab13>] vfs_ioctl+0x1/0x20\n [<ffffffff8123ab14>] SyS_ioctl+0x1/0x20\n"),
    ),
    (
        "WARNING in kbx_ioctl",
        warn("WARNING: [list->n > 0 && !x] kbx.c:2 at kbx_ioctl+0x12/0x40, CPU#0: prog/4242", "kbx_ioctl"),
    ),
    ("WARNING in kbx_ioctl", warn("WARNING: kbx.c:2 at 0x0, CPU#0: a/1", "__WARN_trap")),
    ("WARNING: refcount bug in kbx_ioctl", warn("WARNING: lib/refcount.c:28 at 0x0, CPU#0: a/1", "refcount_warn_saturate")),
    (
        "WARNING in kbx_ioctl",
        warn(
            "WARNING: ./include/linux/kbx.h:9 at kbx_put include/linux/kbx.h:9 [inline], CPU#0: prog/4242\n"
            "WARNING: ./include/linux/kbx.h:9 at kbx_ioctl+0x12/0x40 drivers/misc/kbx.c:2, CPU#0: prog/4242",
            "kbx_ioctl",
        ),
    ),
    ("WARNING in kbx_ioctl", f"WARNING: CPU: 0 PID: 8 at kbx.c:671 kbx_ioctl+0x28/0x29\nModules linked in:\n{RISCV}{RISCV_TRACE}"),
    # Checks that have a title of their own, and their neighbours that have none.
    ("WARNING in kbx_ioctl", warned("kernel/locking/mutex.c:582", "__mutex_lock", "mutex_lock_nested")),
    ("WARNING in kbx_ioctl", warned("kernel/locking/rwsem.c:1367", "up_write", "kbx_ioctl")),
    ("WARNING in kbx_ioctl", warned("kernel/locking/lockdep.c:6469", "lockdep_unregister_key", "kbx_ioctl")),
    ("WARNING: locking bug in kbx_ioctl", warned("kernel/locking/lockdep.c:231", "hlock_class", "mark_lock", "__lock_acquire")),
    ("WARNING in kbx_ioctl", warned("mm/slub.c:5024", "__kvmalloc_node_noprof", "kbx_ioctl")),
    ("WARNING: kmalloc bug in kbx_ioctl", warned("mm/slab_common.c:1012", "kmalloc_slab", "__kmalloc")),
    ("WARNING: kmalloc bug in kbx_ioctl", warned("mm/vmalloc.c:3940", "vmalloc_fix_flags", "__vmalloc_noprof")),
    ("WARNING in __mod_timer", warned("lib/debugobjects.c:514", "debug_object_assert_init", "__mod_timer")),
    (
        "WARNING: ODEBUG bug in kbx_ioctl",
        warned("lib/debugobjects.c:514", "debug_print_object", "debug_object_assert_init", "__mod_timer"),
    ),
    (
        "WARNING in kbx_ioctl/usb_submit_urb",
        warned("drivers/usb/core/urb.c:503", "usb_submit_urb", "usb_start_wait_urb", "usb_bulk_msg"),
    ),
    # Locks: before 4.13 "INFO:" and "BUG:" in brackets.
    ("possible deadlock in kbx_ioctl", cycle("[ INFO: possible circular locking dependency detected ]")),
    ("possible deadlock in kbx_ioctl", cycle("[ INFO: possible recursive locking detected ]")),
    ("possible deadlock in kbx_ioctl", cycle("WARNING: possible irq lock inversion dependency detected")),
    (
        "possible deadlock in kbx_irq",
        cycle(
            "WARNING: SOFTIRQ-READ-safe -> SOFTIRQ-READ-unsafe lock order detected",
            "which became SOFTIRQ-READ-irq-safe at:\n  lock_acquire+0x1/0x2\n  _raw_read_lock_bh+0x1/0x2\n  kbx_irq+0x1/0x2\n",
        ),
    ),
    # Where both locks were taken by primitives, the chain tells the locks.
    (
        "possible deadlock in kbx_chain",
        deadlock("WARNING: possible circular locking dependency detected", "vprintk_emit", "__queue_work"),
    ),
    (
        "possible deadlock in kbx_chain",
        deadlock("WARNING: possible circular locking dependency detected", "process_one_work", "process_one_work"),
    ),
    (
        "possible deadlock in process_one_work",
        deadlock("WARNING: possible recursive locking detected", "process_one_work", "process_one_work"),
    ),
    (
        "possible deadlock in kbx_open",
        deadlock("WARNING: possible circular locking dependency detected", "__might_fault", "kbx_open"),
    ),
    ("BUG: held lock freed in kbx_ioctl", held("[ BUG: held lock freed! ]", "prog/4242 is freeing memory ffff8801-ffff8802\n")),
    ("BUG: still has locks held in kbx_ioctl", held("[ BUG: prog/4242 still has locks held! ]")),
    ("WARNING: still has locks held in kbx_ioctl", held("WARNING: sshd/4242 still has locks held!")),
    ("WARNING: still has locks held in kbx_ioctl", held("WARNING: systemd-udevd/77 still has locks held!")),
    (
        "WARNING: kernel stack regs has bad 'bp' value",
        "WARNING: kernel stack regs at ffff8801 in sshd:77 has bad 'bp' value ffff8802\n",
    ),
    ("WARNING: lock held when returning to user space in kbx_ioctl", held("WARNING: lock held when returning to user space!")),
    (
        "BUG: bad unlock balance in kbx_ioctl",
        held(
            "[ BUG: bad unlock balance detected! ]",
            "prog/4242 is trying to release lock (&kbx->lock) at:\n[<ffffffff81234567>] kbx_ioctl+0x10/0x20\n",
        ),
    ),
    ("INFO: suspicious RCU usage in kbx_ioctl", f"[ INFO: suspicious RCU usage. ]\n4.9.0 #1 Not tainted\n{STACK}"),
    (
        "INFO: trying to register non-static key in kbx_ioctl",
        f"INFO: trying to register non-static key.\n{CPU}"
        + trace("dump_stack_lvl", "register_lock_class", "__lock_acquire", "lock_acquire", "lock_sock_nested", *IOCTL),
    ),
    (
        "BUG: workqueue leaked lock or atomic in kbx_work",
        ("BUG: workqueue leaked atomic, lock or RCU: kworker/u33:2[9276]\n"
        "     preempt=0x00000000 lock=0->1 RCU=0->0 workfn=kbx_work\n"),
    ),
    # Stalls.
    ("INFO: rcu detected stall in kbx_write", stall("INFO: rcu_sched self-detected stall on CPU")),
    ("INFO: rcu detected stall in kbx_write", stall("INFO: rcu_preempt detected stalls on CPUs/tasks: { 1} (detected by 0)")),
    ("INFO: rcu detected stall in kbx_write", stall("rcu: INFO: rcu_tasks detected stalls on tasks:")),
    ("INFO: rcu detected stall in kbx_fault", stalled("kbx_find", "kbx_fault", "__do_fault", "handle_mm_fault", "vm_mmap_pgoff")),
    (
        "INFO: rcu detected stall in kbx_read",
        (
            "rcu: INFO: rcu_sched self-detected stall on CPU\nrcu: \t1-....: (5250 ticks this GP)\n"
            f"{at('kbx_find')}Call Trace:\n <IRQ>\n ? rcu_dump_cpu_stacks+0x1/0x2\n ? sysvec_apic_timer_interrupt+0x1/0x2\n"
            " </IRQ>\n <TASK>\n ? asm_sysvec_apic_timer_interrupt+0x1/0x2\n kbx_find+0x1/0x2\n kbx_read+0x1/0x2\n"
            " vfs_read+0x1/0x2\n ksys_read+0x1/0x2\n </TASK>\n"
        ),
    ),
    (
        NULL,
        (
            "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000194\n"
            "pc : [0xffffffddd7a79bf8] kbx_ioctl+0x8/0x14\nlr : [0xffffffddd6155b84] kbx_open+0x1c/0x40 [kbx]\n"
            + trace("kbx_ioctl", "vfs_ioctl", "do_vfs_ioctl", head="Call trace:")
        ),
    ),
    (
        "UBSAN: array-index-out-of-bounds in kbx_ioctl",
        (
            "UBSAN: array-index-out-of-bounds in\n/build/linux/drivers/misc/kbx.c:3900:10\nindex 1 is out of range for type 'int [1]'\n"
            + CPU
            + trace("dump_stack", "__ubsan_handle_out_of_bounds", *IOCTL)
        ),
    ),
    ("INFO: rcu detected stall in kbx_open", stalled("kbx_find", "kbx_open", "vfs_open", "path_openat")),
    ("INFO: rcu detected stall in kbx_map", stalled("kbx_find", "kbx_map", "do_mmap", "vm_mmap_pgoff")),
    ("INFO: rcu detected stall in __run_timer_base", stalled("__run_timer_base", "run_timer_softirq", "handle_softirqs")),
    ("INFO: rcu detected stall in handle_softirqs", stalled("kbx_free", "rcu_core", "handle_softirqs", "run_ksoftirqd")),
    ("INFO: rcu detected stall in sys_sendto", stalled("kbx_sendmsg", "__sock_sendmsg", "__x64_sys_sendto", "do_syscall_64")),
    (
        "BUG: soft lockup in kbx_write",
        f"BUG: soft lockup - CPU#0 stuck for 22s! [prog:4242]\n{at('kbx_poll')}"
        + trace("kbx_loop", "kbx_write", "vfs_write", "SyS_write"),
    ),
    (
        "BUG: hard lockup in kbx_write",
        f"NMI watchdog: Watchdog detected hard LOCKUP on cpu 0\nModules linked in:\n{at('kbx_poll')}"
        + trace("kbx_loop", "kbx_write", "vfs_write", "ksys_write"),
    ),
    (
        "BUG: hard lockup in kbx_write",
        f"watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0\nModules linked in:\n{at('kbx_poll')}"
        + trace("kbx_loop", "kbx_write", "vfs_write", "ksys_write"),
    ),
    ("INFO: task hung in kbx_read", hung("io_schedule", "folio_wait_bit_common", "__filemap_get_folio", "kbx_read")),
    ("INFO: task hung in kbx_read", hung("schedule_timeout", "__wait_for_common", "__flush_workqueue", "kbx_read")),
    (
        "INFO: task hung in kbx_read",
        hung("kbx_read", line="INFO: task prog:4242 blocked in I/O wait for more than 143 seconds."),
    ),
    (
        "INFO: task can't die in kbx_wait",
        hung("schedule_timeout", "wait_for_completion", "kbx_wait", line="INFO: task prog:4242 can't die for more than 143 seconds."),
    ),
    # Memory.
    ("memory leak in kbx_ioctl", leak("backtrace:")),
    ("memory leak in kbx_ioctl", leak("backtrace:\n    [<000000004bb5aa0e>] idr_get_free+0x1d3/0x3f0")),
    (
        "BUG: spinlock bad magic in kbx_ioctl",
        locked("spinlock bad magic", "spin_bug", "kbx_queue_lock").replace("_raw_spin_lock_bh", "kbx_queue_unlock"),
    ),
    ("memory leak in kbx_ioctl", leak("backtrace (crc 6e3b1c2d):")),
    (
        "KASAN: null-ptr-deref Read",
        f"BUG: KASAN: null-ptr-deref on address 0000000000000010\nRead of size 8 by task prog/4242\n{STACK}",
    ),
    (
        "KASAN: invalid-free in kbx_ioctl",
        f"BUG: KASAN: double-free in slab_free mm/slub.c:4352 [inline]\nBUG: KASAN: double-free in kfree+0xd2/0x2b0 mm/slub.c:99\n{CPU}"
        + trace("dump_stack", "kasan_report_invalid_free", "kfree", *IOCTL),
    ),
    (
        "KMSAN: kernel-usb-infoleak in kbx_ioctl",
        ("BUG: KMSAN: kernel-usb-infoleak in usb_submit_urb+0x1/0x2\n usb_submit_urb+0x1/0x2\n usb_start_wait_urb+0x1/0x2\n"
        f" usb_bulk_msg+0x1/0x2\n kbx_ioctl+0x1/0x2\n\nUninit was created at:\n __kmalloc+0x1/0x2\n kbx_open+0x1/0x20\n\n{CPU}"),
    ),
    (
        "KCSAN: assert: race in kbx_get / kbx_set",
        ("BUG: KCSAN: assert: race in kbx_get / kbx_set\n\nwrite to 0xffffffffc009a628 of 8 bytes by task 487 on cpu 0:\n"
        " kbx_set+0x12/0x30\n kbx_ioctl+0x1/0x30\n\nassert no writes to 0xffffffffc009a628 of 8 bytes by task 488 on cpu 1:\n"
        " kbx_get+0x12/0x30\n kbx_read+0x1/0x30\n"),
    ),
    (
        "KCSAN: data-race in kbx_get",
        ("BUG: KCSAN: data-race in kbx_get\n\nrace at unknown origin, with read to 0xffff88800009a628 of 8 bytes by task 487 on cpu 0:\n"
        " kbx_get+0x12/0x30\n kbx_ioctl+0x1/0x30\n"),
    ),
    # Before 3.2.
    (
        "INFO: suspicious RCU usage in kbx_timeout",
        ("[ INFO: suspicious rcu_dereference_check() usage. ]\n---\ndrivers/misc/kbx.c:148 invoked rcu_dereference_check() without protection!\n"
        "stack backtrace:\nPid: 487, comm: prog Not tainted 3.1.0 #16\nCall Trace:\n lockdep_rcu_dereference+0xa4/0xc0\n"
        " kbx_timeout+0xc9/0x110\n call_timer_fn+0x8a/0x360\n"),
    ),
    # mm/slub.c says how the kernel is tainted.
    ("BUG: Poison overwritten", slub("BUG filp (Not tainted): Poison overwritten")),
    ("BUG: Poison overwritten", slub("BUG filp (Tainted: G    B   W         ): Poison overwritten")),
    ("BUG: Object already free", slub("BUG kmalloc-64 (Tainted: G        W          ): Object already free")),
    (
        "kernel BUG in kbx_ioctl",
        fault("kernel BUG at ./include/linux/skbuff.h:2724!\ninvalid opcode: 0000 [#1] SMP", "__skb_pull", "skb_pull"),
    ),
    ("BUG: Bad page cache", f"BUG: Bad page cache in process prog  pfn:1cbd2\n{STACK}"),
    ("BUG: MAX_STACK_TRACE_ENTRIES too low!", "BUG: MAX_STACK_TRACE_ENTRIES too low!\nturning off the locking correctness validator.\n"),
    ("BUG: bad host security descriptor; not enough data (NUM vs NUM left)", "usb 1-1: BUG: bad host security descriptor; not enough data (3 vs 5 left)\n"),
    # Panics, and Rust's.
    ("kernel panic: bad mode", f"Bad mode in Error handler detected on CPU0\nKernel panic - not syncing: bad mode\n{CPU}" + trace(*IOCTL)),
    (
        "BUG: corrupted list in kbx_del",
        f"list_del corruption. prev->next should be ffff8801\nkernel BUG at lib/list_debug.c:53!\n{CPU}"
        + trace("kbx_del", "kbx_ioctl", "vfs_ioctl"),
    ),
    (
        "WARNING in check_flags",
        warn(
            "WARNING: CPU: 0 PID: 4242 at kernel/locking/lockdep.c:3914 check_flags+0x12/0x40",
            "lock_is_held_type",
            rip="check_flags",
        ),
    ),
    ("kernel panic: Couldn't open N_TTY ldisc", f"Kernel panic - not syncing: Couldn't open N_TTY ldisc for kbx0 --- error -12.\n{STACK}"),
    (
        "kernel stack overflow in kbx_write",
        f"Insufficient stack space to handle exception!\n{CPU}Kernel panic - not syncing: Kernel stack overflow\n{CPU}"
        + trace("dump_backtrace", "show_stack", "panic", "kbx_loop", "kbx_write", "vfs_write", head="Call trace:"),
    ),
    (
        "attempt to add with overflow in kbx_rust::mmap",
        ("rust_kernel: panicked at drivers/misc/kbx.rs:12:9:\nattempt to add with overflow\n------------[ cut here ]------------\n"
        f"{CPU}Call Trace:\n _RNvCs43vyB533jt3_11rust_kernel17rust_begin_unwind+0x1/0x2\n"
        " _RNvNtCs43vyB533jt3_4core9panicking9panic_fmt+0x1/0x2\n _RNvCs1234_8kbx_rust4mmap+0x1/0x2\n vfs_ioctl+0x1/0x2\n"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("title", "text"), PRINTED)
@pytest.mark.parametrize(
    "prefix", ["", "[   12.000001] ", "[   12.000001][ T4242] "], ids=["bare", "times", "callers"]
)
def test_generation(title, text, prefix):
    console = "".join(f"{prefix}{line}\n" for line in text.splitlines())
    first = parse_console(console.encode())[0]
    assert first.title == title
    assert not first.corrupted, first.corrupted_reason


CUT = [
    ("kernel panic: Fatal exception", f"Kernel panic - not syncing: Fatal exception in interrupt\n{STACK}"),
    ("kernel panic: panic_on_warn set", f"Kernel panic - not syncing: panic_on_warn set ...\n{STACK}"),
    ("kernel panic: hung_task: blocked tasks", f"Kernel panic - not syncing: hung_task: blocked tasks\n{STACK}"),
    ("BUG: unable to handle kernel", "BUG: unable to handle kernel \nother words\n"),
    ("KASAN: slab-out-of-bounds in kbx_ioctl at addr ADDR", "BUG: KASAN: slab-out-of-bounds in kbx_ioctl+0x1/0x2 at addr ffff8801b3c58144\n"),
    ("INFO: Freed in kbx_free age=NUM cpu=NUM pid=NUM", "INFO: Freed in kbx_free+0x1/0x2 age=5 cpu=1 pid=4242\n"),
    ("trusty: ASSERT FAILED:", "trusty: panic (caller 0x1234): DEBUG ASSERT FAILED\n"),
    ("WARNING: possible circular locking dependency detected", "WARNING: possible circular locking dependency detected\n4.15.0 #1 Not tainted\n"),
    (
        "possible deadlock in corrupted",
        (
            "WARNING: possible circular locking dependency detected\n4.15.0 #1 Not tainted\n"
            "prog/4242 is trying to acquire lock:\nffff8801 (&a){+.+.}, at: \nkbx: other words\n"
        ),
    ),
    ("UBSAN: array index", "[panic_reason]: UBSAN: array index\n"),
    ("Kernel panic", "---[ end Kernel panic\n"),
    ("WARNING in corrupted", "WARNING: CPU: 0 PID: 4242 at kbx.c:2 kbx_ioctl+0x12/0x40\nModules linked in:\n"),
    ("BUG: bad host [ NUM.ADDR] usb NUM-NUM: new", "[   12.000001][ T4242] BUG: bad host [    1.234567] usb 1-1: new\n"),
    ("WARNING in kbx_ioctl", warned("kbx.c:2", "kbx_ioctl") + "serialport: VM disconnected.\n"),
]  # fmt: skip


@pytest.mark.parametrize(("title", "text"), CUT)
def test_what_was_cut_short_says_so(title, text):
    first = parse_console(text.encode())[0]
    assert first.title == title
    assert first.corrupted
    assert first.corrupted_reason
