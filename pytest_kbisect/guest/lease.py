"""The use of one place for a frozen guest: fill it, or take what is in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from pytest_kbisect import atomic, locks
from pytest_kbisect.errors import HostError
from pytest_kbisect.guest import disk
from pytest_kbisect.guest.migration import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_kbisect.guest.disk import DiskImage

MEMORY: Final = "kbisect-guest"
"""Name of the memory files, as /proc/PID/fd shows it."""
_SPARE = 128 << 20
"""Bytes of memory or disk that are left alone."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A frozen guest with the open file of its memory, and of what it wrote to disk (None: it has none)."""

    ram: int
    frozen: Frozen
    boot_number: int
    layer: int | None = None


class Lease:
    """The use of one place, until closed. `filled`: it holds a snapshot; otherwise this is to fill it."""

    def __init__(
        self,
        folder: Path,
        lock: int,
        boot_number: int,
        *,
        filled: bool,
        make_room: Callable[[int], bool],
    ) -> None:
        self._folder = folder
        self._make_room = make_room
        self._ram = -1
        self._layer: int | None = None
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
                empty(self._folder)
        for descriptor in (self._ram, self._layer, self.lock):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self.lock = self._ram = -1
        self._layer = None

    def memory_file(self, size: int) -> int:
        """An empty file for `size` bytes of guest memory. Raises HostError where there is no room for it.

        As much again is left for one guest that is restored from it.
        """
        needed = 2 * size + _SPARE
        if self._make_room(needed):
            (self._folder / "ram").symlink_to("memory")
        else:
            if shutil.disk_usage(self._folder).free < size + _SPARE:
                raise HostError(
                    f"no room for a frozen guest of {size >> 20} MiB, neither in memory nor in {self._folder}"
                )
            (self._folder / "ram").touch(mode=0o600)
        self._ram = _open_ram(self._folder)
        return self._ram

    def layer_over(self, image: DiskImage) -> int:
        """An empty layer for what the guest writes to its disk. Raises OSError on a full disk."""
        self._layer = os.open(
            self._folder / "layer", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
        disk.begin(image, self._layer)
        return self._layer

    def keep(self, frozen: Frozen) -> Snapshot:
        """Store the rest of a guest that was frozen into the memory file. Raises OSError on a full disk."""
        atomic.write(self._folder / "state", frozen.state)
        atomic.write(self._folder / "console", frozen.console)
        atomic.write(self._folder / "manifest.json", json.dumps(self._facts(frozen)))
        self.filled = True
        locks.share(self.lock)
        return Snapshot(self._ram, frozen, self.boot_number, self._layer)

    def snapshot(self) -> Snapshot | None:
        """What is in the place; None if that is not all that was put there."""
        try:
            facts: dict[str, Any] = json.loads((self._folder / "manifest.json").read_text())
            frozen = Frozen(
                (self._folder / "state").read_bytes(),
                (self._folder / "console").read_bytes(),
                waits=facts["waits"],
            )
            self._ram = _open_ram(self._folder)
            if facts["layer"] is not None:
                self._layer = os.open(self._folder / "layer", os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, ValueError, KeyError):
            return None
        if self._facts(frozen) != facts:
            return None
        return Snapshot(self._ram, frozen, self.boot_number, self._layer)

    def _facts(self, frozen: Frozen) -> dict[str, Any]:
        """What a complete snapshot is recognized by."""
        return {
            "ram": os.fstat(self._ram).st_size,
            "layer": None if self._layer is None else os.fstat(self._layer).st_size,
            "state": hashlib.sha256(frozen.state).hexdigest(),
            "console": hashlib.sha256(frozen.console).hexdigest(),
            "waits": frozen.waits,
        }


def _open_ram(folder: Path) -> int:
    """Open the memory file. Raises OSError where it is not the one that was made for this."""
    descriptor = os.open(folder / "ram", os.O_RDWR | os.O_CLOEXEC)
    name = os.readlink(f"/proc/self/fd/{descriptor}")
    if not name.startswith((f"/memfd:{MEMORY}", str(folder.resolve()))):
        os.close(descriptor)
        raise FileNotFoundError(f"{folder / 'ram'} leads to {name}")
    return descriptor


def empty(folder: Path) -> None:
    """Give back the memory and the files of a place."""
    with contextlib.suppress(FileNotFoundError):
        os.close(os.open(folder / "memory", os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC))
    for name in ("manifest.json", "ram", "layer", "state", "console"):
        (folder / name).unlink(missing_ok=True)
