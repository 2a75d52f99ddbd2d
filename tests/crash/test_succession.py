"""Which headlines begin a report of their own, and which go on with an earlier one."""

from __future__ import annotations

import pytest

from pytest_kbisect.crash import ConsoleReader, parse_console
from pytest_kbisect.crash.stream import MOST_ALIKE

WARN = """------------[ cut here ]------------
WARNING: CPU: 0 PID: 100 at drivers/foo/foo.c:12 foo_probe+0x10/0x20 [foo]
RIP: 0010:foo_probe+0x10/0x20 [foo]
Call Trace:
 really_probe+0x19b/0x3e0
 do_one_initcall+0x5a/0x320
---[ end trace 0000000000000000 ]---
"""
TRACE = (
    "Call Trace:\n dump_stack_lvl+0x47/0x60\n panic+0x33a/0x350\n bar_ioctl+0x3a2/0x3b0\n ksys_read+0x1/0x2\n"
)
NULL = (
    "BUG: kernel NULL pointer dereference, address: 0000000000000008\n#PF: supervisor read access in kernel mode\n"
    "Oops: 0000 [#1] PREEMPT SMP\nCPU: 1 PID: 9 Comm: bar\nRIP: 0010:bar_ioctl+0x3a2/0x3b0\n"
    "Call Trace:\n vfs_ioctl+0x1/0x20\n ksys_ioctl+0x1/0x20\n"
)
END = "---[ end trace 0000000000000001 ]---\n"
BUG = (
    "kernel BUG at drivers/bar.c:77!\ninvalid opcode: 0000 [#1] SMP\nRIP: 0010:bar_ioctl+0x3a2/0x3b0\n"
    "Call Trace:\n vfs_ioctl+0x1/0x20\n ksys_ioctl+0x1/0x20\n"
)
HUNG = (
    "INFO: task bar:9 blocked for more than 143 seconds.\ntask:bar state:D\nCall Trace:\n __schedule+0x1/0x2\n"
    " bar_ioctl+0x1/0x20\n ksys_ioctl+0x1/0x20\n"
)


def stamped(text, seconds=0.0, caller=""):
    return "".join(f"[{seconds:12.6f}]{caller} {line}\n" for line in text.splitlines())


def titles(*parts):
    """The titles of texts that come a hundred seconds apart, read at once and piece by piece."""
    console = "".join(stamped(part, 100.0 * at + 10) for at, part in enumerate(parts)).encode()
    reader = ConsoleReader()
    pieces = [report for at in range(0, len(console), 80) for report in reader.feed(console[at : at + 80])]
    found = [report.title for report in parse_console(console)]
    assert [report.title for report in (*pieces, *reader.finish())] == found
    return found


OWN = {
    "kernel panic: VFS: Unable to mount root fs on unknown-block(NUM,NUM)": (
        f"Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n{TRACE}"
    ),
    "kernel panic: stack is corrupted in bar_ioctl": (
        "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: bar_ioctl+0x3a2/0x3b0\n"
        + TRACE
    ),
    "kernel panic: Attempted to kill init!": (
        f"Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n{TRACE}"
    ),
    "invalid opcode in bar_ioctl": f"invalid opcode: 0000 [#1] SMP\nRIP: 0010:bar_ioctl+0x3a2/0x3b0\n{TRACE}",
    "Internal error in bar_ioctl": (
        "Internal error: Oops - undefined instruction: 0 [#1] PREEMPT SMP ARM\nPC is at bar_ioctl+0x10/0x20\n"
        + TRACE
    ),
    "Oops in bar_ioctl": f"Oops - illegal instruction [#1]\nepc : bar_ioctl+0x12/0x8c\n{TRACE}",
    "kernel panic: Fatal exception": f"Kernel panic - not syncing: Fatal exception\n{TRACE}",
    "kernel panic: hung_task: blocked tasks": f"Kernel panic - not syncing: hung_task: blocked tasks\n{TRACE}",
    "Unhandled fault in bar_ioctl": (
        f"Unhandled fault: external abort on non-linefetch (0x1008) at 0x90\nPC is at bar_ioctl+0x10/0x20\n{TRACE}"
    ),
}


@pytest.mark.parametrize("title", OWN)
def test_an_earlier_warning_swallows_no_crash(title):
    assert titles(WARN, OWN[title]) == ["WARNING in foo_probe", title]


@pytest.mark.parametrize("title", OWN)
def test_nor_does_a_message_of_the_boot_loader(title):
    console = (
        "WARNING: Caches not enabled\n" + stamped("Linux version 6.12.0 (u@h) #1\n") + stamped(OWN[title], 5)
    )
    assert [report.title for report in parse_console(console.encode())] == [title]


@pytest.mark.parametrize(
    ("title", "report", "after"),
    [
        ("WARNING in foo_probe", WARN, "Kernel panic - not syncing: kernel: panic_on_warn set ...\n"),
        (
            "BUG: unable to handle kernel NULL pointer dereference in bar_ioctl",
            NULL + END,
            (
                "Kernel panic - not syncing: Fatal exception in interrupt\n---[ end Kernel panic - not syncing: Fatal "
                "exception in interrupt ]---\n"
            ),
        ),
        (
            "BUG: unable to handle kernel NULL pointer dereference in bar_ioctl",
            NULL + END,
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009\n",
        ),
        ("kernel BUG in bar_ioctl", BUG + END, "Kernel panic - not syncing: Fatal exception\n"),
        ("INFO: task hung in bar_ioctl", HUNG, "Kernel panic - not syncing: hung_task: blocked tasks\n"),
        (
            "BUG: unable to handle kernel NULL pointer dereference in bar_ioctl",
            (
                "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008\n"
                "Mem abort info:\n  ESR = 0x0000000096000004\n"
            ),
            (
                "Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP\npc : bar_ioctl+0x40/0xd0\n"
                "Call trace:\n bar_ioctl+0x40/0xd0\n vfs_ioctl+0x1/0x20\n do_el0_svc+0x1/0x20\n"
            ),
        ),
    ],
)
def test_the_end_of_a_report_is_no_other(title, report, after):
    assert titles(report + after) == [title]
    assert titles(WARN, report + after)[1:] == [title] or title == "WARNING in foo_probe"


def test_a_second_crash_after_an_oops_that_only_killed_its_task():
    both = [
        "BUG: unable to handle kernel NULL pointer dereference in bar_ioctl",
        "kernel panic: Attempted to kill init!",
    ]
    idle = "usb 1-1: new device\n" * 4000
    assert titles(NULL + END, idle + OWN["kernel panic: Attempted to kill init!"]) == both
    assert titles(NULL + END, OWN["invalid opcode in bar_ioctl"])[1] == "invalid opcode in bar_ioctl"


def test_a_reboot_starts_afresh():
    panic = OWN["kernel panic: Attempted to kill init!"] + "---[ end Kernel panic - not syncing: x ]---\n"
    boot = "[    0.000000] Linux version 6.1.0 (a@b) #1 SMP\n"
    console = boot + stamped(panic, 20) + boot + stamped(panic, 30)
    assert [report.title for report in parse_console(console.encode())] == [
        "kernel panic: Attempted to kill init!",
        "unexpected kernel reboot",
        "kernel panic: Attempted to kill init!",
    ]


def test_other_tasks_have_crashes_of_their_own():
    console = stamped(WARN, 10, "[  T100]") + stamped(OWN["invalid opcode in bar_ioctl"], 11, "[  T200]")
    assert [report.title for report in parse_console(console.encode())] == [
        "WARNING in foo_probe",
        "invalid opcode in bar_ioctl",
    ]


@pytest.mark.parametrize(
    "many",
    [
        "WARNING: disk {} almost full\n",
        "[    5.000000] WARNING: foo {} is odd\n",
        "[    5.000000] WARNING: the option {} is deprecated\n",
        "host prog[{}]: WARNING: no colours\n",
    ],
)
def test_many_messages_do_not_hide_a_crash(many):
    console = "".join(many.format(at) for at in range(2000)) + stamped(NULL, 500)
    assert parse_console(console.encode())[-1].title.endswith("NULL pointer dereference in bar_ioctl")


def test_a_kernel_that_warns_in_a_loop_is_read_on():
    console = "".join(stamped(WARN, at) for at in range(3 * MOST_ALIKE)) + stamped(NULL, 500)
    found = [report.title for report in parse_console(console.encode())]
    assert found.count("WARNING in foo_probe") == MOST_ALIKE
    assert found[-1] == "BUG: unable to handle kernel NULL pointer dereference in bar_ioctl"


@pytest.mark.parametrize(
    "holder",
    [
        "INFO: task cat:1803 blocked on a semaphore likely last held by task cat:1802",
        "INFO: task cat:1803 is blocked on a mutex likely owned by task cat:1802.",
        "INFO: task cat:1803 is blocked on a mutex, but the owner is not found.",
        "INFO: task cat:1803 <writer> blocked on an rw-semaphore likely owned by task cat:1802 <reader>",
        "INFO: task cat:1803 blocked on an rw-semaphore, but the owner is not found.",
    ],
)
def test_who_holds_what_a_hung_task_waits_for(holder):
    assert titles(HUNG + holder + "\ntask:cat state:S\nCall Trace:\n hold_it+0x1/0x20\n") == [
        "INFO: task hung in bar_ioctl"
    ]


def test_names_that_differ_in_a_number_are_other_places():
    once = stamped(WARN, 1).replace("foo", "ext2")
    console = once * (2 * MOST_ALIKE) + stamped(WARN, 2).replace("foo", "ext4")
    found = [report.title for report in parse_console(console.encode())]
    assert found == ["WARNING in ext2_probe"] * MOST_ALIKE + ["WARNING in ext4_probe"]


LATER = """invalid opcode: 0000 [#1] PREEMPT SMP
CPU: 0 PID: 9 Comm: kbx Not tainted 6.12.0 #1
RIP: 0010:kbx_ud2+0x1/0x10
Call Trace:
 kbx_ioctl+0x1/0x20
---[ end trace 0000000000000000 ]---
"""


@pytest.mark.parametrize(
    "headline",
    [
        "BUG: KASAN: slab-use-after-free in kbx_read+0x1d/0x40\nRead of size 8 at addr ffff888100000000 by task kbx/9",
        "BUG: sleeping function called from invalid context at mm/slab.h:421",
        "BUG: spinlock bad magic on CPU#0, kbx/9",
    ],
)
def test_what_does_not_die_takes_no_later_crash_with_it(headline):
    first = f"{headline}\nCall Trace:\n kbx_read+0x1d/0x40\n vfs_read+0x1/0x20\n"
    console = "".join(f"[   12.000001] {line}\n" for line in (first + LATER).splitlines())
    titles = [report.title for report in parse_console(console.encode())]
    assert len(titles) == 2
    assert titles[1] == "invalid opcode in kbx_ud2"


def test_a_crash_without_times_where_other_lines_have_them():
    """The headline that says why is the report's, not the one of die()."""
    crash = (
        "BUG: kernel NULL pointer dereference, address: 0000000000000010\n#PF: supervisor read access in kernel mode\n"
        + LATER.replace("invalid opcode:", "Oops:").replace("kbx_ud2", "kbx_poll")
    )
    (report,) = parse_console(b"[    1.000001] kbx: loaded\n" + crash.encode())
    assert report.title == "BUG: unable to handle kernel NULL pointer dereference in kbx_poll"
