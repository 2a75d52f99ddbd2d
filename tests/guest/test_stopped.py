"""A guest that QEMU or a breakpoint of ours has stopped is the host's failure; with a QEMU that is played."""

from __future__ import annotations

import time
from dataclasses import replace

import played_qemu
import pytest

from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import InfraError, KernelCrash
from pytest_kbisect.guest import gdb_stub
from pytest_kbisect.guest.initramfs import GuestImage
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.guest.readiness import sign_of
from pytest_kbisect.guest.vm import Guest

ENTRIES = {"pipe_write": (0x1000,), "pipe_read": (0x2000,)}


@pytest.fixture
def play(tmp_path):
    guests = []

    def play(accelerator: str = "tcg", **behaviour) -> Guest:
        qemu = played_qemu.program(tmp_path / "qemu", **behaviour)
        machine = Machine(
            kernel=tmp_path / "bzImage",
            initramfs=None,
            accelerator=accelerator,
            architecture=replace(DEFAULT, qemu=str(qemu)),
        )
        guests.append(Guest(machine, GuestImage(tmp_path, tmp_path), tmp_path / "guest"))
        return guests[-1]

    yield play
    for guest in guests:
        guest.close()


@pytest.mark.parametrize("status", ["paused", "internal-error", "io-error", "debug", "postmigrate"])
def test_a_guest_that_qemu_stopped_is_the_hosts_failure(play, status):
    guest = play(status=status)
    hang = guest._diagnosis.hang()
    assert isinstance(hang, InfraError)
    assert f"QEMU stopped the guest ({status})" in str(hang)
    with sign_of(None, 0, guest._watch) as sign:
        assert isinstance(sign.missing(60), InfraError)


@pytest.mark.parametrize("status", ["running", "suspended", "guest-panicked"])
def test_a_guest_that_hangs_or_stopped_itself_is_a_crash(play, status):
    hang = play(status=status)._diagnosis.hang()
    assert isinstance(hang, KernelCrash)
    assert hang.report.title == "no response from the guest"


def runs(guest: Guest, seconds: float = 10.0) -> bool:
    """Whether it runs, or does so soon: on a busy host the played QEMU takes its time."""
    deadline = time.monotonic() + seconds
    while guest._qemu.held():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("deaf", [False, True])
def test_a_breakpoint_that_cannot_be_set_does_not_stop_the_guest(play, tmp_path, deaf):
    guest = play(refuses="Z0,2000", deaf=deaf)
    with pytest.raises(InfraError, match="failed at Z0,2000,1: 'E22'"):
        guest.watch(ENTRIES, tmp_path / "stub")
    assert runs(guest)


def test_nor_does_a_stub_that_answers_late(play, tmp_path, monkeypatch):
    monkeypatch.setattr(gdb_stub, "ANSWER", 0.1)
    guest = play(late=0.3)
    with pytest.raises(InfraError, match="does not answer"):
        guest.watch(ENTRIES, tmp_path / "stub")
    time.sleep(1.0)  # until the stub has come to the end of what was sent
    assert runs(guest)


@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize("refuses", ["g", "z0"])
def test_nor_does_one_that_fails_at_a_hit(play, tmp_path, refuses, deaf):
    guest = play(hits=[0x1000], refuses=refuses, deaf=deaf)
    reached = guest.watch(ENTRIES, tmp_path / "stub")
    deadline = time.monotonic() + 5
    while not reached.trouble and time.monotonic() < deadline:
        time.sleep(0.01)
    guest._look()
    assert "gdb stub" in reached.trouble
    assert runs(guest)


def test_under_kvm_breakpoints_are_in_debug_registers(play, tmp_path):
    guest = play("kvm", refuses="Z0")
    reached = guest.watch({f"function{n}": (0x1000 * n,) for n in range(8)}, tmp_path / "stub")
    assert reached.functions == ("function0", "function1", "function2", "function3")
    assert runs(guest)


FTRACE = (
    b"[    9.1][   T50] WARNING: CPU: 0 PID: 50 at arch/x86/kernel/ftrace.c:96 ftrace_replace_code+0x12/0x40\n"
    b"[    9.1][   T50] RIP: 0010:ftrace_replace_code+0x12/0x40\n"
    b"[    9.1][   T50] Call Trace:\n[    9.1][   T50]  ftrace_startup+0x1/0x20\n"
    b"[    9.1][   T50] ---[ end trace 0000000000000000 ]---\n"
    b"[    9.2][   T50] ------------[ ftrace bug ]------------\n"
    b"[    9.2][   T50] ftrace failed to modify \n"
    b"[    9.2][   T50] [<ffffffff81001000>] %s+0x0/0x4b0\n"
    b"[    9.2][   T50]  actual:   cc:1f:44:00:00\n"
)
INT3 = (
    b"[    9.1][   T50] int3: 0000 [#1] PREEMPT SMP\n"
    b"[    9.1][   T50] CPU: 0 PID: 50 Comm: crash Not tainted 6.1.0\n"
    b"[    9.1][   T50] RIP: 0010:%s+0x1/0x4b0\n"
    b"[    9.1][   T50] Call Trace:\n[    9.1][   T50]  vfs_write+0x1/0x20\n"
    b"[    9.1][   T50] ---[ end trace 0000000000000000 ]---\n"
)


@pytest.mark.parametrize("console", [FTRACE, INT3])
@pytest.mark.parametrize(
    ("accelerator", "function", "ours"),
    [("kvm", b"pipe_write", True), ("kvm", b"pipe_poll", False), ("tcg", b"pipe_write", False)],
)
def test_a_report_of_our_breakpoint_is_no_crash(play, tmp_path, console, accelerator, function, ours):
    guest = play(accelerator)
    guest.watch(ENTRIES, tmp_path / "stub")
    (tmp_path / "guest" / "console.log").write_bytes(console % function)
    crash = guest.crash()
    assert isinstance(crash, InfraError if ours else KernelCrash)
    if ours:
        assert "the kernel reports our breakpoint at pipe_write" in str(crash)
