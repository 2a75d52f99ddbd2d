"""Guests, really booted: what can be done in them, and how each way to fail is told."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kbisect.errors import BootError, InfraError, KernelCrash
from pytest_kbisect.guest import accelerator
from pytest_kbisect.guest.ssh import CommandTimeoutError, no_test
from pytest_kbisect.guest.vm import Guest

pytestmark = pytest.mark.guest


def test_commands_files_and_the_console(guest, tmp_path: Path) -> None:
    result = guest.run("echo out; echo err >&2; exit 3")
    assert (result.exit_status, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert guest.run(["echo", "two words", "$HOME"]).stdout == "two words $HOME\n"
    assert guest.run("cat", stdin=b"x" * 300_000).stdout == "x" * 300_000
    data = bytes(range(256)) * 1000
    (tmp_path / "data").write_bytes(data)
    guest.put(tmp_path / "data", "/tmp/data")
    guest.get("/tmp/data", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    guest.put(str(tmp_path / "data"), '/tmp/a "$name"')  # a path may be text, too
    guest.get('/tmp/a "$name"', str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == data
    (tmp_path / "$hello").write_text("#!/bin/sh\necho hello\n")
    assert guest.run_program(str(tmp_path / "$hello")).stdout == "hello\n"
    guest.run("echo '<6>from the test' >/dev/kmsg")
    guest.settle()
    assert "from the test" in guest.console.text()
    assert guest.console.text().count("Linux version ") == 1


def test_the_network_reaches_nothing_but_us(guest) -> None:
    assert guest.run("ping -c1 -W1 10.0.2.2; wget -T2 -O- http://10.0.2.2:22/", timeout=10).exit_status != 0


def test_a_time_out_is_not_a_hang(guest) -> None:
    started = time.monotonic()
    with pytest.raises(CommandTimeoutError, match="'sleep 60' still ran after 1 s"):
        guest.run("sleep 60", timeout=1)
    assert time.monotonic() - started < 10
    assert guest.run("sleep 60", timeout=0.5, may_time_out=True).timed_out
    with pytest.raises(InfraError, match="'sleep 60' still ran after 1 s"), no_test():
        guest.run("sleep 60", timeout=1)
    assert guest.run("echo still here").stdout == "still here\n"


def test_a_panic_is_told_by_its_title(guest) -> None:
    with pytest.raises(KernelCrash) as crash:
        guest.run("echo c >/proc/sysrq-trigger", timeout=10)
        guest.settle()
    assert "sysrq triggered crash" in crash.value.report.title
    assert "Kernel panic" in crash.value.report.report


def test_a_silent_reboot_is_a_crash_of_its_own(guest) -> None:
    with pytest.raises(KernelCrash) as crash:
        guest.run("echo b >/proc/sysrq-trigger", timeout=10)
        guest.settle()
    assert crash.value.report.title == "unexpected kernel reboot"


def test_a_reboot_seen_first_by_the_second_connection(guest) -> None:
    with pytest.raises(InfraError) as lost:  # nobody watches the console meanwhile
        guest._ssh.run("echo b >/proc/sysrq-trigger", timeout=10)
    reason = guest._diagnosis._connect_again(lost.value)
    assert isinstance(reason, KernelCrash)
    assert reason.report.title == "unexpected kernel reboot"


def test_a_guest_that_hangs(guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_kbisect.guest.ssh_diagnosis.ALIVE", 2.0)
    guest.run("kill -STOP $(pidof dropbear)", timeout=1, may_time_out=True)
    with pytest.raises(KernelCrash) as crash:
        guest.run("true", timeout=1)
    assert crash.value.report.title == "no response from the guest"


def test_a_guest_that_qemu_has_stopped_did_not_hang(guest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does for which the host's KVM fails (internal-error)."""
    monkeypatch.setattr("pytest_kbisect.guest.ssh_diagnosis.ALIVE", 2.0)
    guest._qemu.execute("stop")
    with pytest.raises(InfraError, match=r"QEMU stopped the guest \(paused\)"):
        guest.run("true", timeout=1)


def test_an_sshd_that_is_gone(guest) -> None:
    with pytest.raises(KernelCrash) as crash:
        guest.run("kill -9 $(pidof dropbear); sleep 5", timeout=10)
        guest.settle()
    assert crash.value.report.title == "lost connection to the guest"


def test_qemu_dying_is_the_hosts_failure(guest) -> None:
    os.kill(guest._qemu.process.pid, signal.SIGKILL)
    with pytest.raises(InfraError, match="QEMU died"):
        guest.run("sleep 5", timeout=10)


def test_a_qemu_that_is_told_to_end_is_no_reboot(guest) -> None:
    """As earlyoom does with the largest process, and a host that shuts down with all."""
    os.kill(guest._qemu.process.pid, signal.SIGTERM)
    with pytest.raises(InfraError, match="terminating on signal 15"):
        guest.run("sleep 30")


def test_a_kernel_that_panics_while_booting(machine, image, tmp_path: Path) -> None:
    broken = replace(machine, kernel_arguments="rdinit=/bin/false")
    with Guest(broken, image, tmp_path / "guest") as guest, pytest.raises(BootError) as error:
        guest.boot(60)
    assert error.value.kind == "panic"
    assert "boot failed: " in str(error.value)
    assert "end of the console" in str(error.value)
    assert "Attempted to kill init" in str(error.value)


def test_a_kernel_that_never_reaches_user_space(machine, image, tmp_path: Path) -> None:
    waiting = replace(machine, kernel_arguments="rdinit=/bin/cat")
    silence = pytest.raises(BootError, match="no sign of user space after 2 s")
    with Guest(waiting, image, tmp_path / "guest") as guest, silence as error:
        guest.boot(2)
    assert error.value.kind == "hang"


def test_a_guest_that_qemu_does_not_start_is_the_hosts_failure(machine, image, tmp_path: Path) -> None:
    stopped = replace(machine, extra=("-S",))
    with Guest(stopped, image, tmp_path / "guest") as guest, pytest.raises(InfraError) as error:
        guest.boot(2)
    assert "QEMU stopped the guest (prelaunch)" in str(error.value)
    assert "(the console is empty)" in str(error.value)


def test_user_space_without_ssh(machine, image, tmp_path: Path) -> None:
    deaf = replace(machine, kernel_arguments="rdinit=/bin/sh -- -c 'echo kbisect: guest ready; sleep 100'")
    with Guest(deaf, image, tmp_path / "guest") as guest, pytest.raises(BootError) as error:
        guest.boot(15)
    assert error.value.kind in {"ssh", "panic"}  # the kernel cuts quoted arguments at blanks


def test_a_kernel_that_is_none(machine, image, tmp_path: Path) -> None:
    rubbish = tmp_path / "bzImage"
    rubbish.write_bytes(b"no kernel" * 1000)
    with (
        pytest.raises((InfraError, BootError)),
        Guest(replace(machine, kernel=rubbish), image, tmp_path / "g") as guest,
    ):
        guest.boot(5)


def test_guests_side_by_side_do_not_meet(machine, image, tmp_path: Path) -> None:
    guests = [Guest(machine, image, tmp_path / name) for name in "abc"]
    try:
        for guest in guests:
            guest.boot(60)
        for number, guest in enumerate(guests):
            guest.run(f"echo {number} >/tmp/mine")
        assert [guest.run("cat /tmp/mine").stdout for guest in guests] == ["0\n", "1\n", "2\n"]
        assert len({guest._qemu.ssh_port() for guest in guests}) == 3
    finally:
        for guest in guests:
            guest.close()


def test_a_guest_is_gone_when_it_is_closed(machine, image, tmp_path: Path) -> None:
    guest = Guest(machine, image, tmp_path / "guest")
    pid = guest._qemu.process.pid
    started = time.monotonic()
    guest.close()
    assert time.monotonic() - started < 0.5
    assert not Path(f"/proc/{pid}").exists()


def test_a_guest_dies_with_its_process(machine, image, tmp_path: Path) -> None:
    script = tmp_path / "hold.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from pytest_kbisect.guest.qemu import Machine, Qemu\n"
        f"qemu = Qemu(Machine(kernel=Path({str(machine.kernel)!r}), initramfs=None), Path({str(tmp_path)!r}))\n"
        "print(qemu.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    import sys

    holder = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    pid = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    holder.stdout.close()
    deadline = time.monotonic() + 2
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_the_accelerator_is_probed_once_and_works(machine, tmp_path: Path) -> None:
    chosen = accelerator.choose("auto", tmp_path, machine.kernel)
    assert accelerator.boots(chosen.name, chosen.cpu, machine.kernel, tmp_path)
    started = time.monotonic()
    assert accelerator.choose("auto", tmp_path, machine.kernel) == chosen
    assert time.monotonic() - started < 0.1
    if chosen.name == "tcg":
        assert "TCG" in chosen.why
