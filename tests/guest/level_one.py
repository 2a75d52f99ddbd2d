"""A Debian in QEMU's emulator in which KVM works, for tests: TCG emulates AMD's SVM.

The image is made once, by debootstrap and mkfs.ext4, and kept in the tests' part of the cache. It has
Debian's own kernel, QEMU, what guests and builds need, and the libraries of pyproject.toml. The guests in it
run under KVM: this host's emulator is level 0, the Debian level 1, its guests are level 2.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pytest
from filelock import FileLock

import pytest_kbisect
from pytest_kbisect import host
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.distribution import Family
from pytest_kbisect.guest import disk, initramfs, user_space
from pytest_kbisect.guest.initramfs import FIND_ROOT, GuestImage
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.guest.vm import Guest
from pytest_kbisect.kernel.host_limits import memory_available

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.guest.ssh import CommandResult
    from pytest_kbisect.kernel.image import KernelImage

ROOT: Final = Path(__file__).parent.parent.parent
RECIPE: Final = "2"
"""Changes with `_finish`."""
SUITE: Final = "bookworm"
MIRROR: Final = "http://deb.debian.org/debian"
PYTHON: Final = "3.11"
"""The version of that suite."""
CPU: Final = "max,+svm,-xsave"
"""Nested, with SVM; the emulator's XSAVE and SVM together break guests (QEMU 7.2)."""
MEMORY: Final = 3584
"""MiB of level 1: two guests of 512 MiB, each frozen in memory, and pytest."""
BOOT: Final = 600.0
"""Seconds for level 1 to be up; it takes 11 on an idle host, 220 on one with eight jobs a processor."""
LIBRARIES: Final = "/opt/libraries"
MODULES: Final = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")
"""What Debian's kernel needs to mount its root, and to be reached; the rest is loaded from there."""
INIT: Final = """\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm /run /payload
mount -t devpts devpts /dev/pts
for folder in /dev/shm /run /tmp; do mount -t tmpfs tmpfs $folder; done
ip link set lo up
modprobe kvm-amd
mount -o ro /dev/vdb /payload
mkdir -p /etc/dropbear
dropbear -R -p 22
while :; do wait; sleep 3600 & wait $!; done
"""


def why_not() -> str:
    """Why this host cannot have a level 1; empty if it can."""
    needed = ("debootstrap", "mkfs.ext4", "chroot", "qemu-system-x86_64")
    if missing := [name for name in needed if not host.find(name)]:
        return f"{', '.join(missing)} not installed"
    if os.geteuid():
        return "debootstrap needs root"
    if memory_available() < (MEMORY + 512) << 20:
        return f"level 1 needs {MEMORY + 512} MiB of memory"
    return ""


def _packages() -> str:
    tools = [tool for tool in host.TOOLS if tool.purpose is not host.Purpose.DEMO and not tool.optional]
    more = ("python3", "linux-image-amd64", "procps", "iproute2", "e2fsprogs", "ca-certificates")
    return ",".join(dict.fromkeys([tool.packages[Family.DEBIAN] for tool in tools] + list(more)))


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return sorted(project["dependencies"])


@dataclass(frozen=True, slots=True)
class Image:
    """`folder` holds disk.img, vmlinuz, and modules in the order in which they are loaded."""

    folder: Path

    @property
    def modules(self) -> list[Path]:
        return sorted((self.folder / "modules").iterdir())


def image(cache: Path) -> Image:
    """The image in a cache, made if it is not there (minutes). Skips the test where that cannot be done."""
    recipe = "\0".join((RECIPE, SUITE, _packages(), *_requirements(), INIT, *MODULES))
    folder = cache / "tests" / f"level-one-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.exists():
            return Image(folder)
        for old in folder.parent.glob("level-one-*/"):
            shutil.rmtree(old)
        making = folder.with_suffix(".making")
        root = making / "root"
        making.mkdir()
        _run("debootstrap", "--variant=minbase", f"--include={_packages()}", SUITE, str(root), MIRROR)
        _finish(making, root)
        shutil.rmtree(root)
        making.rename(folder)
    return Image(folder)


def _finish(folder: Path, root: Path) -> None:
    """Make of a Debian in `root` the image's files in `folder`."""
    pip = (sys.executable, "-m", "pip", "install", "-q", "--target", f"{root}{LIBRARIES}")
    _run(*pip, "--python-version", PYTHON, "--only-binary=:all:", *_requirements())
    _run(
        "chroot",
        str(root),
        "python3",
        "-m",
        "compileall",
        "-q",
        "-x",
        "/tests?/",
        LIBRARIES,
        "/usr/lib/python3",
    )
    (root / "sbin" / "init").write_text(INIT)
    (root / "sbin" / "init").chmod(0o755)
    (folder / "modules").mkdir()
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    shutil.copy(kernel, folder / "vmlinuz")
    release = kernel.name.removeprefix("vmlinuz-")
    loaded: dict[str, None] = {}
    for module in MODULES:
        words = ("chroot", str(root), "modprobe", "-S", release, "--show-depends", module)
        lines = _run(*words).splitlines()
        loaded |= dict.fromkeys(line.split()[1] for line in lines if line.startswith("insmod"))
    for number, name in enumerate(loaded):
        shutil.copy(f"{root}{name}", folder / "modules" / f"{number:02}-{Path(name).name}")
    for unneeded in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
        shutil.rmtree(root / unneeded, ignore_errors=True)
    _file_system(root, folder / "disk.img", spare=1 << 30)


def _file_system(tree: Path, path: Path, *, spare: int) -> None:
    used = int(_run("du", "-s", "-B1", str(tree)).split()[0])
    with path.open("wb") as file:
        file.truncate((used * 5 // 4 + spare) >> 20 << 20)
    _run("mkfs.ext4", "-q", "-E", "root_owner=0:0", "-d", str(tree), str(path))


def _run(*words: str) -> str:
    """Run a program that makes the image; skips the test where it fails, as without a network."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        pytest.skip(f"no level 1: {shlex.join(words[:2])} failed: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def payload(kernels: dict[str, KernelImage], path: Path) -> Path:
    """A file system with this project, as installed, and with kernels: kernels/NAME/{bzImage,vmlinux,...}."""
    tree = path.with_suffix(".tree")
    for name in ("pytest_kbisect", "tests", "repro"):
        shutil.copytree(ROOT / name, tree / "project" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tree / "project")
    facts = tree / "project" / f"pytest_kbisect-{pytest_kbisect.__version__}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: pytest-kbisect\nVersion: {pytest_kbisect.__version__}\n"
    )
    (facts / "entry_points.txt").write_text("[pytest11]\nkbisect = pytest_kbisect.plugin\n")
    for name, kernel in kernels.items():
        folder = tree / "kernels" / name
        folder.mkdir(parents=True)
        for file in (kernel.image, kernel.vmlinux, kernel.config):
            shutil.copy(file, folder / file.name)
        (folder / "signature").write_text(kernel.signature)
    _file_system(tree, path, spare=64 << 20)
    shutil.rmtree(tree)
    return path


class LevelOne:
    """A booted level 1. Use as a context manager."""

    def __init__(self, image: Image, payload: Path, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        keys = initramfs._generate_client_key(folder / "key")
        archive = initramfs.finding_root(user_space.of(DEFAULT, None), _loading(image.modules), keys)
        for module in image.modules:
            archive.file(f"modules/{module.name}", module.read_bytes())
        (folder / "initramfs").write_bytes(archive.bytes())
        medium = disk.look_at(image.folder / "disk.img")
        machine = Machine(
            kernel=image.folder / "vmlinuz",
            initramfs=folder / "initramfs",
            disk=medium,
            memory=MEMORY,
            accelerator="tcg,thread=multi",
            cpu=CPU,
            # An emulated processor clears huge pages slowly, and stalls on a busy host.
            kernel_arguments="sysctl.kernel.hung_task_timeout_secs=0 transparent_hugepage=never nosoftlockup rcupdate.rcu_cpu_stall_suppress=1",
            extra=(
                *(
                    "-blockdev",
                    f"driver=file,filename={disk.escaped(payload)},node-name=payload,read-only=on",
                ),
                *("-device", "virtio-blk-pci,drive=payload"),
            ),
        )
        self._guest = Guest(machine, GuestImage(folder / "initramfs", folder / "key", disk=medium), folder)
        self._guest.expect(lambda _: False)  # of Debian's kernel only a panic matters

    def __enter__(self) -> Self:
        try:
            self._guest.boot(BOOT)
        except BaseException:
            self._guest.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._guest.close()

    def run(self, command: str, timeout: float) -> CommandResult:
        """Run a shell line in the project's folder for at most `timeout` seconds."""
        setting = (
            f"export PYTHONPATH={LIBRARIES}:/root/project:/root/project/tests:/root/project/tests/plugin"
            " KBISECT_CACHE=/root/cache KBISECT_TEST_KERNELS=/payload/kernels KBISECT_TEST_ACCEL=kvm"
            " PYTHONDONTWRITEBYTECODE="
        )
        copied = "[ -d /root/project ] || cp -r /payload/project /root/project; cd /root/project"
        return self._guest.run(f"{setting}; {copied}; {command}", timeout=timeout, may_time_out=True)


def _loading(modules: Iterable[Path]) -> str:
    """The script that finds the root, which loads modules first."""
    mounted = "mount -t sysfs sysfs /sys\n"
    lines = "".join(f"insmod /modules/{module.name}\n" for module in modules)
    script = initramfs.own_script(FIND_ROOT)
    assert mounted in script
    return script.replace(mounted, f"{mounted}{lines}sleep 1\n")
