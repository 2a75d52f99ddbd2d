"""The user's disk image as a guest's user space, and the throw-away layers over it.

The image is opened for reading only, whatever a guest does. What guests write goes into layers: qcow2
files that begin empty, each over another or over the image. A guest that is to be frozen writes into
the layer of its place (`pool`); each guest restored from it reads that one and writes into a layer of
its own, as a guest that was booted does. Such a layer is a file without a name: it is gone with its QEMU.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import UsageError
from pytest_kbisect.guest import qcow2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SECTOR: Final = 512
_BLOCK: Final = 1 << 20
"""Bytes that are looked at together where an image is read from end to end."""

_PACKED: Final = {b"\xfd7zXZ": "xz", b"\x1f\x8b": "gzip", b"(\xb5/\xfd": "zstd", b"BZh": "bzip2"}
_OTHER: Final = {b"KDMV": "VMware", b"<<< ": "VirtualBox", b"conectix": "Hyper-V", b"vhdxfile": "Hyper-V"}
_DISK: Final = (
    (510, b"\x55\xaa"),  # a partition table, of DOS or before that of GPT
    (1024 + 56, b"\x53\xef"),  # ext2, ext3, ext4
    (0, b"XFSB"),
    (0x10000 + 64, b"_BHRfS_M"),  # btrfs
    (1024, b"\x10\x20\xf5\xf2"),  # f2fs
    (1024, b"\xe2\xe1\xf5\xe0"),  # erofs
    (0, b"hsqs"),  # squashfs
)
"""By what a raw image is known: an offset and what is there."""


@dataclass(frozen=True, slots=True)
class DiskImage:
    """A disk image. `format` is QEMU's word for it, `size` the disk's in bytes.

    `files` are the image and those it is based on.
    """

    path: Path
    format: str
    size: int
    files: tuple[Path, ...]

    def state(self) -> str:
        """Changes when one of the files does, by inode, size and time. Raises OSError."""
        facts = [file.stat() for file in self.files]
        return " ".join(f"{fact.st_ino}:{fact.st_size}:{fact.st_mtime_ns}" for fact in facts)

    def arguments(self, layers: Layers) -> list[str]:
        """QEMU's arguments for the image, what lies over it, and the disk that the guest sees.

        Where the host's disk is full or the image cannot be read, QEMU stops the guest: an error that
        the guest sees would look like a fault of its kernel. A flush of the guest's reaches the layer,
        and need not reach the host's disk.
        """
        words = [*_node("image", self.format, f"filename={escaped(self.path)}", "read-only=on")]
        over = "image"
        if layers.frozen is not None:
            words += _node("frozen", "qcow2", f"filename=/proc/self/fd/{layers.frozen}", "read-only=on", over)
            over = "frozen"
        words += _node("layer", "qcow2", f"filename=/proc/self/fd/{layers.own}", "cache.no-flush=on", over)
        return [*words, "-device", "virtio-blk-pci,drive=layer,werror=stop,rerror=stop"]


def _node(name: str, kind: str, file: str, mode: str, over: str = "") -> list[str]:
    backing = f",backing={over}" if over else ""
    return [
        *("-blockdev", f"driver=file,node-name={name}-file,{file},{mode}"),
        *("-blockdev", f"driver={kind},node-name={name},file={name}-file,{mode}{backing}"),
    ]


def escaped(path: Path) -> str:
    """A path as QEMU's option syntax needs it: commas doubled."""
    return str(path).replace(",", ",,")


@dataclass(frozen=True, slots=True)
class Layers:
    """Descriptors of the layers between a guest and its image, inherited by its QEMU.

    `own` takes what the guest writes; `frozen` is what a guest had written before it was frozen, and is
    only read.
    """

    own: int
    frozen: int | None = None

    def descriptors(self) -> tuple[int, ...]:
        return (self.own,) if self.frozen is None else (self.own, self.frozen)


@contextlib.contextmanager
def layer(disk: DiskImage, folder: Path, kept: int | None = None) -> Iterator[int]:
    """The layer of a guest to be started: `kept`, or else an unnamed file in `folder`'s file system.

    That one is there as long as a process has it open. Raises OSError where there is no room.
    """
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        begin(disk, file.fileno())
        yield file.fileno()


def begin(disk: DiskImage, descriptor: int) -> None:
    """Write an empty layer into an empty file. Raises OSError where there is no room.

    What it lies over is not written into it: QEMU gets it as an argument (`DiskImage.arguments`).
    """
    os.pwrite(descriptor, qcow2.empty(disk.size), 0)


# -- what the user gives ---------------------------------------------------------------------------------


def look_at(path: Path) -> DiskImage:
    """Inspect a file as a disk image. Raises UsageError where it is not one, or cannot be used."""
    kind, size, based_on = _read_head(path)
    files = [path]
    while based_on is not None:
        base = files[-1].parent / based_on
        if not base.exists():
            raise UsageError(
                f"{path} is based on {base}, which is not there: put it back, or convert the image"
            )
        if any(base.samefile(file) for file in files):
            raise UsageError(f"{path} is based on {base}, which is based on itself: create it again")
        files.append(base)
        _, _, based_on = _read_head(base)
    return DiskImage(path, kind, size, tuple(files))


def _read_head(path: Path) -> tuple[str, int, str | None]:
    """Format, size of the disk, and the file it is based on (None where there is none)."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            what = "folder" if stat.S_ISDIR(kind) else "device"
            raise UsageError(f"{path} is a {what}, not a disk image: name a file")
        with path.open("rb") as file:
            head = file.read(0x10000 + _SECTOR)
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise UsageError(f"cannot read the disk image {path}: {error.strerror}; name another") from None
    if head.startswith(qcow2.MAGIC):
        size, based_on = qcow2.read_head(path, head)
        return "qcow2", size, based_on
    for magic, program in _PACKED.items():
        if head.startswith(magic):
            raise UsageError(f"{path} is compressed with {program}: decompress it first")
    for magic, owner in _OTHER.items():
        if head.startswith(magic):
            raise UsageError(f"{path} is an image of {owner}'s: convert it with qemu-img convert -O qcow2")
    if not any(head[offset : offset + len(magic)] == magic for offset, magic in _DISK):
        raise UsageError(
            f"{path} is not a disk image: it is not qcow2, and has neither a partition table nor a file system"
        )
    return "raw", -(-size // _SECTOR) * _SECTOR, None


def digest(disk: DiskImage) -> str:
    """What is in an image: 16 hex digits, the same for a copy of it.

    Times are no part of it: an image that a second CI job downloads again is the same image. So it is
    read whole, but for its holes: about a second for each GiB that is in it, once a bisection.
    """
    digest = hashlib.sha256()
    for path in disk.files:
        with path.open("rb", buffering=0) as file:
            for offset in _blocks_with_data(file.fileno()):
                block = os.pread(file.fileno(), _BLOCK, offset)
                if block.count(0) != len(block):  # a hole, and zeros where a copy has no hole, are the same
                    digest.update(struct.pack(">Q", offset))
                    digest.update(block)
        digest.update(struct.pack(">Q", path.stat().st_size))
    return digest.hexdigest()[:16]


def _blocks_with_data(descriptor: int) -> Iterator[int]:
    offset, end = 0, os.fstat(descriptor).st_size
    while offset < end:
        try:
            data = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError:  # only a hole follows
            return
        offset = data // _BLOCK * _BLOCK
        yield offset
        offset += _BLOCK
