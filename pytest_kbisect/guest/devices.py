"""What QEMU says of devices that a user has added: whether it takes them, and whether they can be frozen.

QEMU itself is asked: it is started with the devices, without a kernel, and told to save the state of what
never ran. That takes some tenths of a second. Some devices refuse only once the guest uses them (virtio-9p
when it is mounted); that shows when the first guest is frozen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from filelock import FileLock

from pytest_kbisect import atomic
from pytest_kbisect.errors import InfraError, UsageError
from pytest_kbisect.guest import migration
from pytest_kbisect.guest.arguments import has_drives
from pytest_kbisect.guest.qemu import Machine, Qemu, Ram, qemu_identity

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Devices:
    """What QEMU says of a machine. `refused`: why it does not start it; `fixed`: why it cannot be frozen.

    Both are empty where there is nothing to say.
    """

    refused: str = ""
    fixed: str = ""


def key_of(machine: Machine) -> str:
    """Machines with the same key have the same devices; 64 hex digits."""
    words = (qemu_identity(machine.architecture.qemu), machine.architecture.name, *machine.extra)
    facts = (str(machine.memory), str(machine.cpus), str(machine.disk is not None))
    return hashlib.sha256("\0".join((*words, *facts)).encode("utf-8", "surrogateescape")).hexdigest()


def known(machine: Machine, folder: Path) -> Devices:
    """What QEMU says of a machine, asked once for all processes that share `folder`.

    A machine to which nobody has added anything is not asked about.
    """
    if not machine.extra:
        return Devices()
    folder.mkdir(parents=True, exist_ok=True)
    answer = folder / f"{key_of(machine)}.json"
    with FileLock(folder / "lock"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Devices(**json.loads(answer.read_text()))
        found = examine(machine, folder)
        atomic.write(answer, json.dumps(asdict(found)))
        return found


def require(machine: Machine, folder: Path, where: str) -> Devices:
    """The same. Raises UsageError, with QEMU's own words, for devices that it refuses.

    `where` is what the user has written them in.
    """
    found = known(machine, folder)
    if found.refused:
        raise UsageError(
            f"{where}: QEMU refuses {shlex.join(machine.extra)}: {found.refused}: check the arguments"
        )
    return found


def examine(machine: Machine, folder: Path) -> Devices:
    """Ask QEMU; it works in `folder`."""
    refused = _refused(machine, folder)
    if refused:
        return Devices(refused=refused)
    if machine.disk is not None and has_drives(machine.extra):
        return Devices(fixed="what a guest writes to its drives while it boots would be lost")
    return Devices(fixed=_fixed(machine, folder))


def _refused(machine: Machine, folder: Path) -> str:
    try:
        _started(machine, folder).close()
    except InfraError as error:
        return _words(error)
    return ""


def _fixed(machine: Machine, folder: Path) -> str:
    """Why a machine whose memory is in a file cannot be saved; "" where it can."""
    descriptor = os.memfd_create("kbisect-devices")
    try:
        os.truncate(descriptor, machine.memory << 20)
        qemu = _started(machine, folder, Ram(descriptor, private=False))
        try:
            migration.save(qemu)
        finally:
            qemu.close()
    except InfraError as error:
        return _words(error)
    finally:
        os.close(descriptor)
    return ""


def _started(machine: Machine, folder: Path, ram: Ram | None = None) -> Qemu:
    """QEMU with these devices, stopped before its first instruction. Raises InfraError where it ends."""
    return Qemu(replace(machine, disk=None), folder, ram, paused=True)


def _words(error: InfraError) -> str:
    """QEMU's own words, in a line."""
    text = str(error.args[0]).removeprefix("QEMU did not start: ").removeprefix("QEMU failed at migrate: ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines).rstrip(".") or "it ended without a word"
