"""Traces and program counters as each architecture prints them.

The formats are those of arch/*/kernel/{traps,process,stacktrace}.c; addresses and functions are made up.
"""

from __future__ import annotations

import pytest

from pytest_kbisect.crash import parse_console

PAGING = "BUG: unable to handle kernel paging request in kbx_ioctl"
NULL = "BUG: unable to handle kernel NULL pointer dereference in kbx_ioctl"
WARN = "WARNING: CPU: 0 PID: 1 at drivers/kbx.c:12 kbx_ioctl+0x3c4/0x3c8"
BUG = "kernel BUG in kbx_ioctl"
TASK = "CPU: 0 PID: 1 Comm: init Not tainted 6.0.0 #1"

# 32-bit arm, to 5.17 and since: a line is "callee from caller", a module may stand behind either.
ARM_OLD = """[<c010f97c>] (unwind_backtrace) from [<c010c0b8>] (show_stack+0x10/0x14)
[<c010c0b8>] (show_stack) from [<c07bb0d8>] (dump_stack+0xa0/0xc0)
{0}
[<bf0522b0>] (kbx_ioctl [kbx]) from [<c0343fac>] (vfs_ioctl+0x30/0x44)
[<c0343fac>] (vfs_ioctl) from [<c0101000>] (ret_fast_syscall+0x0/0x54)
Exception stack(0xc8849fb0 to 0xc8849ff8)
9fa0:                                     00000000 00000000 00000000 00000000
9fc0: 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
"""
ARM_NEW = """ unwind_backtrace from show_stack+0x18/0x1c
 show_stack from dump_stack_lvl+0x58/0x70
{0}
 kbx_ioctl [kbx] from vfs_ioctl+0x30/0x44
 vfs_ioctl from ret_fast_syscall+0x0/0x54
Exception stack(0xc8849fb0 to 0xc8849ff8)
9fa0:                                     00000000 00000000 00000000 00000000
9fc0: 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
"""
ARM_WARNS = (
    ARM_OLD.format(
        "[<c07bb0d8>] (dump_stack) from [<c0126690>] (__warn+0xd4/0xec)\n"
        "[<c0126690>] (__warn) from [<bf0522b0>] (kbx_ioctl+0x1c/0x28 [kbx])"
    ),
    ARM_NEW.format(" dump_stack_lvl from __warn+0xd4/0xec\n __warn from kbx_ioctl+0x1c/0x28 [kbx]"),
)
ARM_SLEEPS = (
    ARM_OLD.format("[<c07bb0d8>] (dump_stack) from [<c0126690>] (___might_sleep+0xd4/0xec)"),
    ARM_NEW.format(" dump_stack_lvl from __might_resched+0xd4/0xec"),
)
ARM_OOPS = """pgd = 5f458410
[0000000c] *pgd=0d3e2831, *pte=00000000, *ppte=00000000
Internal error: Oops: 17 [#1] SMP ARM
CPU: 0 PID: 7690 Comm: kbx Not tainted 5.4.79 #1373
PC is at {0}
LR is at kbx_ioctl+0x3c/0x5c
pc : [<c01f3218>]    lr : [<c01f32a0>]    psr: 60000013
Stack: (0xc8849e30 to 0xc884a000)
9e20:                                     00000000 00000000 00000000 00000000
"""
# arm64 before 4.13 shows the registers of the exception in the midst of the trace.
ARM64_OLD = """Modules linked in:
CPU: 0 PID: 1 Comm: init Not tainted 4.4.0 #1
task: ffffffc03e878000 ti: ffffffc03e880000 task.ti: ffffffc03e880000
PC is at kbx_ioctl+0x3c4/0x3c8
LR is at kbx_ioctl+0x3c4/0x3c8
pc : [<ffffffc000086ed4>] lr : [<ffffffc000086ed4>] pstate: 60000045
---[ end trace 8ae3ef9b3e3a3f0e ]---
Call trace:
Exception stack(0xffffffc03e883b60 to 0xffffffc03e883c90)
3b60: ffffffc03d2a0018 0000008000000000 ffffffc03e883d20 ffffffc0004c4e5c
3b80: ffffffc03e883bb0 ffffffc0000d6f84 ffffffc000c0a8c0 ffffffc03d2a0018
3ba0: 0000000000000001 ffffffc000a7a018 ffffffc03e883c50 ffffffc0000d7218
3bc0: ffffffc000a7a018 ffffffc03d2a0018 0000000000000001 ffffffc000a7a018
3be0: ffffffc03e883c50 ffffffc0000d7218 ffffffc000a7a018 ffffffc03d2a0018
3c00: 0000000000000001 ffffffc000a7a018 ffffffc03e883c50 ffffffc0000d7218
3c20: ffffffc000a7a018 ffffffc03d2a0018 0000000000000001 ffffffc000a7a018
3c40: ffffffc03e883c50 ffffffc0000d7218 ffffffc000a7a018 ffffffc03d2a0018
3c60: 0000000000000001 ffffffc000a7a018 ffffffc03e883c50 ffffffc0000d7218
3c80: ffffffc000a7a018 ffffffc03d2a0018
[<ffffffc000086ed4>] kbx_ioctl+0x3c4/0x3c8
[<ffffffc0001bd258>] vfs_ioctl+0x38/0x68
[<ffffffc000084c30>] el0_svc_naked+0x24/0x28
"""
RISCV = """Modules linked in: kbx
CPU: 0 PID: 1 Comm: init Not tainted 5.15.0 #47
epc : {0}
 ra : kbx_ioctl+0x10/0x8c
status: 0000000200002120 badaddr: 0000000000000508 cause: 000000000000000d
"""
RISCV_TRACE = "[<ffffffff80005332>] kbx_ioctl+0x12/0x8c\n[<ffffffff8016b2f0>] vfs_ioctl+0xb8/0x118\n"
LOONGARCH = """Oops[#1]:
CPU: 6 PID: 1 Comm: init Not tainted 6.6.40 #23
pc 90000000040e3f28 ra 90000000040e3f18 tp 90000000046f4000 sp 90000000046f7c90
a0 000000000000002e a1 0000000000000087 a2 0000000000000008 a3 0000000000000000
   ra: 90000000040e3f18 vfs_ioctl+0xc8/0xf4
  ERA: 90000000040e3f28 {0}
 CRMD: 000000b0 (PLV0 -IE -DA +PG DACF=CC DACM=CC -WE)
Call Trace:
[<90000000040e3f28>] kbx_ioctl+0xd8/0xf4
[<90000000040f3f80>] vfs_ioctl+0xfc/0x24c
"""
POWERPC = """Faulting instruction address: 0xc0000000000a1b2c
Oops: Kernel access of bad area, sig: 11 [#1]
BE PAGE_SIZE=4K MMU=Hash PowerMac
NIP:  c0000000000a1b2c LR: c0000000000a1b20 CTR: 0000000000000000
NIP [c0000000000a1b2c] .{0}
LR [c0000000000a1b20] .kbx_ioctl+0x10/0x80
Call Trace:
[c000000003c6fb40] [c0000000000a1b20] .kbx_ioctl+0x10/0x80 (unreliable)
[c000000003c6fb80] [c0000000004d1e44] .kbx_ioctl+0x44/0x60
[c000000003c6fbc0] [c0000000004d1f44] .vfs_ioctl+0x44/0x60
"""
MIPS = """CPU: 0 PID: 0 Comm: swapper/0 Not tainted 4.15.0 #60
$ 0   : 00000000 00000001 00000000 00000000
epc   : 80148fb8 {0}
ra    : 8005a93c kbx_ioctl+0x1b4/0x200
Status: 1100b403	KERNEL EXL IE
Cause : 50800024 (ExcCode 09)
Call Trace:
[<80148fb8>] {0}
[<8005a93c>] kbx_ioctl+0x1b4/0x200
[<8005a97c>] vfs_ioctl+0x1b4/0x200
"""
S390 = """CPU: 0 PID: 32 Comm: init Not tainted 5.17.0 #1
Krnl PSW : 0704d00180000000 00000000009e59e4 ({0})
           R:0 T:1 IO:1 EX:1 Key:0 M:1 W:0 P:0 AS:3 CC:1 PM:0 RI:0 EA:3
Call Trace:
 [<00000000009e59e4>] {0}
([<0000000000112d52>] kbx_ioctl+0x2a/0x50)
 [<0000000000112d62>] vfs_ioctl+0x2a/0x50
Last Breaking-Event-Address:
 [<0000000000112d62>] kbx_ioctl+0x2a/0x50
"""
PLACES = ("kbx_ioctl+0x12/0x8c", "memcpy+0x22/0x80")
LOONGARCH_FAULT = (
    "CPU 6 Unable to handle kernel paging request at virtual address ffff80000000802e, era == 9, ra == 9\n"
)

PRINTED = {
    **{
        f"arm WARN {at}": ("WARNING in kbx_ioctl", f"{WARN}\n{TASK}\n{trace}---[ end trace 0 ]---\n")
        for at, trace in enumerate(ARM_WARNS)
    },
    **{
        f"arm sleep {at}": (
            "BUG: sleeping function called from invalid context in kbx_ioctl",
            f"BUG: sleeping function called from invalid context at mm/slab.h:421\n{TASK}\n{head}{trace}",
        )
        for at, trace in enumerate(ARM_SLEEPS)
        for head in ("Call trace: \n",) * at + ("",)
    },
    **{
        f"arm oops in {place} {at}": (
            NULL,
            "8<--- cut here ---\nUnable to handle kernel NULL pointer dereference at virtual address 0000000c\n"
            + ARM_OOPS.format(place)
            + trace,
        )
        for place in PLACES
        for at, trace in enumerate(
            (
                (
                    "[<c01f3218>] (memcpy) from [<bf0522b0>] (kbx_ioctl+0x3c/0x5c [kbx])\n"
                    "[<bf0522b0>] (kbx_ioctl [kbx]) from [<c0343fac>] (vfs_ioctl+0x30/0x44)\n"
                ),
                " memcpy from kbx_ioctl+0x3c/0x5c [kbx]\n kbx_ioctl [kbx] from vfs_ioctl+0x30/0x44\n",
                (
                    "Backtrace: \n[<c01f3218>] (memcpy) from [<bf0522b0>] (kbx_ioctl+0x3c/0x5c [kbx])\n"
                    " r7:c0a09048 r4:00000000\n[<bf0522b0>] (kbx_ioctl [kbx]) from [<c0343fac>] (vfs_ioctl+0x30/0x44)\n"
                ),
            )
        )
    },
    "arm64 Exception stack": ("WARNING in kbx_ioctl", f"{WARN}\n{ARM64_OLD}"),
    **{
        f"riscv in {place}, {len(indent)}": (
            NULL,
            "".join(
                f"{indent}{line}\n"
                for line in (
                    "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000508\nOops [#1]\n"
                    + RISCV.format(place)
                    + head
                    + RISCV_TRACE
                ).splitlines()
            ),
        )
        for place in PLACES
        for indent in ("", "  ")
        for head in ("", "Call Trace:\n")
    },
    "riscv 5.10, no function": (
        PAGING,
        (
            "Unable to handle kernel paging request at virtual address 00000061fed09482\nOops [#1]\n"
            "epc: ffffffe00022affe ra : ffffffe00022afea sp : ffffffe086d3fe30\n"
            f"status: 0000000200000120 badaddr: 0000000000000508 cause: 000000000000000d\nCall Trace:\n{RISCV_TRACE}"
        ),
    ),
    **{
        f"riscv {what}": ("Oops in kbx_ioctl", f"{what}\n{RISCV.format(PLACES[0])}{RISCV_TRACE}")
        for what in ("Oops - illegal instruction [#1]", "Oops - load access fault [#1]", "Kernel BUG [#1]")
    },
    **{f"loongarch in {place}": (PAGING, LOONGARCH_FAULT + LOONGARCH.format(place)) for place in PLACES},
    "loongarch BUG": (BUG, LOONGARCH.format(PLACES[0]).replace("Oops", "Kernel bug detected")),
    **{
        f"powerpc {place} {head}": (title, head + POWERPC.format(place))
        for place in PLACES
        for title, head in (
            (PAGING, "BUG: Unable to handle kernel data access on read at 0xc00a000000000000\n"),
            (PAGING, "Unable to handle kernel paging request for data at address 0xc00a000000000000\n"),
            ("Oops in kbx_ioctl", ""),
        )
    },
    **{f"mips BUG, {place}": (BUG, f"Kernel bug detected[#1]:\n{MIPS.format(place)}") for place in PLACES},
    **{
        f"mips {what}": ("Oops in kbx_ioctl", f"{what}\n{MIPS.format(PLACES[0])}")
        for what in (
            "Reserved instruction in kernel code[#1]:",
            "Unhandled kernel unaligned access[#1]:",
            "Oops[#1]:",
        )
    },
    "mips fault": (
        PAGING,
        (
            f"CPU 0 Unable to handle kernel paging request at virtual address 00000008, epc == 8, ra == 9\nOops[#1]:\n"
            f"{MIPS.format(PLACES[0])}"
        ),
    ),
    **{
        f"s390 in {place}": (
            "BUG: unable to handle kernel pointer dereference in kbx_ioctl",
            (
                "Unable to handle kernel pointer dereference in virtual kernel address space\n"
                "Failing address: 000000000133b000 TEID: 000000000133b407\nFault in home space mode while using kernel "
                f"ASCE.\nOops: 0004 ilc:2 [#1] SMP\n{S390.format(place)}"
            ),
        )
        for place in PLACES
    },
    "s390 BUG": (
        BUG,
        f"kernel BUG at drivers/kbx.c:7!\nmonitor event: 0040 ilc:2 [#1] SMP\n{S390.format(PLACES[0])}",
    ),
    "s390 illegal": (
        "Oops in kbx_ioctl",
        f"illegal operation: 0001 ilc:1 [#1] SMP\n{S390.format(PLACES[0])}",
    ),
    "x86 #CP": (
        "Oops in kbx_ioctl",
        (
            f"Oops: control protection fault: 0003 [#1] SMP\n{TASK}\nRIP: 0010:kbx_ioctl+0x1/0x2\nCall Trace:\n"
            " vfs_ioctl+0x1/0x20\n ksys_ioctl+0x1/0x20\n"
        ),
    ),
}


@pytest.mark.parametrize("stamp", ["", "[   12.000001] ", "[   12.000001][    T1] "])
@pytest.mark.parametrize("kind", PRINTED)
def test_frames(kind, stamp):
    title, crash = PRINTED[kind]
    console = "".join(f"{stamp}{line}\n" for line in crash.splitlines())
    (report,) = parse_console(console.encode())
    assert report.title == title
    assert not report.corrupted, report.corrupted_reason
    assert any("vfs_ioctl" in trace for trace in report.frames)


ARM_TRACE = "Call trace: "  # with the blank that the kernel prints
STALL = """rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
rcu: 	3-...0: (5 ticks this GP) idle=28ac/1/0x4000000000000000 softirq=11653/11655 fqs=964
rcu: 	(detected by 1, t=5252 jiffies, g=12145, q=3523 ncpus=4)
"""
X86_NMI = """Sending NMI from CPU 1 to CPUs 3:
NMI backtrace for cpu 3
CPU: 3 PID: 77 Comm: kworker/3:1 Not tainted 6.12.0 #1
Workqueue: kbx kbx_work
RIP: 0010:native_queued_spin_lock_slowpath+0x6c/0x2a0
Call Trace:
 <NMI>
 ? nmi_cpu_backtrace.cold+0x1b/0x76
 </NMI>
 <TASK>
 _raw_spin_lock_irqsave+0x3d/0x50
 kbx_dequeue+0x5f/0x3e0 [kbx]
 kbx_work+0xc0/0x200 [kbx]
 process_one_work+0x171/0x320
 worker_thread+0x24e/0x380
 </TASK>
"""
ARM64_NMI = """Sending NMI from CPU 1 to CPUs 3:
NMI backtrace for cpu 3
CPU: 3 PID: 77 Comm: kworker/3:1 Not tainted 6.12.0 #1
pc : queued_spin_lock_slowpath+0x6c/0x2a0
lr : _raw_spin_lock_irqsave+0x3d/0x50
Call trace:
 queued_spin_lock_slowpath+0x6c/0x2a0
 kbx_dequeue+0x5f/0x3e0 [kbx]
 kbx_work+0xc0/0x200 [kbx]
 process_one_work+0x171/0x320
 worker_thread+0x24e/0x380
"""
ARM_NMI = f"""Sending NMI from CPU 1 to CPUs 3:
NMI backtrace for cpu 3
CPU: 3 PID: 77 Comm: kworker/3:1 Not tainted 6.12.0 #1
PC is at kbx_dequeue+0x5f/0x3e0 [kbx]
LR is at kbx_work+0xc0/0x200 [kbx]
{ARM_TRACE}
 unwind_backtrace from show_stack+0x18/0x1c
 show_stack from dump_stack_lvl+0x58/0x70
 nmi_cpu_backtrace from handle_IPI+0x1/0x20
 kbx_dequeue [kbx] from kbx_work+0xc0/0x200 [kbx]
 kbx_work [kbx] from process_one_work+0x171/0x320
 process_one_work from worker_thread+0x24e/0x380
"""
DUMP = """Task dump for CPU 3:
task:kworker/3:1     state:R  running task     stack:    0 pid:   77 ppid:     2 flags:0x0000000a
Workqueue: kbx kbx_work
Call trace:
 __switch_to+0x104/0x160
 kbx_work+0xc0/0x200 [kbx]
 process_one_work+0x171/0x320
 worker_thread+0x24e/0x380
"""
IDLE = "Sending NMI from CPU 1 to CPUs 0:\nNMI backtrace for cpu 0 skipped: idling at default_idle+0xb/0x20\n"


@pytest.mark.parametrize("skipped", ["", IDLE])
@pytest.mark.parametrize("found", [X86_NMI, ARM64_NMI, ARM_NMI, DUMP])
def test_a_stall_that_only_another_cpu_explains(found, skipped):
    console = "".join(f"[  175.710566] {line}\n" for line in (STALL + skipped + found).splitlines())
    (report,) = parse_console(console.encode())
    assert report.title == "INFO: rcu detected stall in kbx_work"
    assert not report.corrupted, report.corrupted_reason


def test_a_stall_whose_cpu_is_found_locked_up_by_the_same_nmi():
    """The watchdog speaks on that CPU first, with registers and a trace of its own."""
    locked = (
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 3\nCPU: 3 PID: 77 Comm: kworker/3:1\n"
        "RIP: 0010:native_queued_spin_lock_slowpath+0x6c/0x2a0\nCall Trace:\n kbx_work+0xc0/0x200 [kbx]\n"
        " process_one_work+0x171/0x320\n worker_thread+0x24e/0x380\n"
    )
    sent, _, rest = X86_NMI.partition("\n")
    text = f"{STALL}{sent}\n{locked}{rest}"
    console = "".join(f"[  175.710566] {line}\n" for line in text.splitlines())
    stall, lockup = parse_console(console.encode())
    assert (stall.title, stall.corrupted_reason) == ("INFO: rcu detected stall in kbx_work", "")
    assert lockup.title == "BUG: hard lockup in kbx_work"


LOCKED_UP = """NIP [c0000000000a1b2c] kbx_poll+0x10/0x20
Call Trace:
[c000000003c6fb80] [c0000000004d1e44] kbx_poll+0x44/0x60
[c000000003c6fbc0] [c0000000004d1f44] kbx_ioctl+0x44/0x60
[c000000003c6fbc0] [c0000000004d1f44] sys_ioctl+0x44/0x60
"""


@pytest.mark.parametrize(
    "headline",
    [
        "watchdog: CPU 5 self-detected hard LOCKUP @ kbx_poll+0x10/0x20",
        "watchdog: CPU 3 detected hard LOCKUP on other CPUs 5",
        "watchdog: CPU 5 Hard LOCKUP",
        "Watchdog detected hard LOCKUP on cpu 5",
        "watchdog: CPU5: Watchdog detected hard LOCKUP on cpu 5",
    ],
)
def test_hard_lockups(headline):
    console = f"{headline}\n{LOCKED_UP}"
    assert [report.title for report in parse_console(console.encode())] == ["BUG: hard lockup in kbx_ioctl"]


def test_a_report_whose_first_line_was_copied_without_its_time():
    console = "BUG: unable to handle page fault for address: ffffe0f000020000\n" + "".join(
        f"[13968.479{at:03}] {line}\n"
        for at, line in enumerate(
            f"Oops: 0002 [#1] SMP\n{TASK}\nRIP: 0010:kbx_ioctl+0x1/0x2\nCall Trace:\n vfs_ioctl+0x1/0x20\n".splitlines()
        )
    )
    (report,) = parse_console(console.encode())
    assert report.title == PAGING
    assert report.frames == (("vfs_ioctl",),)
