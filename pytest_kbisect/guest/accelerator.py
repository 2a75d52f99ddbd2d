"""Which QEMU accelerator really works here. /dev/kvm may open, make processors and still run nothing.

So the probe boots: the kernel at hand, until it says its first words. Nothing less will do: there are
hosts where KVM runs 16-bit firmware and a 64-bit kernel hangs with an empty console. Where KVM works the
probe takes a fraction of a second.

The answer is kept until the host boots again, unless it may be wrong: a kernel that says nothing in time is
either under a KVM that hangs, or on a busy host. TCG, which is slower than any KVM, shows which: if the same
kernel says its first words under TCG in time, and then says nothing under KVM for three times as long, it is
KVM that hangs. Processes probe one after another, so that none is disturbed by another's probe, and the
second finds the first one's answer.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from pytest_kbisect import atomic, locks, process
from pytest_kbisect.arch import DEFAULT, Architecture
from pytest_kbisect.errors import UsageError
from pytest_kbisect.scratch import scratch_folder

_WORDS = b"Linux version"
_LIMIT = 5.0
"""Seconds until a kernel's first words; TCG needs about 1."""
_PATIENT = 30.0
"""Seconds for TCG on a busy host."""
SLOW = "guests run under TCG (emulation), several times slower"
"""What it means that KVM cannot be used, for the user."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """`name` is "kvm" or "tcg", `cpu` QEMU's -cpu model.

    `why` is a line for the user, empty where there is nothing to say.
    """

    name: str
    cpu: str = "max"
    why: str = ""


def boots(
    accelerator: str,
    cpu: str,
    kernel: Path,
    cache: Path,
    architecture: Architecture = DEFAULT,
    *,
    limit: float = _LIMIT,
) -> bool | None:
    """Whether this kernel begins to run under this accelerator; None: it says nothing for `limit` seconds."""
    with scratch_folder(cache / "run") as folder:
        console = folder / "console"
        child = process.start(
            [
                architecture.qemu,
                *("-accel", accelerator, "-cpu", cpu, "-machine", architecture.machine),
                *("-nodefaults", "-display", "none"),
                *("-m", "256", "-no-reboot", "-serial", f"file:{console}", "-kernel", str(kernel)),
                *(
                    "-append",
                    f"console={architecture.console} {architecture.early_console} ignore_loglevel panic=-1",
                ),
            ]
        )
        try:
            deadline = time.monotonic() + limit
            while time.monotonic() < deadline:
                ended = child.poll() is not None
                if console.exists() and _WORDS in console.read_bytes():
                    return True
                if ended:
                    return False
                time.sleep(0.02)
            return None
        finally:
            process.kill(child)


def choose(wanted: str, cache: Path, kernel: Path, architecture: Architecture = DEFAULT) -> Accelerator:
    """The accelerator to use: `wanted` is "auto", "kvm" or "tcg".

    Raises UsageError where KVM was asked for by name and does not work.
    """
    if wanted == "tcg":
        return Accelerator("tcg", architecture.cpu)
    trouble = device_trouble()
    if not architecture.is_native():
        trouble = f"this host runs no {architecture.name} code"
    if not trouble:
        if cpu := _working_kvm(cache, kernel, architecture):
            return Accelerator("kvm", cpu)
        trouble = "/dev/kvm opens, but a kernel does not run under it"
    if wanted == "kvm":
        raise UsageError(f"KVM does not work here: {trouble}; use --kbisect-accel tcg")
    return Accelerator("tcg", architecture.cpu, why=f"{trouble}: {SLOW}")


def device_trouble() -> str:
    """Why /dev/kvm cannot even be opened; empty where it can, which proves nothing yet."""
    if not Path("/dev/kvm").exists():
        return "/dev/kvm is not there"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm cannot be opened (add yourself to the group kvm)"
    return ""


def _working_kvm(cache: Path, kernel: Path, architecture: Architecture) -> str:
    """The -cpu model under which KVM runs a kernel, "" for none; remembered per boot of the host."""
    path, boot = cache / "accelerator.json", Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if (known := _known(path, boot)) is not None:
        return known
    with locks.held(cache / "accelerator.lock"):
        if (known := _known(path, boot)) is not None:
            return known
        cpu, certain = _probe(cache, kernel, architecture)
        if certain:
            atomic.write(path, json.dumps({"boot": boot, "kvm_cpu": cpu}))
    return cpu


def _known(path: Path, boot: str) -> str | None:
    try:
        known = json.loads(path.read_text())
        return str(known["kvm_cpu"]) if known["boot"] == boot else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _probe(cache: Path, kernel: Path, architecture: Architecture) -> tuple[str, bool]:
    """The first -cpu model under which KVM runs the kernel ("" for none), and whether that is certain."""
    found, silent = "", ""
    for cpu in architecture.kvm_cpus:
        answer = boots("kvm", cpu, kernel, cache, architecture)
        if answer:
            found = cpu
            break
        if answer is None:
            silent = silent or cpu
    if found and not silent:
        return found, True
    started = time.monotonic()
    if not boots("tcg", architecture.cpu, kernel, cache, architecture, limit=_PATIENT):
        return found, False  # the kernel's fault, or QEMU's, or the host's: it says nothing of KVM
    seconds = time.monotonic() - started
    if silent:
        again = boots("kvm", silent, kernel, cache, architecture, limit=max(_LIMIT, 3 * seconds))
        if again:
            return silent, True
        if again is None and seconds > _LIMIT:
            return found, False
    return found, True
