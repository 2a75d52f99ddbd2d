"""A guest's state without its memory, out of one QEMU and into another: QEMU's migration, through a pipe.

The memory stays where it is: in a file that the first QEMU shares and the second maps privately.
"""

from __future__ import annotations

import os
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.errors import InfraError

if TYPE_CHECKING:
    from pytest_kbisect.guest.qemu import Qemu


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen guest but for its memory: QEMU's state of it, and what its console had said.

    `waits`: the program of resume.c waits in it for time and randomness.
    """

    state: bytes
    console: bytes
    waits: bool


def save(qemu: Qemu, *, timeout: float = 30) -> bytes:
    """Stop the guest and return its state without its memory, which is in the shared file.

    Raises InfraError where this QEMU cannot do it.
    """
    qemu.execute("stop")
    _ignore_shared_memory(qemu)
    deadline = time.monotonic() + timeout
    ours, theirs = os.pipe()
    try:
        try:
            qemu.lend(theirs, "state")
        finally:
            os.close(theirs)
        qemu.execute("migrate", {"uri": "fd:state"})
        state = _read_all(ours, deadline)
    finally:
        os.close(ours)
    while (said := qemu.execute("query-migrate"))["status"] not in {"completed", "failed"}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.002)
    if said["status"] != "completed":
        raise InfraError(
            "qemu", f"QEMU could not save the guest's state: {said.get('error-desc', said['status'])}"
        )
    return state


def load(qemu: Qemu, state: bytes, *, timeout: float = 30) -> None:
    """Take over a frozen guest's state; `cont` lets it run on. Raises InfraError where it does not fit."""
    _ignore_shared_memory(qemu)
    deadline = time.monotonic() + timeout
    theirs, ours = os.pipe()
    try:
        try:
            qemu.lend(theirs, "state")
        finally:
            os.close(theirs)
        qemu.execute("migrate-incoming", {"uri": "fd:state"})
        _write_all(ours, state, deadline)
    finally:
        os.close(ours)
    # It was stopped when it was saved, so it is stopped now.
    while (status := qemu.execute("query-status")["status"]) == "inmigrate":
        if time.monotonic() > deadline or not qemu.running():
            break
        time.sleep(0.002)
    if status != "paused":
        raise InfraError("qemu", f"QEMU could not load the guest's state: it is {status}; {qemu.log_tail()}")


def _ignore_shared_memory(qemu: Qemu) -> None:
    # Experimental by its name since QEMU 4.0 (fbd162e629aa), and unchanged since.
    wanted = [{"capability": "x-ignore-shared", "state": True}]
    qemu.execute("migrate-set-capabilities", {"capabilities": wanted})


def _read_all(descriptor: int, deadline: float) -> bytes:
    """What comes through a pipe until its other end is closed. Raises InfraError at the deadline."""
    parts: list[bytes] = []
    while True:
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            raise InfraError("qemu", "QEMU took too long to save the guest's state")
        part = os.read(descriptor, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _write_all(descriptor: int, data: bytes, deadline: float) -> None:
    """Write to a pipe. Raises InfraError at the deadline, and where nobody reads any more."""
    rest = memoryview(data)
    os.set_blocking(descriptor, False)
    while rest:
        _, writable, _ = select.select([], [descriptor], [], max(0.0, deadline - time.monotonic()))
        if not writable:
            raise InfraError("qemu", "QEMU took too long to load the guest's state")
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BrokenPipeError:
            raise InfraError("qemu", "QEMU refused the guest's state") from None
