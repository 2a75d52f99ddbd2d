"""Writes cpio archives in the "newc" format, the one the kernel unpacks as an initramfs.

Format: Documentation/driver-api/early-userspace/buffer-format.rst in the kernel tree. Written
here so that no root rights (device nodes, owners) and no cpio program are needed.
"""

from __future__ import annotations

import stat


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


class Archive:
    """Collects entries; everything belongs to root and carries no time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._names: set[str] = set()

    def directory(self, name: str, mode: int = 0o755) -> None:
        """Add a directory and those above it."""
        name = name.strip("/")
        if not name or name in self._names:
            return
        self.directory(name.rpartition("/")[0])
        self._entry(name, stat.S_IFDIR | mode, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self.directory(name.strip("/").rpartition("/")[0])
        self._entry(name.strip("/"), stat.S_IFREG | mode, data)

    def symlink(self, name: str, target: str) -> None:
        self.directory(name.strip("/").rpartition("/")[0])
        self._entry(name.strip("/"), stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name: str, major: int, minor: int, mode: int = 0o600) -> None:
        self.directory(name.strip("/").rpartition("/")[0])
        self._entry(name.strip("/"), stat.S_IFCHR | mode, b"", (major, minor))

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        self._names.add(name)
        raw = name.encode() + b"\0"
        number = len(self._names)
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._parts += [_padded(header + raw), _padded(data)]

    def bytes(self) -> bytes:
        """The finished archive."""
        trailer = b"TRAILER!!!\0"
        header = b"070701" + b"%08X" % 0 * 11 + b"%08X" % len(trailer) + b"%08X" % 0
        return b"".join(self._parts) + _padded(header + trailer)
