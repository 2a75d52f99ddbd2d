"""The programs of guests of another architecture: found, checked, fetched."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from pytest_kbisect import host
from pytest_kbisect.arch.arm64 import ARM64
from pytest_kbisect.arch.riscv64 import RISCV64
from pytest_kbisect.commands import main
from pytest_kbisect.errors import ExitCode, HostError
from pytest_kbisect.guest import initramfs, user_space
from pytest_kbisect.reports import repeat

EM_AARCH64 = 183
AGAIN = r": run kbisect setup --arch aarch64$"


def elf(path: Path, machine: int = EM_AARCH64) -> None:
    """A program without segments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    path.write_bytes(ident + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = user_space.folder(ARM64, tmp_path)
    elf(folder / "bin" / "busybox")
    elf(folder / "usr/sbin" / "dropbear")
    return folder


def test_they_are_looked_for_before_anything_is_built(tmp_path: Path, root: Path) -> None:
    found = user_space.of(ARM64, tmp_path)
    assert (found.busybox, found.root) == (root / "bin/busybox", root)
    assert found.applets() == []
    assert found.libraries() == {}
    with pytest.raises(HostError, match="guests of riscv64 need programs of that architecture"):
        user_space.of(RISCV64, tmp_path)
    assert not user_space.is_there(RISCV64, tmp_path)


def test_a_program_of_the_wrong_architecture(tmp_path: Path, root: Path) -> None:
    elf(root / "bin" / "busybox", 62)
    with pytest.raises(HostError, match=rf"busybox is of another architecture \(EM_X86_64\){AGAIN}"):
        user_space.of(ARM64, tmp_path)
    (root / "bin" / "busybox").write_text("#!/bin/sh\n")
    with pytest.raises(HostError, match=rf"busybox is of another architecture \(no program\){AGAIN}"):
        user_space.of(ARM64, tmp_path)
    (root / "bin" / "busybox").unlink()
    with pytest.raises(HostError, match=rf"there is no busybox in .*{AGAIN}"):
        user_space.of(ARM64, tmp_path)


def test_without_apt_it_is_said_what_to_unpack_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "missing", lambda *_, **__: ())
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if "apt" in name else which(name, **more))
    words = ["setup", "--arch", "arm64", "--kbisect-cache", str(tmp_path)]
    assert main([*words, "--dry-run"]) == ExitCode.FOUND
    assert f"would download busybox and dropbear for aarch64 to {tmp_path}" in capsys.readouterr().out
    assert main(words) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "there is no apt here, or Debian has no packages for aarch64; or unpack a static busybox" in said
    assert str(user_space.folder(ARM64, tmp_path)) in said


def test_busybox_makes_its_own_names_where_it_cannot_be_asked(tmp_path: Path, root: Path) -> None:
    archive = initramfs._with_busybox(user_space.of(ARM64, tmp_path), initramfs.own_script(initramfs.INIT))
    script = archive.bytes().partition(b"#!/bin/sh\n")[2]
    assert script.startswith(b"/bin/busybox --install -s /bin")
    assert b"bin/sh\0" in archive.bytes()
    assert b"/bin/busybox --install" in repeat.initramfs([], user_space.of(ARM64, tmp_path), 1)
