"""Arguments and devices of the user's in real guests: restored where QEMU can save them, else booted."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from junitparser import JUnitXml, Properties

from pytest_kbisect import properties
from pytest_kbisect.errors import UsageError
from pytest_kbisect.guest import devices
from pytest_kbisect.guest.devices import Devices
from pytest_kbisect.guest.guests import Guests
from pytest_kbisect.guest.pool import Pool
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.kernel.host_limits import memory_available

ROOT = Path(__file__).parent.parent.parent
NVME = ("-drive", "driver=null-co,size=64M,if=none,id=d", "-device", "nvme,serial=1,drive=d")
NVME_CLASS, DISPLAY_CLASS = "0x010802", "0x038000"
CLASSES = "cat /sys/bus/pci/devices/*/class"

needs_qemu = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="there is no QEMU")


def machine_of(*extra: str) -> Machine:
    return Machine(kernel=Path(), initramfs=None, extra=extra)


# -- what QEMU says, without a kernel ----------------------------------------------------------------------


@needs_qemu
@pytest.mark.parametrize(
    ("extra", "fixed"),
    [
        (("-device", "virtio-gpu-pci"), ""),
        (("-device", "qemu-xhci", "-device", "usb-kbd"), ""),
        (NVME, "non-migratable device"),
        (
            (
                *("-object", "memory-backend-ram,size=256M,id=a", "-numa", "node,memdev=a,cpus=0"),
                *("-object", "memory-backend-ram,size=256M,id=b", "-numa", "node,memdev=b,cpus=1"),
            ),
            "mutually exclusive",
        ),
    ],
)
def test_qemu_says_whether_devices_can_be_frozen(tmp_path: Path, extra: tuple[str, ...], fixed: str) -> None:
    found = devices.examine(machine_of(*extra), tmp_path)
    assert not found.refused
    assert fixed in found.fixed
    assert bool(found.fixed) == bool(fixed)


@needs_qemu
def test_it_is_asked_once(tmp_path: Path, monkeypatch) -> None:
    machine = machine_of("-device", "nonsense")
    with pytest.raises(UsageError, match=r"'nonsense' is not a valid device model name: check the arguments"):
        devices.require(machine, tmp_path, "--kbisect-qemu")
    monkeypatch.setattr(devices, "examine", lambda *_: pytest.fail("asked again"))
    with pytest.raises(UsageError, match="'nonsense' is not a valid"):
        devices.require(machine, tmp_path, "--kbisect-qemu")
    assert devices.require(machine_of(), tmp_path, "--kbisect-qemu") == Devices(), "not asked at all"


# -- guests ------------------------------------------------------------------------------------------------


@pytest.fixture
def guests(tmp_path: Path, image):
    """With places of their own: what is told, and guests."""
    said: list[str] = []
    with Pool.create(tmp_path / "frozen"):
        pool = Pool(tmp_path / "frozen", memory_available)
        yield said, Guests(pool, image, resume=lambda: None, boot_timeout=60, say=said.append)


@pytest.mark.guest
def test_devices_are_there_in_restored_guests(guests, machine, tmp_path: Path) -> None:
    said, give = guests
    machine = replace(machine, extra=("-device", "virtio-gpu-pci"), kernel_arguments='slub_debug=FZ a="b c"')
    for n in range(3):
        with give.guest(machine, tmp_path / f"guest{n}") as guest:
            assert guest.boot_number is not None
            assert DISPLAY_CLASS in guest.run(CLASSES).stdout
            assert guest.run("cat /proc/cmdline").stdout.rstrip().endswith('slub_debug=FZ a="b c"')
    assert not said


@pytest.mark.guest
def test_what_cannot_be_frozen_is_found_out_once_for_all_kernels(guests, machine, tmp_path: Path) -> None:
    """Where nobody has asked QEMU beforehand: the first attempt tells, also for the next kernel."""
    said, give = guests
    other = tmp_path / "other"
    shutil.copy(machine.kernel, other)
    with other.open("ab") as file:
        file.write(b"\0")
    for n, kernel in enumerate((machine.kernel, machine.kernel, other)):
        with give.guest(replace(machine, kernel=kernel, extra=NVME), tmp_path / f"guest{n}") as guest:
            assert guest.boot_number is None
            assert NVME_CLASS in guest.run(CLASSES).stdout
    (line,) = said
    assert "guests with these devices are booted for each run" in line
    assert "non-migratable device" in line
    with give.guest(machine, tmp_path / "plain") as guest:
        assert guest.boot_number is not None, "other guests are frozen all the same"


@pytest.mark.guest
def test_what_a_guest_writes_to_a_drive_is_thrown_away(guests, machine, tmp_path: Path) -> None:
    _, give = guests
    disk = tmp_path / "disk, the first.img"
    disk.write_bytes(b"\0" * (1 << 20))
    drive = f"file={str(disk).replace(',', ',,')},format=raw,if=none,id=d"
    machine = replace(machine, extra=("-drive", drive, "-device", "virtio-blk-pci,drive=d"))
    for n in range(2):
        with give.guest(machine, tmp_path / f"guest{n}") as guest:
            assert guest.boot_number is not None
            assert guest.run("head -c 5 /dev/vda | tr '\\0' .").stdout == "....."
            assert guest.run("echo hello >/dev/vda && sync && head -c 5 /dev/vda").stdout == "hello"
    assert disk.read_bytes() == b"\0" * (1 << 20)


# -- sessions ----------------------------------------------------------------------------------------------


@pytest.mark.guest
def test_a_reproducer_asks_for_a_device(
    linux_clone, buggy_kernel, buggy, configuration, tmp_path: Path
) -> None:
    (tmp_path / "nvme.sh").write_text(
        f"# kbisect-qemu: {shlex.join(NVME)}\n# kbisect-cmdline: nvme.poll_queues=1\n{CLASSES} /proc/cmdline\n"
    )
    xml = tmp_path / "out.xml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "nvme.sh", f"--kbisect-kernel={linux_clone.path}"),
            *(f"--kbisect-commit={buggy}", f"--kbisect-config={configuration}", "--kbisect-runs=2"),
            *("--kbisect-cmdline=slub_debug=FZ", f"--junitxml={xml}", "-s"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    printed = done.stdout + done.stderr
    cases = [case for suite in JUnitXml.fromfile(str(xml)) for case in suite]
    assert len(cases) == 2
    told = [{item.name: item.value for item in case.child(Properties)} for case in cases]
    booted = all(facts[properties.BOOT] == "fresh" for facts in told)  # QEMU 10 can freeze an NVMe disk
    said = printed.count("guests with these devices are booted for each run, they cannot be frozen")
    assert said == (1 if booted else 0)
    assert printed.count(NVME_CLASS) == 2
    assert printed.count("slub_debug=FZ nvme.poll_queues=1") == 2


@pytest.mark.guest
def test_a_person_gets_a_guest(linux_clone, buggy_kernel, buggy, configuration, tmp_path: Path) -> None:
    """Its ssh line works; the answers are the person's."""
    if shutil.which("ssh") is None:
        pytest.skip("there is no ssh")
    sys.path.insert(0, str(ROOT / "tests" / "plugin"))
    from asked_person import Person

    place = type("Place", (), {"path": tmp_path})
    words = [
        f"--kbisect-kernel={linux_clone.path}",
        f"--kbisect-range={linux_clone.demo.bad}..{buggy}",
        f"--kbisect-config={configuration}",
        "--kbisect-shell",
    ]
    with Person(place, *words, bare=True) as person:
        text = person.question()
        line = next(line for line in text.splitlines() if line.startswith("kbisect: guest "))
        ssh = shlex.split(line.removeprefix("kbisect: guest "))
        done = subprocess.run([*ssh, "uname -r"], capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout.strip() == buggy_kernel.release, done.stderr
        assert person.asked[-1][0] == buggy[:12]
        person.type("quit")
        assert person.question() == ""
    assert "the same command continues" in person.out
