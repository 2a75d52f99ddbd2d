"""Checks which accelerator works and whether a guest boots, by booting if there is a kernel."""

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
"""Kernels of the store to try, latest first. A kernel from the middle of a bisection may not boot."""
_BOOT = 120.0
"""Timeout of a boot in seconds. TCG takes 3 seconds, on a very busy host 50."""


def check(cache: Path) -> Iterator[Finding]:
    """Check KVM, and a guest from boot to its first command."""
    if not host.find(DEFAULT.qemu):
        return
    with contextlib.ExitStack() as held:
        kernels = _kernels(cache, held)
        kernel = kernels[0] if kernels else _host_kernel()
        if kernel is None:
            yield _not_probed(cache)
            return
        # The stored result may be older than a repair of /dev/kvm.
        (cache / "accelerator.json").unlink(missing_ok=True)
        chosen = accelerator.choose("auto", cache, kernel)
        yield _accelerator(chosen)
        if kernels:
            yield _guest(kernels, chosen, cache)
        else:
            yield Finding("guest", Severity.OK, "not tried: no kernel has been built in this cache yet")


def _kernels(cache: Path, held: contextlib.ExitStack) -> list[Path]:
    """Some built kernels, the most recently used first. They are kept while `held` is open."""
    from pytest_kbisect.kernel.store import Store

    folder = cache / "kernels"
    images = sorted(
        folder.glob(f"*/{DEFAULT.image_name}"), key=lambda image: image.parent.stat().st_mtime, reverse=True
    )
    entries = [Store(folder).lookup(image.parent.name) for image in images[:_TRIED]]
    return [held.enter_context(entry).folder / DEFAULT.image_name for entry in entries if entry is not None]


def _host_kernel() -> Path | None:
    """The host's own kernel, which is just as good for a test of the accelerator."""
    image = Path(f"/boot/vmlinuz-{os.uname().release}")
    return image if os.access(image, os.R_OK) else None


def _not_probed(cache: Path) -> Finding:
    text = f"KVM is not tested, because {cache} contains no kernel to boot yet"
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
            return (
                "enable virtualisation in the firmware, or nested virtualisation on the host of this machine"
            )
        return f"modprobe {'kvm_intel' if flags[1] == 'vmx' else 'kvm_amd'}"
    if not os.access(device, os.R_OK | os.W_OK):
        return 'sudo usermod -aG kvm "$USER", and log in again'
    return "nothing can be done in this machine: the KVM that its host provides does not run kernels"


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
    text = f"none of the last kernels used ({len(kernels)} tried) boots: {trouble}"
    return Finding(
        "guest", Severity.WARNING, text, "try one that is known to boot: pytest --kbisect-commit REV repro/"
    )
