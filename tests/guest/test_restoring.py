"""Guests really restored: like booted ones, each with its own memory, randomness and clock."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from junitparser import JUnitXml, Properties

from pytest_kbisect import properties
from pytest_kbisect.errors import BootError, InfraError, KernelCrash
from pytest_kbisect.guest import RESUME_SOURCE, migration, resume
from pytest_kbisect.guest.guests import Guests, key_of
from pytest_kbisect.guest.pool import BOOTS, Pool
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.guest.vm import Guest
from pytest_kbisect.kernel.host_limits import memory_available
from pytest_kbisect.programs import compile_static

pytestmark = pytest.mark.guest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    return compile_static(RESUME_SOURCE, tmp_path_factory.mktemp("programs"), name="resume")


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool") / "frozen"
    with Pool.create(folder):
        yield Pool(folder, memory_available)


@pytest.fixture(scope="module")
def guests(pool, image, program, said) -> Guests:
    """Every boot of the tests' kernel is frozen by the first tests that ask; the others restore."""
    return Guests(pool, image, resume=lambda: program, boot_timeout=60, say=said.append)


@pytest.fixture
def own_guests(tmp_path: Path, image, program):
    """With places of their own: what is told, and guests."""
    said: list[str] = []
    with Pool.create(tmp_path / "frozen"):
        own = Pool(tmp_path / "frozen", memory_available)
        yield said, Guests(own, image, resume=lambda: program, boot_timeout=60, say=said.append)


def booted_at(guest: Guest) -> str:
    """The times of its boot: what two guests of one boot have in common, and no others."""
    return guest.run("dmesg | head -100 | md5sum").stdout


def test_each_is_restored_from_one_of_two_boots(guests, machine, tmp_path: Path) -> None:
    boots = []
    for number in range(2 * BOOTS):
        with guests.guest(machine, tmp_path / str(number)) as guest:
            boots.append((guest.boot_number, booted_at(guest)))
            assert guest.restore_seconds > 0
            assert (guest.boot_seconds > 0) == (number < BOOTS)
            text = guest.console.text()
            assert text.count("Linux version ") == 1
            assert guest.run("ls -A /tmp /run").stdout.split() == ["/run:", "/tmp:", "dropbear.pid"]
            assert "dropbear" not in guest.run("ps | grep 'dropbear.*-R' | grep -v grep").stdout
    assert len(set(boots)) == BOOTS
    assert len({times for _, times in boots}) == BOOTS


def test_randomness_and_clock_are_its_own(guests, machine, tmp_path: Path) -> None:
    numbers = set()
    for number in range(2 * BOOTS):
        with guests.guest(machine, tmp_path / str(number)) as guest:
            asked = time.time()
            date, random = guest.run("date +%s; head -c 16 /dev/urandom | md5sum").stdout.splitlines()
            assert asked - 2 < int(date) < time.time() + 2
            numbers.add(random)
            assert "reseeded due to virtual machine fork" in guest.console.text()
    assert len(numbers) == 2 * BOOTS


@pytest.mark.parametrize("line", ["/dev/ttyS1", "/dev/ttyS9"])
def test_randomness_without_a_generation_id(
    own_guests, machine, tmp_path: Path, monkeypatch, line: str
) -> None:
    """As on kernels before 5.18: the program of resume.c does it, with and without a second serial line."""
    _, guests = own_guests
    machine = replace(machine, architecture=replace(machine.architecture, second_serial=line))
    monkeypatch.setattr(resume, "_LIMIT", 2.0)
    command = Machine.command

    def without(self, *arguments, **named):
        words = command(self, *arguments, **named)
        at = words.index("vmgenid,guid=auto")
        return [*words[: at - 1], *words[at + 1 :]]

    monkeypatch.setattr(Machine, "command", without)
    numbers = set()
    for number in range(BOOTS + 2):
        with guests.guest(machine, tmp_path / str(number)) as guest:
            numbers.add(guest.run("head -c 16 /dev/urandom | md5sum").stdout)
            assert "virtual machine fork" not in guest.console.text()
            assert abs(int(guest.run("date +%s").stdout) - time.time()) < 3
            assert "resume" not in guest.run("ps; ls /run").stdout
    assert len(numbers) == BOOTS + 2


def test_guests_side_by_side_share_what_they_do_not_change(guests, machine, tmp_path: Path) -> None:
    """And one that changes all of its memory disturbs nobody."""
    place = Path(guests._pool.folder)

    def frozen() -> list[str]:
        return [hashlib.md5((place / name / "memory").read_bytes()).hexdigest() for name in ("0", "1")]

    with guests.guest(machine, tmp_path / "a") as a, guests.guest(machine, tmp_path / "b") as b:
        before = frozen()
        with guests.guest(machine, tmp_path / "c") as c:
            total = sum(_private_memory(guest._qemu.process.pid) for guest in (a, b, c))
            assert total < 0.5 * 3 * (machine.memory << 20)
            c.run(
                "mount -t tmpfs -o size=100% x /mnt && dd if=/dev/zero of=/mnt/x bs=1M count=380",
                timeout=60,
            )
            assert _private_memory(c._qemu.process.pid) > 380 << 20
            assert a.run("ls /mnt").stdout == ""
            assert c.run("ls /mnt").stdout == "x\n"
        assert frozen() == before
        a.settle()
        b.settle()


def _private_memory(pid: int) -> int:
    """Bytes that are a process' own."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) << 10
    raise AssertionError


def test_what_is_cut_short_is_made_again(guests, pool, machine, tmp_path: Path) -> None:
    for number in range(BOOTS):
        with guests.guest(machine, tmp_path / f"before{number}"):
            pass
    os.truncate(pool.folder / "0" / "ram", 100 << 20)
    os.truncate(pool.folder / "1" / "state", 100_000)
    for number in range(BOOTS):
        with guests.guest(machine, tmp_path / f"after{number}") as guest:
            assert guest.boot_seconds > 0
            assert guest.run("echo fine").stdout == "fine\n"


def test_another_qemu_does_not_get_what_this_one_froze(machine, monkeypatch) -> None:
    here = key_of(machine)
    monkeypatch.setattr("pytest_kbisect.guest.guests.qemu_identity", lambda: "another one")
    assert key_of(machine) != here
    monkeypatch.undo()
    assert key_of(machine) == here
    for other in (replace(machine, memory=600), replace(machine, cpus=1), replace(machine, cpu="qemu64")):
        assert key_of(other) != here


def test_a_qemu_that_cannot_freeze_is_found_out_once(
    own_guests, machine, tmp_path: Path, monkeypatch
) -> None:
    def cannot(qemu) -> None:
        raise InfraError("qemu", "QEMU failed at migrate-set-capabilities: unknown")

    monkeypatch.setattr(migration, "_ignore_shared_memory", cannot)
    said, guests = own_guests
    for number in range(3):
        with guests.guest(machine, tmp_path / str(number)) as guest:
            assert guest.run("echo fine").stdout == "fine\n"
            assert guest.boot_number is None
    assert len(said) == 1
    assert "booted for each run: QEMU failed at migrate-set-capabilities" in said[0]


def test_a_guest_that_cannot_be_restored_is_booted(own_guests, machine, tmp_path: Path, monkeypatch) -> None:
    freeze = Guest.freeze

    def cut(self, resume):
        frozen = freeze(self, resume)
        return replace(frozen, state=frozen.state[:5000])

    monkeypatch.setattr(Guest, "freeze", cut)
    said, guests = own_guests
    for number in range(2):
        with guests.guest(machine, tmp_path / str(number)) as guest:
            assert guest.run("echo fine").stdout == "fine\n"
            assert guest.boot_number is None
            assert guest.console.text().count("Linux version") == 1
    assert len(said) == 1


def test_a_kernel_that_does_not_boot_is_not_frozen(own_guests, machine, tmp_path: Path) -> None:
    broken = replace(machine, kernel_arguments="rdinit=/bin/false")
    said, guests = own_guests
    for number in range(2):
        with pytest.raises(BootError), guests.guest(broken, tmp_path / str(number)):
            pass
    assert said == []


def test_what_comes_a_little_after_the_end_belongs_to_the_run(guests, machine, tmp_path: Path) -> None:
    with guests.guest(machine, tmp_path / "guest") as guest:
        guest.run("(sleep 0.05; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &")
        with pytest.raises(KernelCrash, match="sysrq triggered crash"):
            guest.settle()
    with guests.guest(machine, tmp_path / "quiet") as guest:
        guest.run("dmesg -n 1; for i in $(seq 300); do echo $i >/dev/kmsg; done")
        guest.settle()
        guest.settle()
        assert guest.console.text().count("kbisect: end of run") == 2


def told(xml: Path, name: str) -> list[str]:
    return [
        item.value
        for suite in JUnitXml.fromfile(str(xml))
        for case in suite
        for item in case.child(Properties) or ()
        if item.name == name
    ]


def test_two_sessions_at_once_on_one_cache(linux_clone, buggy_kernel, buggy, configuration, tmp_path) -> None:
    def session(name: str, *words: str) -> subprocess.Popen:
        command = [
            *(sys.executable, "-m", "pytest", ROOT / "repro" / "tun_napi_frags.c", "--kbisect-runs=3"),
            *(f"--kbisect-kernel={linux_clone.path}", f"--kbisect-commit={buggy}"),
            *(f"--kbisect-config={configuration}", f"--junitxml={tmp_path / name}.xml", *words),
        ]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    both = [session("restored", "-n2"), session("fresh", "--kbisect-fresh-boot")]
    for process in both:
        output, _ = process.communicate()
        assert process.returncode == 1, output.decode()  # it crashes
    assert told(tmp_path / "restored.xml", properties.OUTCOME) == ["crashed"] * 3
    assert sorted(told(tmp_path / "restored.xml", properties.BOOT)) in (["0", "0", "1"], ["0", "1", "1"])
    assert told(tmp_path / "fresh.xml", properties.OUTCOME) == ["crashed"] * 3
    assert told(tmp_path / "fresh.xml", properties.BOOT) == ["fresh"] * 3
    assert all(float(text) == 0 for text in told(tmp_path / "fresh.xml", properties.RESTORE_SECONDS))
    assert len(told(tmp_path / "restored.xml", properties.TEARDOWN_SECONDS)) == 3
