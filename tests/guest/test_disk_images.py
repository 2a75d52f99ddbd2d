"""Guests whose user space is a disk image: booted, frozen, restored, and the image as it was."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import by_hand
import pytest
import small_images
from junitparser import JUnitXml, Properties

from pytest_kbisect import properties
from pytest_kbisect.errors import BootError, InfraError
from pytest_kbisect.guest import RESUME_SOURCE, disk, initramfs
from pytest_kbisect.guest.guests import Guests, key_of
from pytest_kbisect.guest.pool import BOOTS, Pool
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.guest.vm import Guest
from pytest_kbisect.kernel.host_limits import memory_available
from pytest_kbisect.programs import compile_static

pytestmark = pytest.mark.guest

ROOT = Path(__file__).parent.parent.parent
TUN = ROOT / "repro" / "tun_napi_frags.c"
FROM_DISK = "sync; echo 3 >/proc/sys/vm/drop_caches; "
"""What is read after this comes from the disk."""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return small_images.make(tmp_path_factory.mktemp("small") / "small, and ours.img")


@pytest.fixture
def on(buggy_kernel, accelerated, tmp_path: Path):
    """The machine with an image, and what it starts from."""

    def on(path: Path, **more) -> tuple[Machine, initramfs.GuestImage]:
        user_space = initramfs.build(tmp_path / "image", disk.look_at(path))
        kernel = buggy_kernel.image
        return Machine(
            kernel=kernel, initramfs=user_space.initramfs, disk=user_space.disk, **accelerated | more
        ), user_space

    return on


@pytest.fixture
def booted(on, tmp_path: Path):
    """Boots a guest with an image."""
    guests = []

    def booted(path: Path, timeout: float = 60, **more) -> Guest:
        guests.append(Guest(*on(path, **more), tmp_path / f"guest{len(guests)}"))
        guests[-1].boot(timeout)
        return guests[-1]

    yield booted
    for guest in guests:
        guest.close()


@pytest.fixture
def guests_of(tmp_path: Path):
    """Frozen and restored ones, with places of their own; and what is told of them."""
    program = compile_static(RESUME_SOURCE, tmp_path / "programs", name="resume")
    said: list[str] = []
    with Pool.create(tmp_path / "frozen"):
        pool = Pool(tmp_path / "frozen", memory_available)
        yield lambda user_space: (
            Guests(pool, user_space, resume=lambda: program, boot_timeout=60, say=said.append),
            said,
        )


def test_restored_guests_have_the_disk_as_it_was_frozen_and_each_its_own(
    small, on, guests_of, tmp_path: Path
) -> None:
    before = sha256(small)
    machine, user_space = on(small)
    guests, said = guests_of(user_space)
    boots = set()
    for number in range(BOOTS):  # these freeze
        with guests.guest(machine, tmp_path / f"first{number}") as guest:
            boots.add((guest.boot_number, guest.run(f"{FROM_DISK} cat /boot_id").stdout))
    assert len(boots) == BOOTS
    with guests.guest(machine, tmp_path / "a") as a, guests.guest(machine, tmp_path / "b") as b:
        for name, guest in (("a", a), ("b", b)):
            assert guest.boot_seconds == 0 < guest.restore_seconds
            assert (guest.boot_number, guest.run("cat /boot_id").stdout) in boots
            assert guest.run(f"echo {name} >/mine && sync && ls -A /tmp").stdout == ""
        numbers = set()
        for name, guest in (("a", a), ("b", b)):
            assert guest.run(f"{FROM_DISK} cat /mine").stdout == f"{name}\n"
            assert guest.run(f"{FROM_DISK} md5sum -c /sums").stdout == "/early: OK\n/late: OK\n"
            assert guest.run("cmp /boot_id /proc/sys/kernel/random/boot_id").exit_status == 0
            assert guest.run("dd if=/dev/zero of=/filling bs=1M count=8; sync; rm /filling").exit_status == 0
            numbers.add(guest.run("head -c 16 /dev/urandom | md5sum").stdout)
            guest.settle()
            assert "EXT4-fs error" not in guest.console.text()
        assert len(numbers) == 2
    with guests.guest(machine, tmp_path / "c") as c:
        assert c.run(f"{FROM_DISK} ls /mine").exit_status == 1
        assert c.run("md5sum -c /sums").exit_status == 0
    assert said == []
    assert sha256(small) == before
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"console.log", "qemu.log"}


def test_a_frozen_disk_cut_short_is_made_again(small, on, guests_of, tmp_path: Path) -> None:
    machine, user_space = on(small)
    guests, said = guests_of(user_space)
    for number in range(BOOTS):
        with guests.guest(machine, tmp_path / f"before{number}"):
            pass
    for layer in (tmp_path / "frozen").glob("*/layer"):
        os.truncate(layer, 1 << 20)
    for number in range(BOOTS):
        with guests.guest(machine, tmp_path / f"after{number}") as guest:
            assert guest.boot_seconds > 0
            assert guest.run("md5sum -c /sums").exit_status == 0
    assert said == []


@pytest.mark.parametrize("form", ["partition", "based on another"])
def test_every_form_of_image_boots(small, booted, tmp_path: Path, form: str) -> None:
    made = shutil.copy(small, tmp_path / "base.img")
    if form == "partition":
        made = small_images.in_partition(small, tmp_path / "partitioned.img")
    else:
        made = small_images.based_on(made, tmp_path / "over.qcow2")
    before = sha256(made)
    guest = booted(made)
    assert guest.run("echo fine >/x; sync; cat /x").stdout == "fine\n"
    assert guest.run("ls / | grep new").stdout == ""
    guest.settle()
    assert sha256(made) == before


def test_root_without_a_password(booted, tmp_path: Path) -> None:
    path = small_images.make(tmp_path / "blank.img", "chmod 777 /root\n", "dropbear -R -B -p 22\n")
    assert booted(path).run("id -u").stdout == "0\n"  # nobody believes a key in a folder that all may write


def test_root_that_may_not_log_in(booted, tmp_path: Path) -> None:
    path = small_images.make(tmp_path / "closed.img", "chmod 777 /root\n", small_images.SERVER)
    with pytest.raises(BootError, match=r"the ssh server of .*closed.img does not let root in") as error:
        booted(path)
    assert error.value.kind == "ssh"


def test_an_image_without_an_ssh_server(booted, tmp_path: Path) -> None:
    path = small_images.make(tmp_path / "deaf.img", "echo up >/dev/console\n")
    with pytest.raises(BootError, match=r"no ssh server answers in .*deaf.img after 6 s: have one") as error:
        booted(path, timeout=6)
    assert error.value.kind == "hang"
    assert "up" in error.value.console


def test_an_image_without_a_root_file_system(booted, tmp_path: Path) -> None:
    path = tmp_path / "empty.img"
    path.write_bytes(bytes(510) + b"\x55\xaa" + bytes(1 << 20))
    with pytest.raises(BootError, match=r"this kernel finds no root file system .* on .*empty.img") as error:
        booted(path)
    assert error.value.kind == "root"


def test_a_full_disk_of_the_host_is_not_the_kernels_fault(small, booted, monkeypatch) -> None:
    arguments = disk.DiskImage.arguments

    def failing(self, layers):
        full = "file.driver=blkdebug,file.image=layer-file,file.inject-error.0.event=write_aio"
        full += ",file.inject-error.0.errno=28"
        return [word.replace("file=layer-file", full) for word in arguments(self, layers)]

    monkeypatch.setattr(disk.DiskImage, "arguments", failing)
    with pytest.raises(InfraError, match=r"QEMU stopped the guest: .* has no room for what it writes"):
        booted(small, timeout=15)


def test_another_image_is_another_kind_of_guest(small, on, tmp_path: Path) -> None:
    machine, _ = on(small)
    here = key_of(machine)
    assert key_of(replace(machine, disk=None)) != here
    copied = Path(shutil.copy(small, tmp_path / "copy.img"))
    other = replace(machine, disk=disk.look_at(copied))
    there = key_of(other)
    with copied.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed")
    assert key_of(other) != there


@pytest.mark.parametrize("way", [["-n2"], ["--kbisect-fresh-boot"]])
def test_a_session_boots_or_restores_guests_of_an_image_and_leaves_it_alone(
    linux_clone, buggy, buggy_kernel, configuration, small, tmp_path, way: list[str]
) -> None:
    before = sha256(small)
    command = [
        *(sys.executable, "-m", "pytest", TUN, "--kbisect-runs=3", f"--kbisect-image={small}"),
        *(f"--kbisect-kernel={linux_clone.path}", f"--kbisect-commit={buggy}"),
        *(f"--kbisect-config={configuration}", f"--junitxml={tmp_path / 'out.xml'}", *way),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr  # it crashes
    told = [
        {item.name: item.value for item in case.child(Properties) or ()}
        for suite in JUnitXml.fromfile(str(tmp_path / "out.xml"))
        for case in suite
    ]
    assert [facts[properties.OUTCOME] for facts in told] == ["crashed"] * 3
    boots = {facts[properties.BOOT] for facts in told}
    assert boots == ({"0", "1"} if way == ["-n2"] else {"fresh"})
    assert {facts[properties.SIGNATURE] for facts in told} == {buggy_kernel.signature}
    assert sha256(small) == before


def test_repeat_sh(buggy_kernel, small, tmp_path: Path) -> None:
    before = sha256(small)
    said = by_hand.repeated(buggy_kernel.image, tmp_path / "results", tmp_path / "programs", image=str(small))
    assert said.count("WARNING: CPU:") == 1, said[-3000:]
    assert "repeat.sh: tun_napi_frags.c ended" in said
    assert "repeat.sh: done" in said
    assert "EXT4-fs (vda): mounted filesystem" in said
    assert sha256(small) == before
