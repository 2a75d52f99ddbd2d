"""When a crash report on a growing console is taken, and when it is waited for; without a guest."""

from __future__ import annotations

import errno
import os
import tempfile
from types import SimpleNamespace

import pytest

from pytest_kbisect.errors import GuestError, InfraError, KernelCrash
from pytest_kbisect.guest import vm, watch
from pytest_kbisect.guest.console import Console
from pytest_kbisect.guest.readiness import sign_of

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

    qemu = SimpleNamespace(
        running=running,
        ended_by=lambda: "guest-panic",
        status=lambda: "running",
        machine=SimpleNamespace(disk=None),
    )
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


@pytest.fixture
def full_disk(monkeypatch) -> None:
    class File:
        def __init__(self, **_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", File)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize(
    ("running", "looked_at"),
    [
        (True, lambda watched: watched.read_up_to(b"end of run")),  # what is not there may be a crash
        (False, lambda watched: watched.look()),  # the panic before the reboot
        (True, lambda watched: raised(missing(watched))),
        (False, lambda watched: raised(watched.boot_ended())),
    ],
    ids=["run", "reboot", "boot", "boot-reboot"],
)
def test_a_console_that_the_hosts_full_disk_did_not_take_says_nothing(tmp_path, running, looked_at):
    watched, say = watching(tmp_path / "console.log", lambda: running)
    say(HARMLESS)
    with pytest.raises(InfraError, match=f"^cannot write a guest's console or disk: .*No space .*{tmp_path}"):
        looked_at(watched)


@pytest.mark.usefixtures("full_disk")
def test_what_a_full_disk_took_is_believed(tmp_path):
    watched, say = watching(tmp_path / "console.log")
    say(HARMLESS + b"end of run\n")
    watched.read_up_to(b"end of run")
    say(BEGINNING + REST)
    with pytest.raises(KernelCrash):
        watched.read_up_to(b"end of run")


@pytest.mark.usefixtures("full_disk")
def test_no_guest_is_started_whose_console_finds_no_room(tmp_path):
    with pytest.raises(InfraError, match=r"cannot write a guest's console or disk: .*No space"):
        vm.Guest(SimpleNamespace(disk=None), None, tmp_path / "guest")


def missing(watched) -> GuestError:
    with sign_of(None, 0, watched) as sign:
        return sign.missing(120)


def raised(error: GuestError) -> None:
    raise error


OOPS = BEGINNING.replace(
    b"WARNING: CPU: 0 PID: 50 at drivers/misc/kbx.c:211 kbx_warn+0x12/0x40",
    b"BUG: kernel NULL pointer dereference, address: 0000000000000008\n"
    b"[   12.000001][   T50] Oops: 0000 [#1] PREEMPT SMP",
)
ANOTHER = (BEGINNING + REST).replace(b"kbx_warn", b"kbx_other")


def titles(crash: KernelCrash) -> list[str]:
    return [report.title for report in crash.reports]


def looking_for(watched, title: str) -> None:
    watched.ends_run = lambda report: report.title == title


def test_a_report_that_is_not_looked_for_does_not_end_the_run(tmp_path):
    watched, say = watching(tmp_path / "console.log")
    looking_for(watched, "WARNING in kbx_warn")
    say(ANOTHER)
    watched.look()
    say(OOPS + REST)
    watched.look()
    say(BEGINNING + REST)
    with pytest.raises(KernelCrash) as raised:
        watched.look()
    assert raised.value.report.title == "WARNING in kbx_warn"
    assert titles(raised.value)[::2] == ["WARNING in kbx_other", "WARNING in kbx_warn"]
    assert not raised.value.whole


@pytest.mark.parametrize(("before", "whole"), [(ANOTHER, True), (OOPS + REST, False)])
def test_what_did_not_end_the_run_is_raised_in_the_end_and_once(tmp_path, before, whole):
    watched, say = watching(tmp_path / "console.log")
    looking_for(watched, "WARNING in kbx_warn")
    say(before + b"end of run\n")
    with pytest.raises(KernelCrash) as raised:
        watched.read_up_to(b"end of run")
    assert raised.value.whole is whole
    watched.read_up_to(b"end of run")
    say(BEGINNING.replace(b"kbx_warn", b"kbx_late") + REST.replace(b"kbx_warn", b"kbx_late"))
    with pytest.raises(KernelCrash) as raised:
        watched.read_up_to(b"end of run")
    assert titles(raised.value)[-1] == "WARNING in kbx_late"


@pytest.mark.parametrize(("before", "told"), [(ANOTHER, True), (OOPS + REST, False), (b"", True)])
def test_a_guest_that_falls_silent_after_an_oops_has_no_second_bug(tmp_path, before, told):
    watched, say = watching(tmp_path / "console.log")
    looking_for(watched, "none")
    say(HARMLESS + before)
    watched.look()
    crash = watched.silent("no response from the guest", "HANG")
    assert ("no response from the guest" in titles(crash)) is told


def test_a_report_that_waits_too_long_is_kept_and_the_next_one_read(tmp_path, clock):
    watched, say = watching(tmp_path / "console.log")
    looking_for(watched, "WARNING in kbx_warn")
    say((BEGINNING + REST[:-50]).replace(b"kbx_warn", b"kbx_other"))
    watched.look()
    clock.now += 5.1
    watched.look()
    say(b"[   18.000000][   T51] " + (BEGINNING + REST).replace(b"T50", b"T51").partition(b"] ")[2])
    clock.now += 1
    assert title_of(watched.look) == "WARNING in kbx_warn"


@pytest.mark.parametrize(
    ("why", "setting"),
    [
        (b"kernel: panic_on_warn set ...", "panic_on_warn"),
        (b"Fatal exception", "panic_on_oops (oops=panic)"),
        (b"Fatal exception in interrupt", ""),
    ],
)
def test_the_setting_that_made_a_panic_of_a_report_is_told(tmp_path, why, setting):
    watched, say = watching(tmp_path / "console.log", lambda: False)
    looking_for(watched, "none")
    say(BEGINNING + REST[:-60] + b"\n[   12.1][   T50] Kernel panic - not syncing: " + why + b"\n")
    with pytest.raises(KernelCrash) as raised:
        watched.look()
    assert (raised.value.setting, raised.value.whole) == (setting, False)
    assert ("made the kernel panic" in str(raised.value)) is bool(setting)
