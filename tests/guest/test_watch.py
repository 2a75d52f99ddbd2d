"""When a crash report on a growing console is taken, and when it is waited for; without a guest."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_kbisect.errors import KernelCrash
from pytest_kbisect.guest import watch
from pytest_kbisect.guest.console import Console

HARMLESS = b"[    1.000000][   T50] EXT4-fs (loop0): VFS: Can't find ext4 filesystem\n"
BEGINNING = (
    b"[   12.000001][   T50] WARNING: CPU: 0 PID: 50 at drivers/misc/kbx.c:211 kbx_warn+0x12/0x40\n"
    b"[   12.000002][   T50] Modules linked in:\n"
)
REST = (
    b"[   12.000003][   T50] RIP: 0010:kbx_warn+0x12/0x40\n"
    b"[   12.000004][   T50] Call Trace:\n"
    b"[   12.000005][   T50]  kbx_ioctl+0x1/0x20\n"
    b"[   12.000006][   T50]  do_syscall_64+0x1/0x20\n"
    b"[   12.000007][   T50] ---[ end trace 0000000000000000 ]---\n"
)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watch, "time", clock)
    return clock


def watching(path, running=lambda: True):
    def say(text: bytes) -> None:
        with path.open("ab") as file:
            file.write(text)

    qemu = SimpleNamespace(running=running, ended_by=lambda: "guest-panic")
    return watch.ConsoleWatch(qemu, Console(path)), say


def title_of(look) -> str:
    with pytest.raises(KernelCrash) as raised:
        look()
    assert not raised.value.report.corrupted, raised.value.report.corrupted_reason
    return raised.value.report.title


@pytest.mark.parametrize("later", [4.9, 60.0])
def test_a_harmless_last_line_takes_no_time_from_a_crash(tmp_path, clock, later):
    watched, say = watching(tmp_path / "console.log")
    say(HARMLESS)
    watched.look()
    assert watched.pending
    clock.now += later
    watched.look()
    say(BEGINNING)
    watched.look()
    clock.now += 1
    watched.look()
    say(REST)
    assert title_of(watched.look) == "WARNING in kbx_warn"


def test_a_report_that_never_ends_is_taken_as_it_is(tmp_path, clock):
    watched, say = watching(tmp_path / "console.log")
    say(BEGINNING)
    watched.look()
    clock.now += 5.1
    with pytest.raises(KernelCrash, match="WARNING in"):
        watched.look()


def test_what_is_printed_while_qemu_ends_is_read(tmp_path, clock):
    def ending() -> bool:
        say(REST)
        return False

    watched, say = watching(tmp_path / "console.log", ending)
    say(BEGINNING)
    assert title_of(watched.look) == "WARNING in kbx_warn"
