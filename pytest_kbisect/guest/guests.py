"""Guests of one session: each restored from a frozen one of its kind where that works, else booted.

A kind of guest is a kernel, a user space, a machine and the QEMU that runs it. The first who asks for
one boots it and freezes it as soon as it answers over ssh; that run and all later ones begin there,
with memory of their own that shares what it does not change.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect.crash import parse_console
from pytest_kbisect.errors import BootError, HostError, InfraError, KbisectError, KernelCrash
from pytest_kbisect.guest import devices
from pytest_kbisect.guest.disk import Layers
from pytest_kbisect.guest.qemu import Machine, Ram, qemu_identity
from pytest_kbisect.guest.vm import Guest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kbisect.guest.initramfs import GuestImage
    from pytest_kbisect.guest.lease import Lease, Snapshot
    from pytest_kbisect.guest.pool import Pool

_FORMAT = 2
"""Of what is in a place; a frozen guest of another format is another kind of guest."""
_RESTORE_LIMIT = 30.0
"""Seconds for a restored guest's first answer; a busy host needs 2."""
_TROUBLE = (BootError, InfraError, KernelCrash, HostError, OSError)


def _digest(path: Path) -> str:
    facts = path.stat()
    return _digest_of(path, facts.st_size, facts.st_mtime_ns)


@functools.cache
def _digest_of(path: Path, _size: int, _time: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def key_of(machine: Machine) -> str:
    """What two guests must have in common to be restored from the same frozen one: 64 hex digits."""
    # The numbers stand for descriptors: which they are makes no difference to a guest.
    command = machine.command(Path("console"), 0, ram=Ram(0, private=True), line_fd=0, layers=Layers(0, 0))
    files = [_digest(machine.kernel), _digest(machine.initramfs) if machine.initramfs else ""]
    files += [machine.disk.state()] if machine.disk else []
    words = [str(_FORMAT), qemu_identity(machine.architecture.qemu), *files, *command]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Request:
    """A guest that is asked for; `held` is closed when it has ended."""

    machine: Machine
    directory: Path
    held: contextlib.ExitStack


class Guests:
    """Gives guests. `pool` is None where each is to be booted."""

    def __init__(
        self,
        pool: Pool | None,
        image: GuestImage,
        *,
        resume: Callable[[], Path | None],
        boot_timeout: float,
        say: Callable[[str], None],
    ) -> None:
        """`resume` compiles resume.c, or gives None where that cannot be done here; `say` prints a line.

        `boot_timeout` is in seconds.
        """
        self._pool = pool
        self._image = image
        self._resume = resume
        self._boot_timeout = boot_timeout
        self._say = say

    @contextlib.contextmanager
    def guest(self, machine: Machine, directory: Path, *, boot: bool = False) -> Iterator[Guest]:
        """A pristine guest that runs commands; gone after the block. Raises BootError or InfraError.

        `boot`: its machine is known not to be one that can be frozen.
        """
        with contextlib.ExitStack() as held:
            pool = None if boot else self._pool
            guest = self._restored(pool, _Request(machine, directory, held)) if pool else None
            if guest is None:
                guest = held.enter_context(Guest(machine, self._image, directory))
                guest.boot(self._boot_timeout)
            yield guest

    def _restored(self, pool: Pool, request: _Request) -> Guest | None:
        """A restored guest, or None where it must be booted."""
        key = key_of(request.machine)
        try:
            extra = request.machine.extra
            if pool.refused(key) or (extra and pool.refused(devices.key_of(request.machine))):
                return None
            while (lease := pool.lease(key)) is not None:
                snapshot = lease.snapshot() if lease.filled else None
                if snapshot or not lease.filled:
                    request.held.enter_context(lease)
                    return self._from_place(pool, key, lease, snapshot, request)
                lease.close()  # cut short
                pool.forget(key, lease.boot_number)
        except OSError as error:  # the folder of places: its disk is full, or it has gone
            self._say(f"note: a guest is booted instead of restored: {error}")
        return None

    def _from_place(
        self, pool: Pool, key: str, lease: Lease, snapshot: Snapshot | None, request: _Request
    ) -> Guest | None:
        """A guest restored from a place, which is filled first if need be; None where that fails."""
        # What cannot be frozen will never be; a restore may fail because the host is busy.
        failures = 2 if snapshot else 1
        seconds = 0.0
        try:
            if snapshot is None:
                snapshot, seconds = self._freeze(request, lease)
            guest = self._restore(request, snapshot, lease)
        except BootError:
            raise
        except _TROUBLE as error:
            lease.close()
            pool.forget(key, lease.boot_number)
            # Devices that refuse only when they are used do so with each kernel.
            own = snapshot is None and request.machine.extra and isinstance(error, InfraError)
            if pool.refuse(devices.key_of(request.machine) if own else key, failures=failures):
                words = str(error.args[0] if isinstance(error, KbisectError) else error)
                which = "with these devices" if own else "of this kernel"
                self._say(f"note: guests {which} are booted for each run: {words.splitlines()[0]}")
            return None
        guest.boot_seconds = seconds
        return guest

    def _freeze(self, request: _Request, lease: Lease) -> tuple[Snapshot, float]:
        """Boot a guest and freeze it; returns what is left of it, and the seconds that took."""
        started = time.monotonic()
        machine = request.machine
        ram = Ram(lease.memory_file(machine.memory << 20), private=False, also=(lease.lock,))
        layer = lease.layer_over(machine.disk) if machine.disk else None
        with Guest(machine, self._image, request.directory, ram=ram, layer=layer) as guest:
            guest.boot(self._boot_timeout)
            frozen = guest.freeze(self._resume())
        return lease.keep(frozen), time.monotonic() - started

    def _restore(self, request: _Request, snapshot: Snapshot, lease: Lease) -> Guest:
        ram = Ram(snapshot.ram, private=True, also=(lease.lock,))
        guest = Guest(
            request.machine,
            self._image,
            request.directory,
            ram=ram,
            console=snapshot.frozen.console,
            frozen_layer=snapshot.layer,
        )
        try:
            guest.restore(snapshot.frozen, _RESTORE_LIMIT)
        except BootError as error:  # it has booted before
            guest.close()
            raise InfraError(error.kind, str(error.args[0]), console=error.console) from error
        except BaseException:
            guest.close()
            raise
        request.held.callback(guest.close)
        guest.boot_number = snapshot.boot_number
        guest.boot_reports = parse_console(snapshot.frozen.console)
        return guest
