"""What programs and firmware print on the same console is no report of a kernel's."""

from __future__ import annotations

import pytest

from pytest_kbisect.crash import ConsoleReader, parse_console

KERNEL = "[    0.000000] Linux version 6.12.0 (u@h) #1 SMP\n[    1.000000] Run /init as init process\n"
TRACE = "RIP: 0010:f+0x1/0x2\nCall Trace:\n kbx_read+0x1/0x20\n vfs_read+0x1/0x20\n ksys_read+0x1/0x20\n"
SAID = (
    "WARNING: Lost name on bus: org.gnome.SessionManager",
    "BUG: this should not happen",
    "INFO:",
    "INFO: task 12 is done",
    "WARNING: CPU: 0 PID: 7 at my/test.c:1 looks odd",
    "WARNING: at my/test.c:1 looks odd",
    "Kernel panic - not syncing: says a test",
    "general protection fault: says a test",
    "kernel BUG at says.c:1!",
    "UBSAN: array-index-out-of-bounds in says.c:1",
    "VFS: Busy inodes after unmount of says.",
    "test 3 [#1]",
    "Internal error: out of paper",
    "divide error: by a program",
)
BY_PROGRAMS = (
    "Jun 01 10:00:03 host gnome-shell[1900]: {}",
    "Jun  1 10:00:03.123456 host dockerd[702]: {}",
    "Jun  1 10:00:03 dockerd[702]: {}",
    "2024-06-01T10:00:03+0200 host sshd[12]: {}",
    "2024-06-01T10:00:03.123456+02:00 host user@1000.service[12]: {}",
    "Sat 2024-06-01 10:00:03 CEST host (udev-worker)[12]: {}",
    "1741875518.123456 host lvm[703]: {}",
    "[   12.345678] host lvm[703]: {}",
    "[   12.345678] systemd[1]: {}",
    "[   12.345678][    T1] systemd[1]: {}",
    "<30>[   12.345678] systemd[1]: {}",
    "<14>[   12.345678] init: {}",
    "user  :warn  : [   12.345678] {}",
    "daemon:info  : [Sat Jun  1 10:00:03 2024] {}",
    "06-01 10:00:03.123  1000  1012 W ActivityManager: {}",
    "W/ActivityManager( 1000): {}",
    "lvm[703]: {}",
    '{{"MESSAGE":"{}","_TRANSPORT":"stdout"}}',
)


def titles(console):
    data = console.encode()
    found = [report.title for report in parse_console(data)]
    reader = ConsoleReader()
    pieces = [report for at in range(0, len(data), 80) for report in reader.feed(data[at : at + 80])]
    assert [report.title for report in (*pieces, *reader.finish())] == found
    return found


@pytest.mark.parametrize("line", BY_PROGRAMS)
def test_what_a_program_prints_by_the_word_of_who_recorded_it(line):
    console = "".join(f"{line.format(said)}\n{KERNEL}" for said in SAID)
    assert titles(console.replace("[    0.000000]", "[    2.000000]")) == []


@pytest.mark.parametrize("said", SAID)
def test_a_bare_line_where_the_kernel_marks_its_own(said):
    for kernel in (KERNEL, KERNEL.replace("[", "<6>["), "Jun 01 10:00:03 host kernel: usb 1-1: new device\n"):
        assert titles(f"{kernel}{said}\n{kernel.replace('0.000000', '2.000000')}") == []


@pytest.mark.parametrize(
    "firmware",
    [
        "WARNING: RO_VPD is uninitialized or empty.",
        "WARNING: can't convert coreboot GPIOs, 'lid' won't be resampled at runtime!",
        "INFO:",
        "AGESA TYPE 17 DMI INFO:",
        "CBMEM_ID_MEMINFO:",
        "WARNING: Caches not enabled",
        "WARNING: ?apc:0x168, sa:0x0, ea:0xfff",
        "WARNING: BL2: no clock",
        "INFO:    BL31: Initializing runtime services",
        "BUG: failure at common/spl/spl.c:750/board_init_r()!",
        "usb.c: WARNING: no hub",
    ],
)
def test_firmware(firmware):
    assert titles(f"{firmware}\n{KERNEL}") == []
    assert (
        titles(f"{KERNEL}[    9.000000] reboot: Restarting system\n{firmware}\nStarting kernel ...\n") == []
    )
    reader = ConsoleReader()
    reader.feed(f"{firmware}\nmore of the firmware\n".encode())
    assert not reader.pending


def test_a_kernel_without_times_is_read():
    """CONFIG_PRINTK_TIME is off, or the kernel is older: its lines look like anybody's."""
    assert titles(f"usb 1-1: new device\nWARNING: CPU: 0 PID: 7 at f.c:1 f+0x1/0x2\n{TRACE}") == [
        "WARNING in f"
    ]
    assert titles("BUG: Bad rss-counter state mm:00000000 idx:1 val:2\n") == ["BUG: Bad rss-counter state"]
    assert titles("usb 5-1: WARNING: this device is odd\n") == ["WARNING: this device is odd"]
    assert titles(f"BUG: something is odd\n{TRACE}") == ["BUG: something is odd"]


def test_a_bare_line_with_a_trace_of_a_kernel_is_one():
    """Pasted into a log, or printed by another kernel."""
    assert titles(f"{KERNEL}WARNING: CPU: 0 PID: 7 at f.c:1 f+0x1/0x2\n{TRACE}") == ["WARNING in f"]


def test_a_program_in_the_midst_of_a_report_does_not_cut_it():
    report = "".join(
        f"[   12.000001] {line}\n"
        for line in f"WARNING: CPU: 0 PID: 7 at f.c:1 f+0x1/0x2\n{TRACE}".splitlines()
    )
    for line in ("WARNING: no colours", "host prog[12]: WARNING: no colours", "BUG: a program's"):
        at = report.index("\n") + 1
        assert titles(report[:at] + line + "\n" + report[at:]) == ["WARNING in f"]


def test_a_program_that_repeats_itself_cuts_no_report():
    report = "".join(
        f"[   12.000001] {line}\n"
        for line in f"WARNING: CPU: 0 PID: 7 at f.c:1 f+0x1/0x2\n{TRACE}".splitlines()
    )
    at = report.index("\n") + 1
    console = KERNEL + "WARNING: no colours\n" * 300 + report[:at] + "WARNING: no colours\n" + report[at:]
    assert titles(console) == ["WARNING in f"]
