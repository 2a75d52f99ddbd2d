"""Places for frozen guests, shared by the processes of one session or bisection.

A place is a folder: the guest's memory (`ram`), what else it is (`state`), what its console said until
then, and a manifest that is written last. `ram` is a link to a memory file without a name (memfd) that
the outermost of our processes holds open: when that process is gone, kill -9 included, so is the
memory, and nothing lies in /dev/shm, whose size does not matter either. Where there is too little
memory, the guest's is a file in the place instead. The folder is the process' own scratch folder, and
swept as such.

Who uses a place holds its lock shared, who fills it holds it exclusively; QEMU inherits it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pytest_kbisect.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLACES = 8
"""Frozen guests that are kept at a time; those used longest ago make room."""
BOOTS = 2
"""Boots of one kernel that runs are spread over: what goes wrong in one boot must not decide alone."""
_NAME = "kbisect-guest"
_SPARE = 128 << 20
"""Bytes of memory or disk that are left alone."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frozen guest: open file of its memory, the rest of its state, what its console said."""

    ram: int
    state: bytes
    console: bytes
    boot_number: int


@dataclass(slots=True)
class _Place:
    """What a place is for; `used` counts up with every use of any place."""

    key: str = ""
    boot_number: int = 0
    used: int = 0


@dataclass(slots=True)
class _Kernel:
    """A kind of guest: how many asked for one, and why it cannot be had frozen (if it cannot)."""

    uses: int = 0
    refused: str = ""


@dataclass(slots=True)
class _Index:
    places: list[_Place] = field(default_factory=lambda: [_Place() for _ in range(PLACES)])
    kernels: dict[str, _Kernel] = field(default_factory=dict)
    serial: int = 0

    def of(self, key: str) -> _Kernel:
        return self.kernels.setdefault(key, _Kernel())

    def number(self, key: str, boot_number: int) -> int | None:
        for number, place in enumerate(self.places):
            if (place.key, place.boot_number) == (key, boot_number):
                return number
        return None


class Pool:
    """The places in a folder."""

    def __init__(self, folder: Path, memory_available: Callable[[], int]) -> None:
        """`memory_available` tells the bytes that can still be used."""
        self.folder = folder
        self.memory_available = memory_available

    @staticmethod
    @contextlib.contextmanager
    def create(folder: Path) -> Iterator[None]:
        """Make the places. They are there until the block ends, or this process."""
        with contextlib.ExitStack() as held:
            for number in range(PLACES):
                place = folder / str(number)
                place.mkdir(parents=True)
                descriptor = os.memfd_create(_NAME)
                held.callback(os.close, descriptor)
                (place / "memory").symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
            _write_whole(folder / "index.json", json.dumps(dataclasses.asdict(_Index())).encode())
            yield

    def refused(self, key: str) -> str:
        """Why such guests cannot be had frozen, in words; empty as far as is known they can."""
        with self._index() as index:
            return index.of(key).refused

    def refuse(self, key: str, reason: str) -> bool:
        """From now on such guests are booted each time. True if nobody had said so yet."""
        with self._index() as index:
            first = not index.of(key).refused
            index.of(key).refused = reason
            return first

    def lease(self, key: str) -> Lease | None:
        """A place for a guest of this kind, to be filled or as it is; None if all are in use by others.

        One after the other goes to one boot and to the next (BOOTS), over all who ask.
        """
        with self._index() as index:
            kernel = index.of(key)
            boot_number = kernel.uses % BOOTS
            kernel.uses += 1
        while True:
            with self._index() as index:
                number = index.number(key, boot_number)
                if number is None:
                    found = self._free_place(index)
                    if found is None:
                        return None
                    number, lock = found
                    index.places[number] = _Place(key, boot_number)
                    exclusive = True
                else:
                    exclusive = not self._manifest(number).exists()
                    taken = self._lock(number, exclusive=exclusive)
                    lock = -1 if taken is None else taken
                index.serial += 1
                index.places[number].used = index.serial
            if lock >= 0:
                return Lease(self, self.folder / str(number), lock, key, boot_number, filled=not exclusive)
            # Somebody fills it just now: wait, and look again.
            os.close(self._waited_for(number))

    def forget(self, key: str, boot_number: int) -> None:
        """What is in that place is no good; whoever uses it now may go on."""
        with self._index() as index:
            number = index.number(key, boot_number)
            if number is not None:
                index.places[number] = _Place()
                self._manifest(number).unlink(missing_ok=True)

    def evict_unused(self) -> None:
        """Give back the memory of all frozen guests that nobody uses at the moment."""
        with self._index() as index:
            for number in range(PLACES):
                lock = self._lock(number, exclusive=True)
                if lock is not None:
                    self._manifest(number).unlink(missing_ok=True)
                    _empty(self.folder / str(number))
                    index.places[number] = _Place()
                    os.close(lock)

    def _free_place(self, index: _Index) -> tuple[int, int] | None:
        """A place nobody uses, emptied, and its lock: the one whose last use is longest ago."""
        for number in sorted(range(PLACES), key=lambda number: index.places[number].used):
            lock = self._lock(number, exclusive=True)
            if lock is not None:
                self._manifest(number).unlink(missing_ok=True)
                _empty(self.folder / str(number))
                return number, lock
        return None

    def _manifest(self, number: int) -> Path:
        return self.folder / str(number) / "manifest.json"

    def _lock(self, number: int, *, exclusive: bool) -> int | None:
        lock = self._open_lock(number)
        try:
            fcntl.flock(lock, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _waited_for(self, number: int) -> int:
        lock = self._open_lock(number)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return lock

    def _open_lock(self, number: int) -> int:
        return os.open(self.folder / str(number) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def _index(self) -> Iterator[_Index]:
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self.folder / "index.json"
            known = json.loads(path.read_text())
            index = _Index(
                [_Place(**place) for place in known["places"]],
                {key: _Kernel(**kernel) for key, kernel in known["kernels"].items()},
                known["serial"],
            )
            before = dataclasses.asdict(index)
            yield index
            if (after := dataclasses.asdict(index)) != before:
                _write_whole(path, json.dumps(after).encode())
        finally:
            os.close(lock)


class Lease:
    """The use of one place, until closed. `filled`: it holds a snapshot; otherwise this is to fill it."""

    def __init__(
        self, pool: Pool, folder: Path, lock: int, key: str, boot_number: int, *, filled: bool
    ) -> None:
        self._pool = pool
        self._folder = folder
        self._key = key
        self._ram = -1
        self.lock = lock
        self.boot_number = boot_number
        self.filled = filled

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the use. A place that was to be filled and is not gives its memory back."""
        if self.lock < 0:
            return
        if not self.filled:
            with contextlib.suppress(OSError):
                _empty(self._folder)
        for descriptor in (self._ram, self.lock):
            if descriptor >= 0:
                os.close(descriptor)
        self.lock = self._ram = -1

    def memory_file(self, size: int) -> int:
        """An empty file for `size` bytes of guest memory. Raises HostError where there is no room for it.

        As much again is left for one guest that is restored from it.
        """
        needed = 2 * size + _SPARE
        if self._pool.memory_available() < needed:
            self._pool.evict_unused()
        if self._pool.memory_available() >= needed:
            (self._folder / "ram").symlink_to("memory")
        else:
            disk = os.statvfs(self._folder)
            if disk.f_bavail * disk.f_frsize < size + _SPARE:
                raise HostError(
                    f"no room for a frozen guest of {size >> 20} MiB, neither in memory nor in {self._folder}"
                )
            (self._folder / "ram").touch(mode=0o600)
        self._ram = _open_ram(self._folder)
        return self._ram

    def keep(self, state: bytes, console: bytes) -> Snapshot:
        """The guest in the memory file is frozen: keep the rest of it. Raises OSError on a full disk."""
        _write_whole(self._folder / "state", state)
        _write_whole(self._folder / "console", console)
        facts = {
            "ram": os.fstat(self._ram).st_size,
            "state": hashlib.sha256(state).hexdigest(),
            "console": hashlib.sha256(console).hexdigest(),
        }
        _write_whole(self._folder / "manifest.json", json.dumps(facts).encode())
        self.filled = True
        fcntl.flock(self.lock, fcntl.LOCK_SH)
        return Snapshot(self._ram, state, console, self.boot_number)

    def snapshot(self) -> Snapshot | None:
        """What is in the place; None if that is not all that was put there."""
        try:
            facts: dict[str, Any] = json.loads((self._folder / "manifest.json").read_text())
            state, console = (self._folder / "state").read_bytes(), (self._folder / "console").read_bytes()
            self._ram = _open_ram(self._folder)
            found = {
                "ram": os.fstat(self._ram).st_size,
                "state": hashlib.sha256(state).hexdigest(),
                "console": hashlib.sha256(console).hexdigest(),
            }
        except (OSError, ValueError):
            return None
        return Snapshot(self._ram, state, console, self.boot_number) if found == facts else None

    def forget(self) -> None:
        """What is in this place is no good."""
        self._pool.forget(self._key, self.boot_number)


def _open_ram(folder: Path) -> int:
    """Open the memory file. Raises OSError where it is not the one that was made for this."""
    descriptor = os.open(folder / "ram", os.O_RDWR | os.O_CLOEXEC)
    name = os.readlink(f"/proc/self/fd/{descriptor}")
    if not name.startswith((f"/memfd:{_NAME}", str(folder.resolve()))):
        os.close(descriptor)
        raise FileNotFoundError(f"{folder / 'ram'} leads to {name}")
    return descriptor


def _empty(folder: Path) -> None:
    """Give back the memory and the files of a place."""
    with contextlib.suppress(FileNotFoundError):
        os.close(os.open(folder / "memory", os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC))
    for name in ("ram", "state", "console"):
        (folder / name).unlink(missing_ok=True)


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all."""
    unfinished = path.with_suffix(".unfinished")
    try:
        unfinished.write_bytes(data)
        unfinished.rename(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
