"""The same crash printed differently is the same crash: prefixes, line ends, what stands around it."""

from __future__ import annotations

import json
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
HUNG = """INFO: task kbx:9 blocked for more than 143 seconds.
      Not tainted 6.12.0 #1
task:kbx             state:D stack:0     pid:9     ppid:1      flags:0x00000002
Call Trace:
 <TASK>
 __schedule+0xc30/0x44f8
 schedule+0xb8/0x3b0
 kbx_drain_ring+0x3c/0xa0 [kbx]
 vfs_read+0x1a0/0x858
 </TASK>
"""
ARM64 = """Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010
Mem abort info:
  ESR = 0x0000000096000004
Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP
pc : kbx_ioctl+0x40/0xd0 [kbx]
lr : vfs_ioctl+0x1/0x20
Call trace:
 kbx_ioctl+0x40/0xd0 [kbx]
 __arm64_sys_ioctl+0xb4/0x100
 el0_svc+0x30/0xd0
---[ end trace 0000000000000000 ]---
"""
OLD = """BUG: sleeping function called from invalid context at mm/slab.h:421
in_atomic(): 1, irqs_disabled(): 0, pid: 1, name: kbx
Call Trace:
 [<ffffffff81234567>] dump_stack+0x4d/0x66
 [<ffffffff81234568>] __might_sleep+0xe4/0x120
 [<ffffffff81234569>] kbx_alloc_ring+0x34/0xd0
 [<ffffffff8123456a>] sys_ioctl+0x34/0xd0
"""
ARM = """WARNING: CPU: 0 PID: 1 at drivers/clk/kbx.c:4519 kbx_clk_set+0x1c/0x28
CPU: 0 PID: 1 Comm: swapper/0 Not tainted 5.4.0 #1
[<c010f97c>] (unwind_backtrace) from [<c010c0b8>] (show_stack+0x10/0x14)
[<c010c0b8>] (show_stack) from [<c0126690>] (__warn+0xd4/0xec)
[<c0126690>] (__warn) from [<c0423a34>] (kbx_clk_set+0x1c/0x28)
[<c0423a34>] (kbx_clk_set) from [<c0523a34>] (kbx_probe+0x1c/0x28)
---[ end trace 0000000000000000 ]---
"""
KASAN = """==================================================================
BUG: KASAN: slab-use-after-free in kbx_read+0x1d/0x40
Read of size 8 at addr ffff888100000000 by task kbx/9

CPU: 1 PID: 9 Comm: kbx
Call Trace:
 dump_stack_lvl+0x68/0xa0
 kasan_report+0xce/0x100
 kbx_read+0x1d/0x40
 vfs_read+0x1a0/0x858

Allocated by task 9:
 kasan_save_stack+0x24/0x50
 kbx_open+0x1d/0x40

Freed by task 9:
 kasan_save_stack+0x24/0x50
 kbx_release+0x1d/0x40
==================================================================
"""
CRASHES = {
    "WARNING in kbx_set_rate": CRASH,
    "INFO: task hung in kbx_drain_ring": HUNG,
    "BUG: unable to handle kernel NULL pointer dereference in kbx_ioctl": ARM64,
    "BUG: sleeping function called from invalid context in kbx_alloc_ring": OLD,
    "WARNING in kbx_clk_set": ARM,
    "KASAN: slab-use-after-free Read in kbx_read": KASAN,
}
FORMATS = [
    "{}",
    # printk's console
    "[   12.000001] {}",
    "<4>[   12.000001] {}",
    "<4>{}",
    "[   12.000001][  T412] {}",
    "[   12.000001][   C17] {}",
    "[  T412] {}",
    # dmesg
    "[Sat Sep 23 02:31:17 2023] {}",
    "[Sat Sep 23 02:31:17 2023] [  T812] {}",
    "[Sat Sep 23 02:31:17 2023][  T812] {}",
    "[Sa Sep 23 02:31:17 2023] {}",
    "[sam. sept. 23 02:31:17 2023] {}",
    "[六 9月 23 02:31:17 2023] {}",
    "[   12.000001] [  T812] {}",
    "[  +0.000731] {}",
    "[Sep23 02:31] {}",
    "[Sep23 02:31][  T812] {}",
    "[   12.000001 <    0.000003>] {}",
    "[Sat Sep 23 02:31:17 2023 <    0.000003>] {}",
    "[<    0.000003>] {}",
    "2023-09-23T02:31:17,123456+02:00 {}",
    "2023-09-23T02:31:17,123456+02:00[  T812] {}",
    "kern  :warn  : {}",
    "kern  :warn  : [   12.000001] {}",
    "kern  :alert : [Sat Sep 23 02:31:17 2023] {}",
    "kern  :err   : [   12.000001] [  T812] {}",
    "kern  :alert : [Sat Sep 23 02:31:17 2023][  T812] {}",
    # journalctl: short, -precise, -monotonic, -delta, -full, -unix, -iso, -iso-precise, --no-hostname, cat
    "Sep  3 02:31:17 guest kernel: {}",
    "Sep 23 02:31:17.123456 guest kernel: {}",
    "[   12.000001] guest kernel: {}",
    "[   12.000001 <    0.000003 >] guest kernel: {}",
    "Sat 2023-09-23 02:31:17 CEST guest kernel: {}",
    "Sat 2023-09-23 02:31:17.123456 CEST guest kernel: {}",
    "Sa 2023-09-23 02:31:17 +03 guest kernel: {}",
    "1695429077.123456 guest kernel: {}",
    "2023-09-23T02:31:17+0200 guest kernel: {}",
    "2023-09-23T02:31:17+02:00 guest kernel: {}",
    "2023-09-23T02:31:17.123456+02:00 guest kernel: {}",
    "Sep 23 02:31:17 kernel: {}",
    "9月 23 02:31:17 guest kernel: {}",
    "kernel: {}",
    # syslogd, syslog-ng, busybox, logread
    "Sep  3 02:31:17 guest kernel: [   12.000001] {}",
    "Sep  3 02:31:17 guest kernel: [   12.000001][  T412] {}",
    "set 03 02:31:17 guest kernel: {}",
    "3 Sep 2023 02:31:17 guest kernel: {}",
    "2023-09-23T02:31:17+0200 guest kernel: [   12.000001][  T412] {}",
    "<4>Sep 23 02:31:17 guest kernel: {}",
    "<4>1 2023-09-23T02:31:17.123456+02:00 guest kernel - - - {}",
    "Jan  1 00:00:05 guest kern.warn kernel: [   12.000001] {}",
    "Jan  1 00:00:05 guest user.info kernel: {}",
    "Sat Sep 23 02:31:17 2023 kern.warn kernel: [   12.000001] {}",
    # netconsole and /dev/kmsg, with and without release, caller and the parts of a long message
    "4,717,12000001,-;{}",
    "4,717,12000001,-,caller=T412;{}",
    "6.12.0,4,717,12000001,-;{}",
    "6.12.0-rc1-next+,4,717,12000001,-,caller=T412;{}",
    "6.12.0,4,717,12000001,-,ncfrag=0/32;{}",
    # Android
    "09-23 02:31:17.123     0     0 W kernel  : {}",
    "09-23 02:31:17.123     0     0 W         : {}",
    "09-23 02:31:17.123  root     0     0 W kernel  : [   12.000001] {}",
    "09-23 02:31:17.123     1     1 W         : (7)[1:swapper/0]{}",
    "W/kernel  (    0): {}",
    "09-23 02:31:17.123 W/kernel  (    0): {}",
    "<4>[   12.000001]<1>.(1)[123:kworker/u8:2]{}",
    "<4>[   12.000001]  [3:    kworker/3:1:   50] {}",
    "<4>[   12.000001] I[7:      swapper/0:    1] {}",
    "<4>[   12.000001]  [7:      swapper/0:    1] {}",
    "<4>[   12.000001 / 09-23 02:31:17.123][0] {}",
    "[   12.000001]  (0)[1:swapper/0]{}",
    # what records a serial port: ts, grabserial, minicom, picocom, CI
    "Sep 23 02:31:17 [   12.000001] {}",
    "2023-09-23 02:31:17.123456 [   12.000001] {}",
    "2023-09-23T02:31:17.123456Z [   12.000001] {}",
    "2023-09-23T02:31:17.123456 {}",
    "[2023-09-23 02:31:17] [   12.000001] {}",
    "[2023-09-23 02:31:17.123] {}",
    "[02:31:17.123] [   12.000001] {}",
    "02:31:17 [   12.000001] {}",
    "00:00:12.345678 [   12.000001][  T412] {}",
    "[1.234567 0.000012] [   12.000001] {}",
    "[   0.001234] [   12.000001] {}",
    "(d1) [   12.000001] {}",
    "guest-1  | [   12.000001] {}",
    # mails and bug trackers
    "> {}",
    "> > {}",
    ">> [   12.000001] {}",
    "> [   12.000001] {}",
    "| {}",
    "| [   12.000001] {}",
    "    {}",
    "\t{}",
    "    [   12.000001] {}",
    "\t[   12.000001] {}",
    "> Sep 23 02:31:17 guest kernel: [   12.000001] {}",
    "    Sep 23 02:31:17 guest kernel: {}",
]
# Of these nobody can tell which line is the kernel's.
UNMARKED = {
    *("{}", "> {}", "> > {}", "| {}", "    {}", "\t{}"),
    *("2023-09-23T02:31:17.123456 {}", "[2023-09-23 02:31:17.123] {}"),
}
RECORDS = {
    "journalctl -o json-sse": lambda line: "data: " + json.dumps({"_TRANSPORT": "kernel", "MESSAGE": line}),
    "journalctl -o json-pretty": lambda line: (
        f'{{\n\t"_TRANSPORT" : "kernel",\n\t"MESSAGE" : {json.dumps(line)},\n\t"_UID" : "0"\n}}'
    ),
    "journalctl -o verbose": lambda line: (
        "Sat 2023-09-23 02:31:17.123456 CEST [s=a1;i=1;b=c2;m=3;t=5;x=6]\n"
        f"    _TRANSPORT=kernel\n    MESSAGE={line}\n    _HOSTNAME=guest"
    ),
    "journalctl -o export": lambda line: (
        f"__CURSOR=s=a1;i=1\n_TRANSPORT=kernel\nMESSAGE={line}\nPRIORITY=4\n"
    ),
    "dmesg -J": lambda line: f'         "msg": {json.dumps(line)}',
    "journalctl -o json": lambda line: json.dumps(
        {"PRIORITY": "4", "_TRANSPORT": "kernel", "MESSAGE": line, "SYSLOG_IDENTIFIER": "kernel"}
    ),
    "LAVA": lambda line: (
        "- " + json.dumps({"dt": "2023-09-23T02:31:17.1", "lvl": "target", "msg": f"[   12.000001] {line}"})
    ),
    "LAVA's YAML": lambda line: (
        "- {dt: '2023-09-23T02:31:17.1', lvl: target, msg: '[   12.000001] " + line.replace("'", "''") + "'}"
    ),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "between", ["", "guest systemd[1]: Started Session 2.\n", "login: \n", "executing program\n"]
)
def test_who_prints_what_the_kernel_says(form, between):
    """dmesg, journals, syslog and netconsole put their own words before a line; programs speak in between."""
    for title, crash in CRASHES.items():
        console = "".join(f"{form.format(line)}\n{between}" for line in crash.splitlines())
        (report,) = parse_console(console.encode())
        assert report.title == title
        assert not report.corrupted, report.corrupted_reason
        if form not in UNMARKED:
            lines, printed = crash.splitlines(), report.report.splitlines()
            assert printed == lines[lines.index(printed[0]) :]
        assert report.frames == parse_console(crash.encode())[0].frames


@pytest.mark.parametrize("record", RECORDS)
def test_records(record):
    for title, crash in CRASHES.items():
        console = "".join(f"{RECORDS[record](line)}\n" for line in crash.splitlines())
        (report,) = parse_console(console.encode())
        assert (report.title, report.corrupted_reason) == (title, "")
        assert report.frames == parse_console(crash.encode())[0].frames


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
