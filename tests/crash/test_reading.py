"""Consoles read at once, piece by piece, and consoles made to hurt."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_kbisect.crash import ConsoleReader, parse_console

LOGS = sorted((Path(__file__).parent / "logs").iterdir())
CRASH = b"""[    1.000000][    T1] random: crng init done
[   12.000001][  T412] ------------[ cut here ]------------
[   12.000002][  T412] WARNING: CPU: 1 PID: 412 at drivers/misc/kbx.c:211 kbx_set_rate+0x4e/0x60
[   12.000003][    C0] net_ratelimit: 3 callbacks suppressed
[   12.000004][  T412] RIP: 0010:kbx_set_rate+0x4e/0x60
[   12.000005][  T412] Call Trace:
[   12.000006][  T412]  ? kbx_guess+0x1/0x2
[   12.000007][  T412]  kbx_ioctl+0x77/0x2c0
[   12.000008][  T412]  do_syscall_64+0x3b/0x90
[   12.000009][  T412] ---[ end trace 0000000000000000 ]---
"""


def console(path):
    return path.read_bytes().partition(b"\n\n")[2]


def named(reports):
    return [(report.title, report.type, report.frame, report.corrupted, report.start) for report in reports]


def test_report_has_its_own_context_only():
    (report,) = parse_console(CRASH)
    assert report.title == "WARNING in kbx_set_rate"
    assert report.lead == "------------[ cut here ]------------"
    assert report.report.startswith("WARNING: CPU: 1")
    assert "net_ratelimit" not in report.report
    assert "kbx_guess" not in report.report
    assert report.frames == (("kbx_ioctl", "do_syscall_64"),)
    assert CRASH[report.start :].startswith(b"[   12.000002]")
    assert CRASH[: report.end].endswith(b"0000 ]---")


def test_what_follows_a_crash_is_not_another_one():
    more = CRASH + b"[   12.000010][  T412] Kernel panic - not syncing: panic_on_warn set ...\n"
    (report,) = parse_console(more)
    assert report.panicked


@pytest.mark.parametrize("stamp", [rb"\1", b""])
def test_a_device_that_is_waited_for_cuts_no_report(stamp):
    """Without CONFIG_PRINTK_CALLER nobody says that another task printed it."""
    lines = re.sub(rb"(?m)^(\[[ .\d]+\])\[.{6}\] ", stamp + (b" " if stamp else b""), CRASH).splitlines(True)
    lines.insert(
        4, lines[0][: lines[0].index(b"random")] + b"unregister_netdevice: waiting for lo to become free.\n"
    )
    first, second = parse_console(b"".join(lines))
    assert first.title == "WARNING in kbx_set_rate"
    assert not first.corrupted
    assert second.title == "unregister_netdevice: waiting for DEV to become free"


def test_two_tasks_crash_at_once():
    other = CRASH.replace(b"T412", b"T413").replace(b"kbx_set_rate", b"kbx_other")
    lines = zip(CRASH.splitlines(), other.splitlines(), strict=True)
    mixed = b"\n".join(line for pair in lines for line in pair)
    assert [report.title for report in parse_console(mixed)] == [
        "WARNING in kbx_set_rate",
        "WARNING in kbx_other",
    ]


def test_noise_of_terminals():
    noisy = CRASH.replace(b"\n", b"\r\n").replace(b"WARNING", b"\x1b[31mWARNING\x1b[0m") + b"\xff\xfe\x00"
    assert parse_console(noisy)[0].title == "WARNING in kbx_set_rate"


def test_reader_is_pending_until_the_report_is_complete():
    reader = ConsoleReader()
    cut = CRASH.index(b"Call Trace")
    assert reader.feed(CRASH[:cut]) == ()
    assert reader.pending
    (report,) = reader.feed(CRASH[cut:])
    assert report.title == "WARNING in kbx_set_rate"
    assert not reader.pending
    assert reader.finish() == ()


def test_a_headline_waits_for_the_next_line():
    """printk may have lost the rest of it, and say it again."""
    line = CRASH.splitlines(keepends=True)[2]
    reader = ConsoleReader()
    reader.feed(line)
    assert reader.pending
    reader.feed(b"** replaying previous printk message **\n" + line)
    (report,) = reader.finish()
    assert report.start == len(line) + len(b"** replaying previous printk message **\n")


def test_reader_gives_what_there_is_at_the_end():
    reader = ConsoleReader()
    reader.feed(CRASH[: CRASH.index(b"[   12.000009]")])
    (report,) = reader.finish()
    assert report.title == "WARNING in kbx_set_rate"


def test_a_boot_is_no_reboot():
    boot = b"Booting the kernel.\n[    0.000000] Linux version 6.1.0 (a@b) #1\n[    1.000000] up\n"
    assert parse_console(boot) == ()
    assert parse_console(boot * 2)[0].title == "unexpected kernel reboot"


@pytest.mark.parametrize("size", [1, 97, 4096])
def test_pieces_read_as_the_whole(size):
    for path in LOGS if size > 1 else LOGS[::8]:
        data = console(path)
        reader = ConsoleReader()
        pieces = [report for at in range(0, len(data), size) for report in reader.feed(data[at : at + size])]
        assert named([*pieces, *reader.finish()]) == named(parse_console(data)), path.name


WORDS = sorted({word for path in LOGS for word in console(path).split(b" ")})


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=20)), max_size=200), st.integers(1, 500))
def test_any_bytes(words, size):
    data = b" ".join(words)
    reports = parse_console(data)
    reader = ConsoleReader()
    pieces = [report for at in range(0, len(data), size) for report in reader.feed(data[at : at + size])]
    pieces += reader.finish()
    assert len(pieces) == len(reports)
    for report in reports:
        assert 0 <= report.start <= report.end <= len(data)
        assert report.title.isascii()
        assert len(report.title) <= 120


MEBIBYTE = 1 << 20
HOSTILE = {
    "headers": b"BUG: KASAN: use-after-free in f+0x1/0x2\nRead of size 8\n",
    "near matches": b"WARNING: possible circular locking dependency detecte\n",
    "one line": b"BUG: KASAN: a",
    "frames": b" f+0x1/0x2\n",
    "contexts": b"",
    "paths": b"WARNING: a/b/c/d/e/f.c/g.c/h.c:1\n",
    "brackets": b"[[[[ [ 1.0] [",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_takes_linear_time(kind):
    seed = HOSTILE[kind] or b"".join(
        b"[    1.000000][%6s] BUG: KASAN: use-after-free in f+0x1/0x2\n" % (b"T%d" % random.randrange(9999))
        for _ in range(999)
    )
    text = (seed * (MEBIBYTE // len(seed) + 1))[:MEBIBYTE]
    begin = time.process_time()
    parse_console(text)
    assert time.process_time() - begin < 2.0  # measured: under 0.1 s, 10 MiB of any under 1 s
