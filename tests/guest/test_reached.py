"""Which functions of its kernel a guest executes."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from pytest_kbisect.errors import InfraError, KernelCrash
from pytest_kbisect.guest import gdb_stub
from pytest_kbisect.guest import reached as room
from pytest_kbisect.guest.vm import Guest
from pytest_kbisect.kernel.entries import entries
from pytest_kbisect.programs import compile_static

pytestmark = pytest.mark.guest

REPRODUCER = Path(__file__).parent.parent.parent / "repro" / "tun_napi_frags.c"
FUNCTIONS = ("pskb_expand_head", "tun_get_user", "reboot_pid_ns", "is_in_no_kernel")


@pytest.fixture
def watched(buggy_kernel, machine, image, tmp_path):
    with Guest(machine, image, tmp_path / "guest") as guest:
        guest.boot()
        yield guest, guest.watch(entries(buggy_kernel.vmlinux, FUNCTIONS), tmp_path / "stub")


def test_what_a_run_executes_is_told_and_what_it_does_not(watched, tmp_path):
    guest, reached = watched
    assert set(reached.functions) == set(FUNCTIONS[:3])
    guest.run("true")
    guest.settle()
    assert reached.hit <= {"pskb_expand_head"}  # which ssh may call, too
    with pytest.raises(KernelCrash, match="pskb_expand_head"):
        guest.run_program(compile_static(REPRODUCER, tmp_path / "programs"))
        guest.settle()
    assert reached.hit == {"pskb_expand_head", "tun_get_user"}


def test_a_guest_that_has_been_everywhere_goes_on(buggy_kernel, machine, image, tmp_path):
    with Guest(machine, image, tmp_path / "guest") as guest:
        guest.boot()
        reached = guest.watch(entries(buggy_kernel.vmlinux, ["vfs_write"]), tmp_path / "stub")
        assert guest.run("echo there; cat /proc/loadavg").stdout.startswith("there")
        guest.settle()
        assert reached.hit == {"vfs_write"}


def test_a_qemu_that_is_held_up_at_a_breakpoint_goes_on(buggy_kernel, machine, image, tmp_path, monkeypatch):
    """As by a host that swaps; the guest stood there for good, and was called hung."""
    asked = gdb_stub.GdbStub.instruction_pointer

    def held_up(stub):
        pid = guest._qemu.process.pid
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(1.5, os.kill, (pid, signal.SIGCONT)).start()
        return asked(stub)

    monkeypatch.setattr(gdb_stub, "ANSWER", 0.5)
    monkeypatch.setattr(gdb_stub.GdbStub, "instruction_pointer", held_up)
    with Guest(machine, image, tmp_path / "guest") as guest:
        guest.boot()
        reached = guest.watch(entries(buggy_kernel.vmlinux, ["vfs_write"]), tmp_path / "stub")
        assert guest.run("echo there", timeout=20).stdout == "there\n"
        assert reached.hit == {"vfs_write"}


def test_nothing_to_watch(buggy_kernel, machine, image, tmp_path):
    assert entries(tmp_path / "no vmlinux", ["vfs_write"]) == {}
    with Guest(machine, image, tmp_path / "guest") as guest:
        assert guest.watch({}, tmp_path / "stub") is None


def test_a_guest_whose_stub_answers_too_late_goes_on_unwatched(
    buggy_kernel, machine, image, tmp_path, monkeypatch
):
    """Connecting stops it: it stood there for good, and was called hung."""
    monkeypatch.setattr(gdb_stub, "ANSWER", 0.2)
    with Guest(machine, image, tmp_path / "guest") as guest:
        guest.boot()
        serve = guest._qemu.serve_gdb

        def and_be_held_up(path):
            serve(path)
            pid = guest._qemu.process.pid
            os.kill(pid, signal.SIGSTOP)
            threading.Timer(1.0, os.kill, (pid, signal.SIGCONT)).start()

        monkeypatch.setattr(guest._qemu, "serve_gdb", and_be_held_up)
        with pytest.raises(InfraError, match="does not answer"):
            guest.watch(entries(buggy_kernel.vmlinux, ["vfs_write"]), tmp_path / "stub")
        assert guest.run("echo there", timeout=20).stdout == "there\n"
        guest.settle()


def test_a_guest_that_a_breakpoint_of_ours_holds_is_not_hung(
    buggy_kernel, machine, image, tmp_path, monkeypatch
):
    monkeypatch.setattr(room.Reached, "_follow", lambda reached: None)
    monkeypatch.setattr("pytest_kbisect.guest.ssh_diagnosis.ALIVE", 2.0)
    with Guest(machine, image, tmp_path / "guest") as guest:
        guest.boot()
        reached = guest.watch(entries(buggy_kernel.vmlinux, ["vfs_write"]), tmp_path / "stub")
        with pytest.raises(InfraError, match="stopped at a breakpoint of ours"):
            guest.run("echo there", timeout=3)
        assert not reached.hit
        reached._stub.close()  # nobody follows it, who would
