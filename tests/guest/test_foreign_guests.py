"""Guests of other architectures: boot, freeze, restore, a crash on the console, and what was executed.

They boot the kernel that Debian ships for the architecture, so nothing is built; its drivers are modules,
which the initramfs loads first.
"""

from __future__ import annotations

import lzma
import re
import shutil
from pathlib import Path

import pytest

from pytest_kbisect import arch
from pytest_kbisect.errors import HostError, KernelCrash
from pytest_kbisect.guest import RESUME_SOURCE, initramfs, user_space
from pytest_kbisect.guest.foreign_packages import Packages
from pytest_kbisect.guest.guests import Guests
from pytest_kbisect.guest.pool import Pool
from pytest_kbisect.guest.qemu import Machine
from pytest_kbisect.kernel.host_limits import memory_available
from pytest_kbisect.programs import compile_static, compiler
from pytest_kbisect.scratch import scratch_folder

pytestmark = [pytest.mark.guest, pytest.mark.foreign]

MODULES = (
    "failover",
    "net_failover",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_net",
)
"""In the order of loading; what a kernel has built in is not there."""
CRASH = """
#include <fcntl.h>
#include <unistd.h>
int main(void)
{
	int trigger = open("/proc/sysrq-trigger", O_WRONLY);
	return write(trigger, "c", 1) != 1;
}
"""
HANDLER = "sysrq_handle_crash"


@pytest.fixture(scope="module", params=["aarch64", "riscv64"])
def architecture(request: pytest.FixtureRequest) -> arch.Architecture:
    found = arch.named(request.param, arch.BUILT_IN)
    for program in (found.qemu, compiler_of(found)):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not there: kbisect setup --arch {found.name}")
    return found


def compiler_of(architecture: arch.Architecture) -> str:
    return f"{architecture.cross_prefix}gcc"


@pytest.fixture(scope="module")
def shipped(architecture: arch.Architecture, real_cache: Path) -> Path:
    """Debian's kernel for the architecture, unpacked; downloaded once and kept."""
    folder = real_cache / "tests" / f"kernel-{architecture.name}"
    try:
        if not user_space.is_there(architecture, real_cache):
            user_space.fetch(architecture, real_cache, print)
        if not folder.exists():
            with scratch_folder(real_cache / "run") as scratch:
                meta = f"linux-image-{architecture.debian}"
                packages = Packages(architecture, scratch, meta)
                (name,) = [one for one in packages.depends(meta, recurse=False) or [] if one != meta]
                packages.unpack([name], scratch / "root")
                folder.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(scratch / "root", folder)
    except HostError as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="module")
def image(architecture, shipped, real_cache, tmp_path_factory):
    """The initramfs of any guest, but for the modules."""
    files = {re.sub(r"\.ko(\.xz)?$", "", path.name): path for path in shipped.rglob("*.ko*")}
    found = [name for name in MODULES if name in files]
    with pytest.MonkeyPatch.context() as patch:
        whole, install = initramfs._with_busybox, initramfs.installing

        def with_modules(programs, script):
            archive = whole(programs, script)
            for name in found:
                raw = files[name].read_bytes()
                archive.file(
                    f"m/{name}.ko", lzma.decompress(raw) if files[name].suffix == ".xz" else raw, 0o644
                )
            return archive

        def loading(script):
            line = "mount -t sysfs sysfs /sys\n"
            load = "".join(f"insmod /m/{name}.ko\n" for name in found)
            return install(script).replace(line, f"{line}{load}", 1)

        patch.setattr(initramfs, "_with_busybox", with_modules)
        patch.setattr(initramfs, "installing", loading)
        return initramfs.build(tmp_path_factory.mktemp("image"), architecture=architecture, cache=real_cache)


@pytest.fixture(scope="module")
def machine(architecture, shipped, image) -> Machine:
    (kernel,) = (shipped / "boot").glob("vmlinu*")
    return Machine(kernel=kernel, initramfs=image.initramfs, cpu=architecture.cpu, architecture=architecture)


def test_a_guest_is_frozen_restored_crashed_and_watched(architecture, image, machine, tmp_path) -> None:
    gcc = compiler(architecture)
    resume = compile_static(RESUME_SOURCE, tmp_path / "programs", name="resume", compiler=gcc)
    crash = compile_static(CRASH, tmp_path / "programs", name="crash", compiler=gcc)
    said: list[str] = []
    numbers = []
    with Pool.create(tmp_path / "frozen"):
        pool = Pool(tmp_path / "frozen", memory_available)
        guests = Guests(pool, image, resume=lambda: resume, boot_timeout=600, say=said.append)
        for number in range(3):
            with guests.guest(machine, tmp_path / f"guest{number}") as guest:
                assert guest.run("uname -m").stdout.strip() == architecture.name
                numbers.append(guest.run("head -c16 /dev/urandom | base64").stdout)
                assert guest.boot_number is not None
        assert not said, "every guest is restored"
        with guests.guest(machine, tmp_path / "crashing") as guest:
            found = guest.run(f"grep ' {HANDLER}$' /proc/kallsyms").stdout
            reached = guest.watch({HANDLER: (int(found.split()[0], 16),)}, tmp_path / "stub")
            with pytest.raises(KernelCrash, match="sysrq triggered crash") as crashed:
                guest.run_program(crash, timeout=60)
                guest.settle()
            assert reached is not None
            assert reached.hit == {HANDLER}
    assert len({*numbers}) == len(numbers)
    assert "write_sysrq_trigger" in crashed.value.report.report
