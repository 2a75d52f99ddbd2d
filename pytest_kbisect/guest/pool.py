"""Places for frozen guests, shared by the processes of one session or bisection.

A place is a folder: the guest's memory (`ram`), what else it is (`state`), what it wrote to its disk
(`layer`), what its console said until then, and a manifest that is written last. `ram` is a link to a
memory file without a name (memfd) that the outermost of our processes holds open: when that process is
gone, kill -9 included, so is the memory, and nothing lies in /dev/shm, whose size does not matter
either. Where there is too little memory, the guest's is a file in the place instead. The folder is the
process' own scratch folder, and swept as such.

Who uses a place holds its lock shared, who fills it holds it exclusively; QEMU inherits it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filelock import FileLock

from pytest_kbisect import atomic, locks
from pytest_kbisect.guest.lease import MEMORY, Lease, empty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLACES = 8
"""Frozen guests that are kept at a time; those used longest ago make room."""
BOOTS = 2
"""Boots of one kernel that runs are spread over: what goes wrong in one boot must not decide alone."""


@dataclass(slots=True)
class _Place:
    """What a place is for; `used` counts up with every use of any place."""

    key: str = ""
    boot_number: int = 0
    used: int = 0


@dataclass(slots=True)
class _Kind:
    """A kind of guest: how many asked for one, how often one failed, and whether that was enough."""

    uses: int = 0
    failures: int = 0
    refused: bool = False


@dataclass(slots=True)
class _Index:
    """What all who share the folder know: what is where, and what became of each kind of guest (by key)."""

    places: list[_Place] = field(default_factory=lambda: [_Place() for _ in range(PLACES)])
    kinds: dict[str, _Kind] = field(default_factory=dict)
    serial: int = 0

    def of(self, key: str) -> _Kind:
        return self.kinds.setdefault(key, _Kind())

    def number(self, key: str, boot_number: int) -> int | None:
        for number, place in enumerate(self.places):
            if (place.key, place.boot_number) == (key, boot_number):
                return number
        return None


class Pool:
    """The places in a folder."""

    def __init__(self, folder: Path, memory_available: Callable[[], int]) -> None:
        """`memory_available` gives the bytes that can still be used."""
        self.folder = folder
        self._memory_available = memory_available

    @staticmethod
    @contextlib.contextmanager
    def create(folder: Path) -> Iterator[None]:
        """Make the places. They are there until the block ends, or this process."""
        with contextlib.ExitStack() as held:
            for number in range(PLACES):
                place = folder / str(number)
                place.mkdir(parents=True)
                descriptor = os.memfd_create(MEMORY)
                held.callback(os.close, descriptor)
                (place / "memory").symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
            atomic.write(folder / "index.json", json.dumps(dataclasses.asdict(_Index())))
            yield

    def refused(self, key: str) -> bool:
        """Whether guests of this kind are booted each time, because freezing or restoring one failed."""
        with self._index() as index:
            return index.of(key).refused

    def refuse(self, key: str, *, failures: int) -> bool:
        """Count a failure; after `failures` of them such guests are refused. True if that begins now."""
        with self._index() as index:
            kind = index.of(key)
            kind.failures += 1
            begins = not kind.refused and kind.failures >= failures
            kind.refused = kind.refused or begins
            return begins

    def lease(self, key: str) -> Lease | None:
        """A place for a guest of this kind, to be filled or filled already; None if all are in use by others.

        Leases of one kind take turns between its boots (BOOTS), whichever process asks.
        """
        with self._index() as index:
            kind = index.of(key)
            boot_number = kind.uses % BOOTS
            kind.uses += 1
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
                    if exclusive and lock >= 0:  # whoever was to fill it is dead
                        empty(self.folder / str(number))
                index.serial += 1
                index.places[number].used = index.serial
            if lock >= 0:
                return Lease(
                    self.folder / str(number),
                    lock,
                    boot_number,
                    filled=not exclusive,
                    make_room=self._make_room,
                )
            # Somebody fills it just now: wait, and look again.
            self._wait_for(number)

    def forget(self, key: str, boot_number: int) -> None:
        """Drop a snapshot that does not work; a process that uses it now may continue."""
        with self._index() as index:
            number = index.number(key, boot_number)
            if number is not None:
                index.places[number] = _Place()
                self._manifest(number).unlink(missing_ok=True)
                self._clear(number)

    def _make_room(self, needed: int) -> bool:
        """Whether so many bytes of memory are left, if need be without the frozen guests that nobody uses."""
        if self._memory_available() < needed:
            with self._index() as index:
                for number in range(PLACES):
                    if self._clear(number):
                        index.places[number] = _Place()
        return self._memory_available() >= needed

    def _clear(self, number: int) -> bool:
        """Empty a place, unless somebody uses it; whether that was done."""
        lock = self._lock(number, exclusive=True)
        if lock is None:
            return False
        empty(self.folder / str(number))
        os.close(lock)
        return True

    def _free_place(self, index: _Index) -> tuple[int, int] | None:
        """A place nobody uses, emptied, and its lock: the one whose last use is longest ago."""
        for number in sorted(range(PLACES), key=lambda number: index.places[number].used):
            lock = self._lock(number, exclusive=True)
            if lock is not None:
                empty(self.folder / str(number))
                return number, lock
        return None

    def _manifest(self, number: int) -> Path:
        return self.folder / str(number) / "manifest.json"

    def _lock(self, number: int, *, exclusive: bool) -> int | None:
        return locks.take(self._lock_file(number), shared=not exclusive, wait=False)

    def _wait_for(self, number: int) -> None:
        """Until nobody fills the place any more."""
        with locks.held(self._lock_file(number), shared=True):
            pass

    def _lock_file(self, number: int) -> Path:
        return self.folder / str(number) / "lock"

    @contextlib.contextmanager
    def _index(self) -> Iterator[_Index]:
        with FileLock(self.folder / "lock"):
            path = self.folder / "index.json"
            known = json.loads(path.read_text())
            index = _Index(
                [_Place(**place) for place in known["places"]],
                {key: _Kind(**kind) for key, kind in known["kinds"].items()},
                known["serial"],
            )
            before = dataclasses.asdict(index)
            yield index
            if (after := dataclasses.asdict(index)) != before:
                atomic.write(path, json.dumps(after))
