"""As much of QEMU's qcow2 format as is needed: writing an empty image, and reading a header.

An empty one is a header and three tables, written in less than a millisecond; so qemu-img is not needed.
Format: docs/interop/qcow2.txt in QEMU's tree.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC: Final = b"QFI\xfb"
_CLUSTER_BITS: Final = 16
_CLUSTER: Final = 1 << _CLUSTER_BITS
_HEADER_LENGTH: Final = 104


def empty(size: int) -> bytes:
    """An empty qcow2 image (version 3) of a disk of `size` bytes."""
    clusters = -(-size // _CLUSTER)
    l1_entries = max(1, -(-clusters // (_CLUSTER // 8)))
    l1_clusters = -(-l1_entries * 8 // _CLUSTER)
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(MAGIC, 3),
        *(0, 0),  # a file that it is based on
        *(_CLUSTER_BITS, size),
        0,  # encryption
        *(l1_entries, 3 * _CLUSTER),
        *(_CLUSTER, 1),  # the table of refcount blocks, one cluster
        *(0, 0),  # snapshots
        *(0, 0, 0),  # features
        *(4, _HEADER_LENGTH),  # refcounts of 16 bits
    )
    refcounts = struct.pack(">H", 1) * (3 + l1_clusters)
    parts = (header, struct.pack(">Q", 2 * _CLUSTER), refcounts)
    return b"".join(part.ljust(_CLUSTER, b"\0") for part in parts) + bytes(l1_clusters * _CLUSTER)


def read_head(path: Path, head: bytes) -> tuple[int, str | None]:
    """Size of the disk in bytes, and the file it is based on; None where there is none.

    `head` is the file's beginning, 64 KiB of it. Raises UsageError for what QEMU would not take, or not
    without more options.
    """
    try:
        version, at, length, _, size, encryption = struct.unpack_from(">IQIIQI", head, len(MAGIC))
    except struct.error:
        raise UsageError(f"{path} is cut short: get the disk image again") from None
    if version not in (2, 3) or encryption:
        what = "encrypted" if encryption else f"of version {version}"
        raise UsageError(f"{path} is a qcow2 {what}: convert it with qemu-img convert -O qcow2")
    base = os.fsdecode(head[at : at + length]) if at else ""
    if base.startswith("json:") or "://" in base:
        raise UsageError(
            f"{path} is based on {base}, not on a file: convert it with qemu-img convert -O qcow2"
        )
    return size, base.removeprefix("file:") or None
