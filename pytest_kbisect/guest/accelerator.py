"""Which QEMU accelerator really works here. /dev/kvm may open, make processors and still run nothing.

So the probe boots: a boot sector that says a word on the serial port and ends QEMU. The answer is
kept until the host boots again. Under KVM the word takes 0.1 s; a KVM that hangs costs the probe's
time limit once.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pytest_kbisect import process
from pytest_kbisect.errors import InfraError, UsageError
from pytest_kbisect.guest.qemu import QEMU

_WORD = b"kbisect"
_LIMIT = 5.0
"""Seconds for the boot sector; SeaBIOS needs 0.1 s under KVM and 0.4 s under TCG."""
_DEBUG_EXIT = 0xF4


@dataclass(frozen=True, slots=True)
class Accelerator:
    """`name` is "kvm" or "tcg"; `why` is the line to tell the user, empty where there is nothing to say."""

    name: str
    why: str = ""


def _boot_sector() -> bytes:
    """16-bit code: write the word to COM1, then end QEMU through its isa-debug-exit device."""
    code = b"\xba\xf8\x03"  # mov dx, 0x3f8
    for letter in _WORD:
        code += bytes([0xB0, letter, 0xEE])  # mov al, letter; out dx, al
    code += bytes([0xBA, _DEBUG_EXIT, 0x00, 0xB0, 0x10, 0xEE])  # mov dx, 0xf4; mov al, 16; out dx, al
    code += b"\xf4\xeb\xfd"  # hlt; jmp -3
    return code.ljust(510, b"\0") + b"\x55\xaa"


def boots(accelerator: str) -> bool:
    """Whether a guest really runs under this accelerator (at most 5 seconds)."""
    with tempfile.TemporaryDirectory(prefix="kbisect-probe-") as folder:
        disk, console = Path(folder, "disk"), Path(folder, "console")
        disk.write_bytes(_boot_sector())
        child = process.start(
            [
                QEMU,
                *("-accel", accelerator, "-cpu", "host" if accelerator == "kvm" else "max"),
                *("-machine", "pc", "-nodefaults", "-display", "none", "-m", "16"),
                *("-drive", f"file={disk},format=raw,if=ide", "-serial", f"file:{console}"),
                *("-device", f"isa-debug-exit,iobase={_DEBUG_EXIT:#x},iosize=1"),
            ]
        )
        try:
            child.wait(_LIMIT)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill(child)
        return console.exists() and _WORD in console.read_bytes()


def choose(wanted: str, cache: Path) -> Accelerator:
    """The accelerator to use: `wanted` is "auto", "kvm" or "tcg".

    Raises UsageError where KVM was asked for by name and does not work, InfraError where nothing does.
    """
    if wanted == "tcg":
        return Accelerator("tcg")
    if not Path("/dev/kvm").exists():
        trouble = "/dev/kvm is not there"
    elif not os.access("/dev/kvm", os.R_OK | os.W_OK):
        trouble = "/dev/kvm cannot be opened (add yourself to the group kvm)"
    elif _remembered(cache, "kvm"):
        return Accelerator("kvm")
    else:
        trouble = "/dev/kvm opens, but a guest does not run under it"
    if wanted == "kvm":
        raise UsageError(f"KVM does not work here: {trouble}; use --kbisect-accel tcg")
    if not _remembered(cache, "tcg"):
        raise InfraError("qemu", f"{QEMU} runs no guest, neither under KVM ({trouble}) nor under TCG")
    return Accelerator("tcg", f"{trouble}: guests run under TCG (emulation), several times slower")


def distrust(accelerator: str, cache: Path) -> None:
    """Remember that a kernel did not come up under an accelerator that passed the probe."""
    _remember(cache, accelerator, works=False)


def _remembered(cache: Path, accelerator: str) -> bool:
    known = _answers(cache).get(accelerator)
    if known is None:
        known = boots(accelerator)
        _remember(cache, accelerator, works=known)
    return known


def _path(cache: Path) -> Path:
    return cache / "accelerator.json"


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _answers(cache: Path) -> dict[str, bool]:
    try:
        known = json.loads(_path(cache).read_text())
    except (OSError, ValueError):
        return {}
    same_boot = isinstance(known, dict) and known.get("boot") == _boot_id()
    return dict(known.get("works", {})) if same_boot else {}


def _remember(cache: Path, accelerator: str, *, works: bool) -> None:
    answers = _answers(cache) | {accelerator: works}
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = _path(cache).with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps({"boot": _boot_id(), "works": answers}))
    unfinished.rename(_path(cache))
