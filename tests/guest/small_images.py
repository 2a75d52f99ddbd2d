"""Disk images of a few MiB, made without root: an ext4 with the host's busybox and dropbear."""

from __future__ import annotations

import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import host
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.guest import qcow2, user_space

if TYPE_CHECKING:
    from pathlib import Path

INITTAB = """\
::sysinit:/etc/rc
::respawn:/bin/sleep 1000
"""
# What is written before a guest is frozen: some of it on the disk by then, some of it not.
RC = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
chown 0:0 /root /root/.ssh
chmod 755 /root
cat /proc/sys/kernel/random/boot_id >/boot_id
dd if=/dev/urandom of=/early bs=1M count=4 2>/dev/null
sync
dd if=/dev/urandom of=/late bs=1M count=4 2>/dev/null
md5sum /early /late >/sums
"""
SERVER = "dropbear -R -p 22\n"
"""It makes its key when it starts, another one at each boot."""


def make(path: Path, *rc: str, size: int = 48) -> Path:
    """An ext4 of `size` MiB in a file; `rc` are further lines of the script that its init runs."""
    tree = path.with_suffix(".tree")
    for name in ("bin", "dev", "etc/dropbear", "proc", "root", "run", "sbin", "sys", "tmp", "usr/sbin"):
        (tree / name).mkdir(parents=True)
    busybox, dropbear = host.find("busybox"), host.find("dropbear")
    mke2fs = host.find("mke2fs") or pytest.skip("mke2fs is not there: install e2fsprogs")
    assert busybox
    assert dropbear
    shutil.copy(busybox, tree / "bin" / "busybox")
    for applet in subprocess.run(
        [busybox, "--list"], capture_output=True, text=True, check=True
    ).stdout.split():
        if applet != "busybox":
            (tree / "bin" / applet).symlink_to("busybox")
    (tree / "sbin" / "init").symlink_to(
        "/bin/busybox"
    )  # absolute: it leads nowhere before the root is changed
    shutil.copy(dropbear, tree / "usr" / "sbin" / "dropbear")
    for name, library in user_space.of(DEFAULT, None).libraries().items():
        (tree / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, tree / name[1:])
    (tree / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tree / "etc" / "shadow").write_text("root::0:0:99999:7:::\n")
    (tree / "etc" / "group").write_text("root:x:0:\n")
    (tree / "etc" / "inittab").write_text(INITTAB)
    (tree / "etc" / "rc").write_text(RC + "".join(rc or (SERVER,)))
    (tree / "etc" / "rc").chmod(0o755)
    with path.open("wb") as file:
        file.truncate(size << 20)
    words = ["-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", str(tree), str(path)]
    subprocess.run([mke2fs, *words], check=True, capture_output=True)
    shutil.rmtree(tree)
    return path


def in_partition(filesystem: Path, path: Path) -> Path:
    """The same behind a partition table of DOS, as the second partition: the first holds nothing."""
    start, sectors = 2048, filesystem.stat().st_size // 512
    entries = [struct.pack("<B3xB3xII", 0, 0x83, *where) for where in ((63, 512), (start, sectors))]
    with path.open("wb") as file:
        file.write(b"".join((bytes(446), *entries, bytes(32), b"\x55\xaa")))
        file.seek(start * 512)
        file.write(filesystem.read_bytes())
    return path


def based_on(base: Path, path: Path) -> Path:
    """A qcow2 in which nothing is, over a raw image that it names."""
    made = bytearray(qcow2.empty(base.stat().st_size))
    name = base.name.encode()
    struct.pack_into(">QI", made, 8, 4096, len(name))
    struct.pack_into(">II8sII", made, 104, 0xE2792ACA, 3, b"raw", 0, 0)  # the format of the other
    made[4096 : 4096 + len(name)] = name
    path.write_bytes(made)
    return path
