"""What only KVM shows: in level 1 of `-m kvm` (see level_one.py), or on a host where it works."""

from __future__ import annotations

import pytest

from pytest_kbisect.errors import InfraError
from pytest_kbisect.guest import accelerator
from pytest_kbisect.guest.reached import Reached
from pytest_kbisect.guest.vm import Guest
from pytest_kbisect.kernel.entries import entries

pytestmark = pytest.mark.guest

FUNCTIONS = ("tun_get_user", "tun_chr_open", "reboot_pid_ns", "perf_event_open", "pipe_ioctl", "pipe_fcntl")
UNMAPPED = 0xFFFFFFFF00000000


@pytest.fixture
def booted(machine, image, accelerated, tmp_path):
    if accelerated["accelerator"] != "kvm":
        pytest.skip("KVM does not work here")
    with Guest(machine, image, tmp_path / "guest") as guest:
        guest.boot()
        yield guest


def test_the_probe_chooses_kvm_and_remembers_it(machine, accelerated, tmp_path):
    if accelerated["accelerator"] != "kvm":
        pytest.skip("KVM does not work here")
    chosen = accelerator.choose("auto", tmp_path, machine.kernel)
    assert chosen.name == "kvm"
    assert (tmp_path / "accelerator.json").exists()


def test_a_breakpoint_that_kvm_refuses_does_not_stop_the_guest(booted, tmp_path):
    booted._qemu.serve_gdb(tmp_path / "stub")
    with pytest.raises(InfraError, match="gdb stub failed at Z0"):
        Reached(tmp_path / "stub", {"nowhere": (UNMAPPED,)})
    booted._qemu.let_go()
    assert booted.run("echo there").stdout == "there\n"
    booted.settle()


def test_breakpoints_are_not_in_the_guests_memory(booted, buggy_kernel, tmp_path):
    places = entries(buggy_kernel.vmlinux, FUNCTIONS)
    reached = booted.watch(places, tmp_path / "stub")
    assert 1 <= len(reached.functions) <= 4
    for name in reached.functions:
        for place in places[name]:
            code = booted._qemu.execute("human-monitor-command", {"command-line": f"x/1xb {place:#x}"})
            assert "0xcc" not in code, code
    assert booted.run("echo there").stdout == "there\n"
    booted.settle()
    assert reached.trouble == ""
