"""The store of built kernels, and of failures to build one, found by a key over all inputs.

An entry is the folder CACHE/kernels/KEY. It is filled in incoming/KEY, by whoever holds the exclusive
lock locks/KEY.build, and renamed when it is complete. Whoever uses it holds locks/KEY.use, shared:
such an entry is not evicted. Sizes and checksums of the files are kept and compared before each use, so
that a kernel that the disk has changed is built again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from pytest_kbisect import locks
from pytest_kbisect.kernel import holders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from pytest_kbisect.kernel.holders import Holder

_FACTS = "kernel.json"
_CHECK = "check"
"""Among the facts: their own checksum."""
_PIECE = 1 << 20
"""Bytes that are read at a time."""


@dataclass(slots=True)
class Entry:
    """An entry in use, until closed. `facts` are those that it was added with."""

    folder: Path
    facts: dict[str, Any]
    lease: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the use; the paths may go away from now on."""
        if self.lease >= 0:
            os.close(self.lease)
            self.lease = -1


class Store:
    """The store in a folder, at most `limit` bytes of it not in use; None where nothing is added."""

    def __init__(self, folder: Path, *, limit: int | None = None) -> None:
        self.folder = folder
        self.limit = limit

    def lookup(self, key: str) -> Entry | None:
        """The entry of a key, in use from now on; None if there is none.

        One that is incomplete, or holds other bytes than were added, counts as none.
        """
        folder = self.folder / key
        if not (folder / _FACTS).exists():
            return None
        lease = locks.take(self._lock(key, "use"), shared=True)
        assert lease is not None
        try:
            facts = json.loads((folder / _FACTS).read_bytes())
            if _is_whole(folder, facts):
                os.utime(folder / _FACTS)  # last used now
                return Entry(folder, facts, lease)
        except (OSError, ValueError, KeyError):
            pass
        os.close(lease)
        return None

    def built(self, family: str) -> dict[str, str]:
        """The kernels that were built, not taken over, in a family: by commit, their keys."""
        return {
            facts["commit"]: key
            for key, facts in self.facts()
            if facts.get("family") == family
            and "signature" in facts
            and "same_as" not in facts
            and "commit" in facts
        }

    def find(self, signature: str) -> Entry | None:
        """Some entry with this kernel signature."""
        key = next((key for key, facts in self.facts() if facts.get("signature") == signature), None)
        return None if key is None else self.lookup(key)

    def facts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The keys of all entries, with the facts of each. Its files are not read, and may be damaged."""
        for folder in self._entries():
            try:
                facts = json.loads((folder / _FACTS).read_bytes())
            except (OSError, ValueError):
                continue
            yield folder.name, facts

    @contextlib.contextmanager
    def building(
        self,
        key: str,
        waiting: Callable[[Holder | None], None],
        *,
        owner: str = "",
        background: bool = False,
    ) -> Iterator[Path]:
        """Be the one that builds a key; `waiting` is called first if another process does.

        Yields a folder for what is not yet in the store, which goes away with the block. Look the key
        up again inside: the other one has probably built it. `owner` and `background` are for those
        who will wait for us (see holders).
        """
        path = self._lock(key, "build")
        lock = locks.take(path, wait=False)
        if lock is None:
            waiting(holders.of(path))
            lock = locks.take(path)
        assert lock is not None
        work = self.folder / "incoming" / f"{key}.work"
        try:
            holders.sign(lock, owner=owner, background=background)
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
            os.close(lock)

    def add(
        self, key: str, files: Mapping[str, Path], facts: Mapping[str, Any], *, link: bool = False
    ) -> Entry:
        """Copy files into a new entry, durably, all or nothing; it is in use from the beginning.

        Call it inside building(key). `link`: the files are those of another entry, and take no room.
        """
        incoming = self.folder / "incoming" / key
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(parents=True)
        try:
            for name, path in files.items():
                if link:
                    os.link(path, incoming / name)
                    continue
                shutil.copyfile(path, incoming / name)
                _sync(incoming / name)
            known = {
                **facts,
                "sizes": {name: (incoming / name).stat().st_size for name in files},
                "crc32": {name: _crc32(incoming / name) for name in files},
            }
            known[_CHECK] = _check(known)
            (incoming / _FACTS).write_text(json.dumps(known, indent=1) + "\n")
            _sync(incoming / _FACTS)
            _sync(incoming)
            self._remove(key)  # one that lookup() did not trust
            lease = locks.take(self._lock(key, "use"), shared=True)
            assert lease is not None
            incoming.rename(self.folder / key)
            _sync(self.folder)
        except BaseException:
            shutil.rmtree(incoming, ignore_errors=True)
            raise
        self.trim()
        return Entry(self.folder / key, known, lease)

    def trim(self) -> None:
        """Evict what was used longest ago until the store fits its limit; never what is in use.

        Also sweeps what dead builds left behind. Does nothing while another process trims.
        """
        if self.limit is None:
            return
        with contextlib.suppress(Timeout), FileLock(self.folder / "locks" / "trim", timeout=0):
            self._sweep()
            entries = sorted((_last_used(folder), folder) for folder in self._entries())
            sizes = {folder: _size(folder) for _, folder in entries}
            total = sum(sizes.values())
            for _, folder in entries:
                if total <= self.limit:
                    break
                if self._discard(folder.name):
                    total -= sizes[folder]

    def _discard(self, key: str) -> bool:
        """Remove an entry unless it is in use."""
        path = self._lock(key, "use")
        lease = locks.take(path, wait=False)
        if lease is None:
            return False
        try:
            self._remove(key)
            path.unlink(missing_ok=True)
        finally:
            os.close(lease)
        return True

    def _remove(self, key: str) -> None:
        """Rename first: half an entry is never seen."""
        trash = self.folder / "incoming" / f"{key}.trash"
        trash.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(trash, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / key).rename(trash)
            shutil.rmtree(trash, ignore_errors=True)

    def _sweep(self) -> None:
        incoming = self.folder / "incoming"
        for left in list(incoming.iterdir()) if incoming.is_dir() else []:
            path = self._lock(left.name.partition(".")[0], "build")
            lock = locks.take(path, wait=False)
            if lock is not None:  # nobody builds it, so whoever did is dead
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)

    def _entries(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [folder for folder in self.folder.iterdir() if (folder / _FACTS).exists()]

    def _lock(self, key: str, kind: str) -> Path:
        return self.folder / "locks" / f"{key}.{kind}"


def _is_whole(folder: Path, facts: Mapping[str, Any]) -> bool:
    """Whether the files are as they were added. Entries of earlier versions have no checksums."""
    if any((folder / name).stat().st_size != size for name, size in facts["sizes"].items()):
        return False
    if _CHECK not in facts:
        return True
    return facts[_CHECK] == _check(facts) and all(
        _crc32(folder / name) == known for name, known in facts["crc32"].items()
    )


def _check(facts: Mapping[str, Any]) -> int:
    """Checksum of what is kept about an entry."""
    return zlib.crc32(json.dumps({**facts, _CHECK: None}, sort_keys=True).encode())


def _crc32(path: Path) -> int:
    """Checksum of a file: 10 ms for a small kernel and its vmlinux."""
    found = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found = zlib.crc32(piece, found)
    return found


def _last_used(folder: Path) -> float:
    try:
        return (folder / _FACTS).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(folder: Path) -> int:
    """Bytes of an entry; files that entries share (hard links) are divided among them."""
    try:
        facts = [path.stat() for path in folder.iterdir()]
        return sum(fact.st_size // fact.st_nlink for fact in facts)
    except FileNotFoundError:
        return 0


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
