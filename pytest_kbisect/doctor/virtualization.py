"""Guests: which accelerator works, and whether one comes up. Proved by booting where there is a kernel."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import host
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.doctor import Finding, Severity
from pytest_kbisect.errors import BootError, HostError, KbisectError
from pytest_kbisect.guest import accelerator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kbisect.guest.accelerator import Accelerator

_TRIED = 3
"""Kernels of the store, latest first: one from the middle of a bisection may be one that does not boot."""
_BOOT = 120.0
"""Seconds; TCG takes 3, on a very busy host 50."""


def check(cache: Path) -> Iterator[Finding]:
    """KVM, and a guest from boot to its first command."""
    if not host.find(DEFAULT.qemu):
        return
    with contextlib.ExitStack() as held:
        kernels = _kernels(cache, held)
        kernel = kernels[0] if kernels else _host_kernel()
        if kernel is None:
            yield _not_probed(cache)
            return
        # An answer from before /dev/kvm was mended must not be repeated.
        (cache / "accelerator.json").unlink(missing_ok=True)
        chosen = accelerator.choose("auto", cache, kernel)
        yield _accelerator(chosen)
        if kernels:
            yield _guest(kernels, chosen, cache)
        else:
            yield Finding("guest", Severity.OK, "not tried: no kernel has been built in this cache yet")


def _kernels(cache: Path, held: contextlib.ExitStack) -> list[Path]:
    """Some built kernels, the one used last first; they stay while `held` is open."""
    from pytest_kbisect.kernel.store import Store

    folder = cache / "kernels"
    images = sorted(
        folder.glob(f"*/{DEFAULT.image_name}"), key=lambda image: image.parent.stat().st_mtime, reverse=True
    )
    entries = [Store(folder).lookup(image.parent.name) for image in images[:_TRIED]]
    return [held.enter_context(entry).folder / DEFAULT.image_name for entry in entries if entry is not None]


def _host_kernel() -> Path | None:
    """The kernel that the host itself runs: as good for the accelerator as one of ours."""
    image = Path(f"/boot/vmlinuz-{os.uname().release}")
    return image if os.access(image, os.R_OK) else None


def _not_probed(cache: Path) -> Finding:
    text = f"there is no kernel yet in {cache} to boot, so KVM is not proved"
    if trouble := accelerator.device_trouble():
        return Finding("kvm", Severity.WARNING, f"{trouble}: {accelerator.SLOW}", _kvm_remedy())
    return Finding("kvm", Severity.OK, f"/dev/kvm opens; {text}")


def _accelerator(chosen: Accelerator) -> Finding:
    if chosen.name == "kvm":
        return Finding("kvm", Severity.OK, f"works (a kernel was booted, -cpu {chosen.cpu})")
    return Finding("kvm", Severity.WARNING, chosen.why, _kvm_remedy())


def _kvm_remedy() -> str:
    device = Path("/dev/kvm")
    if not device.exists():
        flags = re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if flags is None:
            return "switch virtualisation on in the firmware, or nested virtualisation in the host of this machine"
        return f"modprobe {'kvm_intel' if flags[1] == 'vmx' else 'kvm_amd'}"
    if not os.access(device, os.R_OK | os.W_OK):
        return 'sudo usermod -aG kvm "$USER", and log in again'
    return "nothing to do inside of this machine: its own host offers a KVM that does not run kernels"


def _guest(kernels: list[Path], chosen: Accelerator, cache: Path) -> Finding:
    from pytest_kbisect.guest import initramfs
    from pytest_kbisect.guest.qemu import Machine
    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.scratch import scratch_folder

    trouble = ""
    with scratch_folder(cache / "run") as folder:
        try:
            user_space = initramfs.build(folder / "image")
        except HostError as error:
            return Finding("guest", Severity.PROBLEM, str(error))
        for number, kernel in enumerate(kernels):
            machine = Machine(
                kernel=kernel, initramfs=user_space.initramfs, accelerator=chosen.name, cpu=chosen.cpu
            )
            try:
                with Guest(machine, user_space, folder / str(number)) as guest:
                    guest.boot(_BOOT)
                    release = guest.run(["uname", "-r"], timeout=20).stdout.strip()
                    return Finding(
                        "guest",
                        Severity.OK,
                        f"Linux {release} booted in {guest.boot_seconds:.1f} s ({chosen.name})",
                    )
            except BootError as error:
                trouble = trouble or str(error).partition("\n")[0]
            except KbisectError as error:
                return Finding("guest", Severity.PROBLEM, str(error).partition("\n")[0])
    text = f"the {len(kernels)} kernels used last do not come up: {trouble}"
    return Finding(
        "guest", Severity.WARNING, text, "try one that is known to boot: pytest --kbisect-commit REV repro/"
    )
