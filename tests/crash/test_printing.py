"""The same crash printed differently is the same crash: prefixes, line ends, what stands around it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_kbisect.crash import parse_console

CALLER = re.compile(rb"(?m)^\[ *(\d+)\.(\d+)\]\[ *([TC]\d+)\] ")
STAMP = re.compile(rb"(?m)^\[ *(\d+)\.(\d+)\]")
# A banner is no crash; what it says depends on what came before, which is what is changed here.
LOGS = sorted(path for path in (Path(__file__).parent / "logs").iterdir() if path.name != "reboot")


def with_other_task(console):
    """Another task talks in between, where the kernel tells who speaks."""
    lines = []
    for number, line in enumerate(console.split(b"\n")):
        lines.append(line)
        if number % 3 == 0 and re.match(rb"\[ *\d+\.\d+\]\[ *[TC]\d+\]", line):
            lines.append(b"[ 9999.000001][T99999] kbx: line %d of another task" % number)
    return b"\n".join(lines)


PRINTED = {
    "carriage returns": lambda console: console.replace(b"\n", b"\r\n"),
    "levels": lambda console: STAMP.sub(lambda found: b"<4>" + found[0], console),
    "syslog": lambda console: STAMP.sub(lambda found: b"Nov 23 03:00:01 guest kernel: " + found[0], console),
    "kmsg": lambda console: CALLER.sub(
        lambda found: b"4,%d,%s%s,-,caller=%s;" % (found.start(), found[1], found[2], found[3]), console
    ),
    "colours": lambda console: STAMP.sub(lambda found: b"\x1b[32m" + found[0] + b"\x1b[0m", console),
    "an old machine": lambda console: STAMP.sub(
        lambda found: b"[%5d.%s]" % (int(found[1]) + 10000, found[2]), console
    ),
    "user space before": lambda console: b"Starting syslogd: OK\nlogin: \xff\xfe\x00\n" + console,
    "a boot before": lambda console: b"[    0.000000] Linux version 6.1.0 (a@b) #1 SMP\n" + console,
    "messages after": lambda console: console + b"[ 9999.000001][   T77] random: crng init done\n",
    "another task": with_other_task,
}


def facts(console):
    return [
        (report.title, report.alt_titles, report.type, report.frame, report.corrupted)
        for report in parse_console(console)
    ]


@pytest.mark.parametrize("printed", PRINTED)
def test_printed_differently(printed):
    for path in LOGS:
        console = path.read_bytes().partition(b"\n\n")[2]
        assert facts(PRINTED[printed](console)) == facts(console), path.name


CRASH = """random: crng init done
------------[ cut here ]------------
WARNING: CPU: 1 PID: 412 at drivers/misc/kbx.c:211 kbx_set_rate+0x4e/0x60
RIP: 0010:kbx_set_rate+0x4e/0x60
Call Trace:
 <TASK>
 kbx_ioctl+0x77/0x2c0
 __x64_sys_ioctl+0x12/0x20
 do_syscall_64+0x3b/0x90
"""


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "[   12.000001] ",
        "<4>[   12.000001] ",
        "[   12.000001][  T412] ",
        "[   12.000001][   C17] ",
        "[Sat Sep 23 02:31:17 2023] ",
        "[Sa Sep 23 02:31:17 2023] ",
        "[  +0.000731] ",
        "Sep  3 02:31:17 guest kernel: ",
        "Sep  3 02:31:17 guest kernel: [   12.000001] ",
        "set 03 02:31:17 guest kernel: ",
        "3 Sep 2023 02:31:17 guest kernel: ",
        "2023-09-23T02:31:17.123456+00:00 guest kernel: ",
        "2023-09-23T02:31:17+0200 guest kernel: [   12.000001][  T412] ",
        "4,717,12000001,-;",
        "4,717,12000001,-,caller=T412;",
    ],
)
@pytest.mark.parametrize(
    "between", ["", "guest systemd[1]: Started Session 2.\n", "login: \n", "executing program\n"]
)
def test_who_prints_what_the_kernel_says(prefix, between):
    """dmesg, journals, syslog and netconsole put their own words before a line; programs speak in between."""
    console = "".join(f"{prefix}{line}\n{between}" for line in CRASH.splitlines())
    (report,) = parse_console(console.encode())
    assert report.title == "WARNING in kbx_set_rate"
    assert not report.corrupted, report.corrupted_reason
    if prefix:
        assert report.report == CRASH[CRASH.index("WARNING") :].strip("\n")


def test_a_trace_that_lost_its_blanks():
    """Pasted into a mail or a bug tracker; what the unwinder only guesses is no caller still."""
    guess = "\n ? kbx_guess+0x12/0x40\n kbx_lock+0x1/0x2"
    console = CRASH.replace("RIP: 0010:kbx_set_rate", "RIP: 0010:__kmalloc").replace(
        " <TASK>", " <TASK>" + guess
    )
    (report,) = parse_console("".join(f"{line.strip()}\n" for line in console.splitlines()).encode())
    assert report.title == "WARNING in kbx_lock"
    assert "kbx_guess" not in report.report


def test_no_crash_after_the_end_of_one():
    """What follows a report does not begin it again: reading on from its end, its title is not found."""
    for path in LOGS:
        console = path.read_bytes().partition(b"\n\n")[2]
        for report in parse_console(console):
            after = {later.title for later in parse_console(console[report.end :])}
            assert report.title not in after, path.name
