"""What files are taken for disk images, without a guest; layers and digests of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import small_images

from pytest_kbisect.errors import UsageError
from pytest_kbisect.guest import disk

MIB = 1 << 20
TABLE = bytes(510) + b"\x55\xaa"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "raw.img"
    path.write_bytes(TABLE + bytes(3 * MIB) + b"something" + bytes(5 * MIB))
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a disk image: it is not qcow2"),
        (b"\x7fELF" + bytes(MIB), "is not a disk image: it is not qcow2"),
        (b"\xfd7zXZ\0" + bytes(MIB), "is compressed with xz: decompress it first"),
        (b"KDMV" + bytes(MIB), "is an image of VMware's: convert it with qemu-img convert -O qcow2"),
        (b"QFI\xfb", "is cut short: get the disk image again"),
        (b"QFI\xfb\0\0\0\x01" + bytes(MIB), "is a qcow2 of version 1: convert it"),
    ],
)
def test_what_is_no_image(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        disk.look_at(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the disk image .*absent: No such file"):
        disk.look_at(tmp_path / "absent")
    with pytest.raises(UsageError, match="is a folder, not a disk image: name a file"):
        disk.look_at(tmp_path)
    with pytest.raises(UsageError, match="is a device, not a disk image"):
        disk.look_at(Path("/dev/zero"))


def test_an_image_based_on_others(raw: Path, tmp_path: Path) -> None:
    over = small_images.based_on(raw, tmp_path / "over.qcow2")
    found = disk.look_at(over)
    assert (found.format, found.size) == ("qcow2", raw.stat().st_size)
    assert found.files == (over, raw)
    before, state = disk.digest(found), found.state()
    with raw.open("r+b") as file:
        file.seek(MIB)
        file.write(b"changed")
    assert disk.digest(found) != before
    assert found.state() != state
    raw.unlink()
    with pytest.raises(UsageError, match=r"over.qcow2 is based on .*raw.img, which is not there"):
        disk.look_at(over)
    over.rename(raw)
    with pytest.raises(UsageError, match="which is based on itself"):
        disk.look_at(raw)


def test_a_copy_has_the_same_digest_holes_or_not(raw: Path, tmp_path: Path) -> None:
    sparse, whole = tmp_path / "sparse.img", raw.read_bytes()
    with sparse.open("wb") as file:
        for offset in range(0, len(whole), 4096):
            block = whole[offset : offset + 4096]
            file.seek(offset)
            if any(block):
                file.write(block)
        file.truncate(len(whole))
    assert disk.digest(disk.look_at(sparse)) == disk.digest(disk.look_at(raw))
    os.truncate(sparse, raw.stat().st_size + MIB)
    assert disk.digest(disk.look_at(sparse)) != disk.digest(disk.look_at(raw))


@pytest.mark.parametrize("size", [512, 3 * MIB, 40 << 30, 20 << 40])
def test_an_empty_layer_is_a_sound_qcow2(raw: Path, tmp_path: Path, size: int) -> None:
    """As we read it; as QEMU's own checker does, where that is installed."""
    image = disk.DiskImage(raw, "raw", size, (raw,))
    with disk.layer(image, tmp_path) as descriptor:
        made = tmp_path / "layer.qcow2"
        made.write_bytes(os.pread(descriptor, 64 * MIB, 0))
    found = disk.look_at(made)
    assert (found.format, found.size, found.files) == ("qcow2", size, (made,))
    assert {path.name for path in tmp_path.iterdir()} == {"raw.img", "layer.qcow2"}
    if qemu_img := shutil.which("qemu-img"):
        subprocess.run([qemu_img, "check", made], check=True, capture_output=True)
