"""Every way in which kernels report a fault, in the words of their own printk formats.

The consoles in logs/ show whole reports; here is the least of each format that names it, also of
formats that are hard to bring about in a guest. Formats are those of kernels 4.4 to 6.18.
"""

from __future__ import annotations

import pytest

from pytest_kbisect.crash import parse_console
from pytest_kbisect.crash.kinds import kind_of

CPU = "CPU: 0 PID: 4242 Comm: prog Not tainted 4.15.0 #1\nHardware name: QEMU Standard PC\n"


def trace(*functions, head="Call Trace:"):
    return (
        head + "\n" + "".join(f" {name}+0x{at + 17:x}/0x{at + 80:x}\n" for at, name in enumerate(functions))
    )


IOCTL = ("kbx_ioctl", "vfs_ioctl", "do_vfs_ioctl", "SyS_ioctl", "entry_SYSCALL_64_fastpath")
STACK = CPU + trace("dump_stack", *IOCTL)


def at(function):
    return f"{CPU}RIP: 0010:{function}+0x12/0x40\nRSP: 0018:ffff8801d35777e8 EFLAGS: 00010216\n"


def fault(headline, function="kbx_ioctl", *above):
    """A fault of x86: registers, then the callers."""
    return f"{headline}\n{at(function)}{trace(*above, *(IOCTL if above else IOCTL[1:]))}"


def warned(where, function, *above, words=""):
    return fault(
        f"------------[ cut here ]------------\n{words}WARNING: CPU: 0 PID: 4242 at {where} {function}+0x12/0x40\n"
        "Modules linked in:",
        function,
        *above,
    )


def kasan(headline, access):
    return (
        f"{'=' * 66}\nBUG: KASAN: {headline}\n{access} by task prog/4242\n\n"
        + CPU
        + trace("dump_stack", "kasan_report", *IOCTL)
    )


def kfence(headline, detail):
    return f"{'=' * 66}\nBUG: KFENCE: {headline}\n\n{detail}:\n kbx_ioctl+0x21/0x60\n vfs_ioctl+0x1/0x20\n\n{CPU}"


def held(headline, *rest):
    return (
        f"{headline}\n4.15.0 #1 Not tainted\n------------------------------------\n"
        + "".join(rest)
        + "1 lock held by prog/4242:\n #0:  (&kbx->lock){+.+.}, at: [<ffffffff81234567>] kbx_ioctl+0x10/0x20\n"
        + f"\nstack backtrace:\n{STACK}"
    )


def cycle(headline, *rest):
    return (
        f"======================================================\n{headline}\n4.15.0 #1 Not tainted\n"
        "------------------------------------------------------\nprog/4242 is trying to acquire lock:\n"
        " (&kbx->a){+.+.}, at: [<ffffffff81234567>] kbx_ioctl+0x10/0x20\n\nbut task is already holding lock:\n"
        " (&kbx->b){+.+.}, at: [<ffffffff81234568>] kbx_open+0x10/0x20\n"
        + "".join(rest)
        + f"\nstack backtrace:\n{STACK}"
    )


def preempted(call):
    return (
        f"BUG: using {call}() in preemptible [00000000] code: prog/4242\ncaller is kbx_ioctl+0x1/0x2\n{CPU}"
        + trace("dump_stack", "check_preemption_disabled", "__this_cpu_preempt_check", *IOCTL)
    )


def locked(what, function, primitive):
    return (
        f"BUG: {what} on CPU#0, prog/4242\n lock: 0xffff8800aaaa, .magic: dead4ead, .owner: prog/1, .owner_cpu: 1\n"
        + CPU
        + trace("dump_stack", function, primitive, "_raw_spin_lock_bh", *IOCTL)
    )


def ubsan(kind):
    return (
        f"{'=' * 80}\nUBSAN: {kind} in drivers/misc/kbx.c:10:20\nindex 7 is out of range for type 'int [4]'\n{CPU}"
        + trace("dump_stack", "ubsan_epilogue", "__ubsan_handle_out_of_bounds", *IOCTL)
    )


def stall(headline):
    return (
        f"{headline}\n{CPU}"
        + trace("sched_show_task", "rcu_sched_clock_irq", head="Call Trace:\n <IRQ>")
        + " asm_sysvec_apic_timer_interrupt+0x12/0x20\nRIP: 0010:kbx_poll+0x1/0x20\n"
        + " kbx_loop+0x1/0x2\n kbx_write+0x2/0x20\n vfs_write+0x3/0x30\n ksys_write+0x4/0x40\n do_syscall_64+0x1/0x2\n"
    )


BLOCKED = (
    '      Not tainted 6.1.0 #1\n"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.\n'
    "task:prog            state:D stack:27704 pid:4242  ppid:1      flags:0x00004004\n"
)

CRASHES = {
    "KASAN: slab-use-after-free Read in kbx_ioctl": kasan(
        "slab-use-after-free in kbx_ioctl+0x1/0x2", "Read of size 8 at addr ffff888004b41c18"
    ),
    "KASAN: use-after-free Write in kbx_ioctl": kasan(
        "use-after-free in kbx_ioctl+0x1/0x2", "Write of size 8 at addr ffff888004b41c18"
    ),
    "KASAN: slab-out-of-bounds Write in kbx_ioctl": kasan(
        "slab-out-of-bounds in kbx_ioctl+0x1/0x2", "Write of size 1 at addr ffff888004b41c18"
    ),
    "KASAN: out-of-bounds Write in kbx_ioctl": kasan(
        "out-of-bounds in kbx_ioctl+0x1/0x2", "Write of size 1 at addr ffff888004b41c18"
    ),
    "KASAN: vmalloc-out-of-bounds Read in kbx_ioctl": kasan(
        "vmalloc-out-of-bounds in kbx_ioctl+0x1/0x2", "Read of size 1 at addr ffffc90000b41c18"
    ),
    "KASAN: null-ptr-deref Read in kbx_ioctl": kasan(
        "null-ptr-deref in kbx_ioctl+0x1/0x2", "Read of size 8 at addr 0000000000000078"
    ),
    "KASAN: null-ptr-deref Write in kbx_ioctl": kasan(
        "null-ptr-deref in kbx_ioctl+0x1/0x2", "Write of size 8 at addr 0000000000000078"
    ),
    "KASAN: wild-memory-access Read in kbx_ioctl": kasan(
        "wild-memory-access in kbx_ioctl+0x1/0x2", "Read of size 8 at addr dead000000000100"
    ),
    "KASAN: user-memory-access Write in kbx_ioctl": kasan(
        "user-memory-access in kbx_ioctl+0x1/0x2", "Write of size 8 at addr 0000000020000000"
    ),
    "KASAN: invalid-access Read in kbx_ioctl": kasan(
        "invalid-access in kbx_ioctl+0x1/0x2", "Read of size 8 at addr f0ff888004b41c18"
    ),
    "KASAN: unknown-crash Read in kbx_ioctl": kasan(
        "unknown-crash in kbx_ioctl+0x1/0x2", "Read of size 8 at addr ffff888004b41c18"
    ),
    "KASAN: invalid-free in kbx_ioctl": f"{'=' * 66}\nBUG: KASAN: double-free or invalid-free in kfree+0xd2/0x2b0\n\n{CPU}"
    + trace("dump_stack", "kasan_report_invalid_free", "__kasan_slab_free", "kfree", *IOCTL),
    "KFENCE: use-after-free read in kbx_ioctl": kfence(
        "use-after-free read in kbx_ioctl+0xb3/0x143", "Use-after-free read at 0xffffffffb673dfe0 (in kfence-#24)"
    ),
    "KFENCE: use-after-free write in kbx_ioctl": kfence(
        "use-after-free write in kbx_ioctl+0xb3/0x143",
        "Use-after-free write at 0xffffffffb673dfe0 (in kfence-#24)",
    ),
    "KFENCE: out-of-bounds read in kbx_ioctl": kfence(
        "out-of-bounds read in kbx_ioctl+0xa3/0x22b",
        "Out-of-bounds read at 0xffffffffb672efff (1B left of kfence-#17)",
    ),
    "KFENCE: invalid write in kbx_ioctl": kfence(
        "invalid write in kbx_ioctl+0xa3/0x22b", "Invalid write at 0xffffffffb670b00a"
    ),
    "KFENCE: memory corruption in kbx_ioctl": kfence(
        "memory corruption in kbx_ioctl+0x9b/0x102",
        "Corrupted memory at 0xffffffffb6741ff8 [ ! . . . ] (in kfence-#26)",
    ),
    "KFENCE: invalid free in kbx_ioctl": kfence(
        "invalid free in kbx_ioctl+0xdc/0x171", "Invalid free of 0xffffffffb6741000 (in kfence-#26)"
    ),
    "KMSAN: uninit-value in kbx_ioctl": f"{'=' * 53}\nBUG: KMSAN: uninit-value in kbx_ioctl+0x1/0x2\n kbx_ioctl+0x1/0x2\n"
    " vfs_ioctl+0x1/0x20\n\nUninit was created at:\n __alloc_pages+0x1/0x20\n kbx_open+0x1/0x20\n\n" + CPU,
    "KMSAN: kernel-infoleak in kbx_read": f"{'=' * 53}\nBUG: KMSAN: kernel-infoleak in _copy_to_iter+0x1/0x2\n"
    " _copy_to_iter+0x1/0x2\n kbx_read+0x1/0x20\n vfs_read+0x1/0x20\n\nUninit was created at:\n"
    " __kmalloc+0x1/0x20\n kbx_open+0x1/0x20\n\n" + CPU,
    "KCSAN: data-race in kbx_get / kbx_set": f"{'=' * 66}\nBUG: KCSAN: data-race in kbx_get / kbx_set\n\n"
    "write to 0xffffffffc009a628 of 8 bytes by task 487 on cpu 0:\n kbx_set+0x12/0x30\n kbx_ioctl+0x1/0x30\n\n"
    "read to 0xffffffffc009a628 of 8 bytes by task 488 on cpu 1:\n kbx_get+0x12/0x30\n kbx_read+0x1/0x30\n",
    "UBSAN: shift-out-of-bounds in kbx_ioctl": ubsan("shift-out-of-bounds"),
    "UBSAN: array-index-out-of-bounds in kbx_ioctl": ubsan("array-index-out-of-bounds"),
    "UBSAN: undefined-behaviour in kbx_ioctl": ubsan("Undefined behaviour"),
    "general protection fault in kbx_ioctl": fault("general protection fault: 0000 [#1] SMP KASAN"),
    "general protection fault in kbx_list": fault(
        "general protection fault, probably for non-canonical address 0xdffffc0000000001: 0000 [#1] PREEMPT SMP",
        "__list_del_entry_valid",
        "kbx_list",
    ),
    "stack segment fault in kbx_ioctl": fault("stack segment: 0000 [#1] SMP KASAN"),
    "divide error in kbx_ioctl": fault("divide error: 0000 [#1] SMP KASAN"),
    "invalid opcode in kbx_ioctl": fault("invalid opcode: 0000 [#1] SMP KASAN"),
    "int3 in kbx_ioctl": fault("int3: 0000 [#1] SMP KASAN"),
    "PANIC: double fault in kbx_ioctl": fault("PANIC: double fault, error_code: 0x0"),
    "BUG: unable to handle kernel paging request in kbx_ioctl": fault(
        "BUG: unable to handle page fault for address: fffffbfff4041000\n#PF: supervisor read access in kernel mode"
    ),
    "BUG: unable to handle kernel NULL pointer dereference in kbx_ioctl": fault(
        "BUG: kernel NULL pointer dereference, address: 0000000000000010\n#PF: supervisor read access in kernel mode"
    ),
    "BUG: unable to handle kernel NULL pointer dereference in kbx_open": "Unable to handle kernel NULL pointer dereference"
    " at virtual address 0000000000000010\nMem abort info:\nInternal error: Oops: 0000000096000004 [#1] PREEMPT SMP\n"
    f"{CPU}pc : kbx_open+0x40/0xd0\nlr : chrdev_open+0x1/0x20\n"
    + trace("kbx_open", "chrdev_open", "do_dentry_open", head="Call trace:"),
    "Unhandled fault in kbx_ioctl": "Unhandled fault: page domain fault (0x81b) at 0x00001044\npgd = 74561366\n"
    f"Internal error: : 81b [#1] SMP ARM\nModules linked in:\n{CPU}PC is at kbx_ioctl+0x30/0xa8\nLR is at   (null)\n"
    "Backtrace: \n[<80155a00>] (kbx_ioctl) from [<80155b00>] (vfs_ioctl+0x1/0x2)\n"
    "[<80155b00>] (vfs_ioctl) from [<80155c00>] (sys_ioctl+0x1/0x2)\n",
    "Alignment trap in kbx_ioctl": "Alignment trap: not handling instruction e1931f9f at [<8014a2b4>]\n"
    "Unhandled fault: alignment exception (0x001) at 0xcc000003\npgd = 80004000\n"
    f"Internal error: : 1 [#1] SMP ARM\nModules linked in:\n{CPU}PC is at kbx_ioctl+0x10/0x20\nLR is at f+0x1/0x2\n"
    "Backtrace: \n[<8014a2a0>] (kbx_ioctl) from [<8014a2b0>] (vfs_ioctl+0x1/0x2)\n"
    "[<8014a2b0>] (vfs_ioctl) from [<8014a2c0>] (sys_ioctl+0x1/0x2)\n",
    "Internal error in kbx_ioctl": "Internal error: synchronous external abort: 96000210 [#1] PREEMPT SMP\n"
    f"Modules linked in:\n{CPU}pc : kbx_ioctl+0x18/0x28\nlr : vfs_ioctl+0x1/0x20\n"
    + trace(*IOCTL[:3], head="Call trace:"),
    "kernel BUG in kbx_ioctl": fault("kernel BUG at drivers/misc/kbx.c:77!\ninvalid opcode: 0000 [#1] SMP KASAN"),
    "BUG: corrupted list in kbx_ioctl": fault(
        "list_del corruption. prev->next should be ffff8801, but was dead000000000100\n"
        "kernel BUG at lib/list_debug.c:53!\ninvalid opcode: 0000 [#1] SMP KASAN",
        "__list_del_entry_valid",
        "list_del",
    ),
    "BUG: bad usercopy in kbx_ioctl": fault(
        "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-32' (offset 0, size 200)!\n"
        "kernel BUG at mm/usercopy.c:101!\ninvalid opcode: 0000 [#1] SMP KASAN",
        "usercopy_abort",
        "__check_heap_object",
        "__check_object_size",
    ),
    "WARNING in kbx_ioctl": warned("drivers/misc/kbx.c:211", "kbx_ioctl"),
    "WARNING in kbx_alloc": warned("mm/page_alloc.c:5534", "__alloc_pages", "alloc_pages", "kmalloc_order", "kbx_alloc"),
    "WARNING in kbx_new": warned("mm/page_alloc.c:5534", "__alloc_pages", "slob_new_pages", "__kmalloc", "kbx_new"),
    "WARNING: refcount bug in kbx_ioctl": warned("lib/refcount.c:28", "refcount_warn_saturate", "refcount_dec_and_test", words="refcount_t: underflow; use-after-free.\n"),
    "WARNING: ODEBUG bug in kbx_free": warned(
        "lib/debugobjects.c:329",
        "debug_print_object",
        "__debug_check_no_obj_freed",
        "kfree",
        "kbx_free",
        words="ODEBUG: free active (active state 0) object type: timer_list hint: kbx_fn+0x0/0x9\n",
    ),
    "WARNING: kobject bug in kbx_ioctl": warned("lib/kobject.c:708", "kobject_put", "kobject_cleanup"),
    "WARNING: proc registration bug in kbx_ioctl": warned("fs/proc/generic.c:377", "proc_register", "proc_create_data", "proc_create"),
    "WARNING: kmalloc bug in kbx_ioctl": warned("mm/util.c:597", "kvmalloc_node", "kvmalloc_array"),
    "WARNING: zero-size vmalloc in kbx_ioctl": warned("mm/vmalloc.c:3247", "__vmalloc_node_range", "__vmalloc_node", "vmalloc"),
    "WARNING: bad usercopy in kbx_ioctl": warned("mm/usercopy.c:81", "usercopy_warn", "__check_heap_object", "__check_object_size"),
    "WARNING: locking bug in kbx_ioctl": warned("kernel/locking/lockdep.c:4635", "__lock_acquire", "lock_acquire", "_raw_spin_lock"),
    "WARNING in kbx_start/usb_submit_urb": warned("drivers/usb/core/urb.c:505", "usb_submit_urb", "kbx_start"),
    "WARNING: kernel stack regs has bad 'bp' value": "WARNING: kernel stack regs at ffff8801 in prog:4242 has bad 'bp' value ffff8802\n",
    "WARNING: kernel stack frame pointer has bad value": "WARNING: kernel stack frame pointer at ffff8801 in prog:4242 has bad value ffff8802\n",
    "WARNING: kernel stack regs has bad value": "WARNING: kernel stack frame pointer at (ptrval) in prog:4242 has bad value (ptrval)\n",
    "possible deadlock in kbx_ioctl": cycle("WARNING: possible circular locking dependency detected"),
    "possible deadlock in kbx_irq": cycle(
        "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
        "which became HARDIRQ-irq-safe at:\n  lock_acquire+0x1/0x2\n  _raw_spin_lock+0x1/0x2\n  kbx_irq+0x1/0x2\n",
    ),
    "inconsistent lock state in kbx_ioctl": "================================\nWARNING: inconsistent lock state\n"
    "4.15.0 #1 Not tainted\n--------------------------------\ninconsistent {IN-SOFTIRQ-W} -> {SOFTIRQ-ON-W} usage.\n"
    "prog/4242 [HC0[0]:SC0[0]:HE1:SE1] takes:\n (&kbx->a){+.?.}, at: [<ffffffff81234567>] kbx_ioctl+0x10/0x20\n"
    f"{{IN-SOFTIRQ-W}} state was registered at:\n  kbx_timer+0x1/0x2\n\nstack backtrace:\n{STACK}",
    "WARNING: bad unlock balance in kbx_ioctl": held(
        "WARNING: bad unlock balance detected!",
        "prog/4242 is trying to release lock (&kbx->lock) at:\n[<ffffffff81234567>] kbx_ioctl+0x10/0x20\n"
        "but there are no more locks to release!\n",
    ),
    "WARNING: still has locks held in kbx_ioctl": held("WARNING: prog/4242 still has locks held!"),
    "WARNING: held lock freed in kbx_ioctl": held(
        "WARNING: held lock freed!",
        "prog/4242 is freeing memory ffff8801-ffff8802, with a lock still held there!\n"
        " (&kbx->lock){+.+.}, at: [<ffffffff81234567>] kbx_ioctl+0x10/0x20\n",
    ),
    "WARNING: nested lock was not taken in kbx_ioctl": "==================================\n"
    "WARNING: Nested lock was not taken\n4.15.0 #1 Not tainted\n----------------------------------\n"
    f"prog/4242 is trying to lock:\n(&a){{+.+.}}, at: f+0x1/0x2\nbut this task is not holding:\n&b\nstack backtrace:\n{CPU}"
    + trace("dump_stack", "__lock_acquire", "lock_acquire", "_raw_spin_lock_nest_lock", *IOCTL),
    "BUG: lock held when returning to user space in kbx_ioctl": "[ BUG: lock held when returning to user space! ]\n"
    "4.9.0 #1 Not tainted\nprog/4242 is leaving the kernel with locks still held!\n1 lock held by prog/4242:\n"
    " #0:  (&kbx->lock){+.+...}, at: [<ffffffff82345678>] kbx_ioctl+0x11/0x20\n",
    "WARNING: suspicious RCU usage in kbx_ioctl": "=============================\nWARNING: suspicious RCU usage\n"
    "4.15.0 #1 Not tainted\n-----------------------------\ndrivers/misc/kbx.c:9 suspicious rcu_dereference_check() usage!\n"
    f"\nstack backtrace:\n{CPU}" + trace("dump_stack", "lockdep_rcu_suspicious", *IOCTL),
    "INFO: trying to register non-static key in kbx_ioctl": "INFO: trying to register non-static key.\n"
    f"the code is fine but needs lockdep annotation.\nturning off the locking correctness validator.\n{CPU}"
    + trace("dump_stack", "assign_lock_key", "register_lock_class", "__lock_acquire", "lock_acquire", *IOCTL),
    "BUG: using smp_processor_id() in preemptible code in kbx_ioctl": preempted("smp_processor_id"),
    "BUG: using __this_cpu_add() in preemptible code in kbx_ioctl": preempted("__this_cpu_add"),
    "BUG: spinlock bad magic in kbx_ioctl": locked("spinlock bad magic", "spin_bug", "do_raw_spin_lock"),
    "BUG: spinlock recursion in kbx_ioctl": locked("spinlock recursion", "spin_dump", "do_raw_spin_lock"),
    "BUG: spinlock already unlocked in kbx_ioctl": locked("spinlock already unlocked", "spin_bug", "do_raw_spin_unlock"),
    "BUG: spinlock lockup suspected in kbx_ioctl": locked("spinlock lockup suspected", "spin_dump", "do_raw_spin_lock"),
    "BUG: rwlock bad magic in kbx_ioctl": locked("rwlock bad magic", "rwlock_bug", "do_raw_write_lock"),
    "BUG: scheduling while atomic in kbx_ioctl": f"BUG: scheduling while atomic: prog/4242/0x00000002\n{CPU}"
    + trace("dump_stack", "__schedule_bug", "__schedule", "schedule", "schedule_timeout", *IOCTL),
    "BUG: sleeping function called from invalid context in kbx_ioctl": "BUG: sleeping function called from invalid context"
    f" at mm/slab.h:421\nin_atomic(): 1, irqs_disabled(): 0, pid: 4242, name: prog\n{CPU}"
    + trace("dump_stack", "___might_sleep", "__might_sleep", "kmem_cache_alloc_trace", *IOCTL),
    "BUG: workqueue leaked lock or atomic in kbx_work": "BUG: workqueue leaked lock or atomic: kworker/0:1/0x00000000/1\n"
    "     last function: kbx_work\n",
    "BUG: workqueue lockup": "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 35s!\n",
    "INFO: rcu detected stall in kbx_write": stall("rcu: INFO: rcu_preempt self-detected stall on CPU"),
    "INFO: rcu detected stall in kbx_write ": stall(
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-...D } 2650 jiffies s: 425 root: 0x1/."
    ),
    "BUG: soft lockup in kbx_write": f"watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [prog:4242]\n{at('kbx_poll')}"
    + trace("kbx_loop", "kbx_write", "vfs_write", "ksys_write", "do_syscall_64"),
    "INFO: task hung in kbx_read": f"INFO: task prog:4242 blocked for more than 120 seconds.\n{BLOCKED}"
    + trace("__schedule", "schedule", "schedule_timeout", "wait_for_completion", "kbx_read", "vfs_read"),
    "INFO: task hung in rtnl_lock": f"INFO: task prog:4242 blocked for more than 120 seconds.\n{BLOCKED}"
    + trace("__schedule", "schedule", "__mutex_lock", "rtnl_lock", "kbx_read"),
    "INFO: task hung in synchronize_rcu": f"INFO: task prog:4242 blocked for more than 120 seconds.\n{BLOCKED}"
    + trace("__schedule", "schedule", "synchronize_rcu_expedited", "synchronize_net", "kbx_read"),
    "memory leak in kbx_open": 'BUG: memory leak\nunreferenced object 0xffff88006b006340 (size 32):\n  comm "prog", pid 1,'
    " jiffies 4294937368 (age 8.5s)\n  backtrace:\n    [<000000005cb5aa0e>] __kmalloc+0x1d3/0x3f0\n"
    "    [<0000000074d33dbd>] kbx_item_alloc+0x33/0x70\n    [<00000000c8234a88>] kbx_open+0x38/0xc0\n",
    "BUG: Bad page state in kbx_free": "BUG: Bad page state in process prog  pfn:1cbd2\npage:0000 refcount:-1 mapcount:0\n"
    f"{CPU}" + trace("dump_stack", "bad_page", "check_free_page_bad", "__free_pages_ok", "kbx_free"),
    "BUG: Bad page map": "BUG: Bad page map in process prog  pte:ffff8801 pmd:1cbd2067\n" + STACK,
    "BUG: Bad rss-counter state": "BUG: Bad rss-counter state mm:ffff8801c4ba9b80 type:MM_ANONPAGES val:2\n",
    "BUG: stack guard page was hit in kbx_write": fault(
        "BUG: TASK stack guard page was hit at ffffc90000 (stack is ffffc9..ffffca)\nkernel stack overflow (double-fault)",
        "kbx_loop",
        "kbx_loop",
        "kbx_loop",
        "kbx_write",
        "vfs_write",
    ),
    "kernel panic: stack is corrupted in kbx_ioctl": "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted"
    f" in: kbx_ioctl+0x1/0x2\n\n{STACK}",
    "kernel panic: corrupted stack end in kbx_write": "Kernel panic - not syncing: corrupted stack end detected inside"
    f" scheduler\n{CPU}" + trace("dump_stack", "panic", "schedule", "kbx_write", "vfs_write"),
    "kernel panic: Attempted to kill init!": f"Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009\n{STACK}",
    "kernel panic: VFS: Unable to mount root fs on unknown-block(NUM,NUM)": "Kernel panic - not syncing: VFS: Unable to mount"
    f" root fs on unknown-block(0,0)\n{CPU}" + trace("dump_stack", "panic", "mount_root", "kernel_init"),
    "kernel panic: sysrq triggered crash": f"Kernel panic - not syncing: sysrq triggered crash\n{STACK}",
    "VFS: Busy inodes after unmount (use-after-free)": "VFS: Busy inodes after unmount of loop0. Self-destruct in 5 seconds.\n",
    "VFS: Close: file count is zero (use-after-free)": "VFS: Close: file count is 0\n",
    "unregister_netdevice: waiting for DEV to become free": "unregister_netdevice: waiting for lo to become free."
    " Usage count = 3\n",
    "BUG: Dentry still in use in unmount": "BUG: Dentry ffff8801c5a4ee60{i=2eb2,n=file1}  still in use (1)"
    f" [unmount of tmpfs tmpfs]\n{STACK}",
    "trusty: panic: failed(-NUM) to start app NUM": "trusty: panic (caller ffff1234): failed(-2) to start app 0\n",
    "go runtime error": "fatal error: bulkBarrierPreWrite: unaligned arguments\n\nruntime stack:\n",
    "SYZFAIL: wrong response packet": "SYZFAIL: wrong response packet\n (errno 16: Device or resource busy)\n",
    "unexpected kernel reboot": "[    1.000000] up\n[    0.000000] Linux version 6.1.0 (a@b) #1\n",
}  # fmt: skip


@pytest.mark.parametrize("title", CRASHES)
@pytest.mark.parametrize("printed", ["bare", "with times", "with callers"])
def test_format(title, printed):
    prefix = {"bare": "", "with times": "[   12.000001] ", "with callers": "[   12.000001][ T4242] "}[printed]
    text = CRASHES[title]
    if prefix and not title.startswith(("go ", "unexpected")):
        text = "".join(f"{prefix}{line}\n" for line in text.splitlines())
    first = parse_console(text.encode())[0]
    assert first.title == title.strip()
    assert first.type == kind_of(title.strip())
    assert not first.corrupted, first.corrupted_reason


@pytest.mark.parametrize(
    "line",
    [
        "DEBUG: something",
        "INFO: lockdep is turned off.",
        "INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.5 msecs",
        "WARNING: Spectre v2 mitigation leaves CPU vulnerable",
        "WARNING: The mand mount option has been deprecated",
        "WARNING: Invalid trigger for IRQ29, assuming level low",
        "WARNING: BIOS bug: CPU MTRRs don't cover all of memory, losing 32MB of RAM.",
        "WARNING: Ancient bootloader, some functionality may be limited!",
        "WARNING: LFENCE mitigation is not recommended for this CPU, data leaks possible!",
        "WARNING: CPU#0: NMI appears to be stuck (0->0)!",
        "WARNING: Bad or missing .orc_unwind table.  Disabling unwinder.",
        "WiFi@WARN.FW,UniCmdResultRsp() 69: BUG::UniCmdResult.u4Status = 0xc0000001 cid: = 0x37",
        "nvidia-modeset: WARNING: GPU:0: Unable to read EDID for display device DP-2",
        "WARNING: nvram corruption detected: 0-length partition",
        "fadump: WARNING: Could not setup area to pass additional parameters!",
        "XFS (loop0): WARNING: Reset corrupted AGFL on AG 0. 4 blocks leaked. Please unmount and run xfs_repair.",
        "EXT4-fs (loop0): WARNING: mounting a damaged image",
        "OF: overlay: WARNING: memory leak will occur if overlay removed, property: /kbx/status",
        "traps: prog[4242] general protection fault ip:401136 sp:7ffe error:0 in prog[401000+1000]",
        "traps: prog[4242] trap divide error ip:401136 sp:7ffe error:0",
        "usb 1-1: endpoint3: unknown",
        "ALSA: seq fatal error: cannot create timer (-22)",
        "rcu: INFO: Stall ended before state dump start",
        "BUG filp (Tainted: G    B             ): Objects remaining in filp on __kmem_cache_shutdown()",
        "BUG filp (Tainted: G    B          ): kasan: bad access detected",
        "BUG kmalloc-64 (Not tainted): kasan: bad access detected",
        "kbx: loaded (Tainted: G        W          ): fine",
        "INFO:root:hello",
        'Command line: root=/dev/vda test="BUG: kernel NULL pointer dereference"',
        'Kernel command line: root=/dev/vda test="BUG: kernel NULL pointer dereference"',
        "BPF: INVALID BTF_INFO:72000001",
    ],
)
def test_what_only_sounds_like_a_crash(line):
    assert parse_console(f"[    1.000000][    T1] {line}\n".encode()) == ()
