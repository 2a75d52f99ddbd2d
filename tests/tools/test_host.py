"""What is looked for on the host, and where distributions keep it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pytest_kbisect import host
from pytest_kbisect.host import Purpose

# An ELF header for x86-64 with no program headers: it asks for no interpreter.
STATIC_PROGRAM = (
    b"\x7fELF\x02\x01\x01"
    + bytes(9)
    + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 0, 0, 64, 56, 0, 64, 0, 0)
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with programs."""
    monkeypatch.setattr(host, "_SEARCH", str(tmp_path))
    return tmp_path


def program(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o755)


@pytest.mark.parametrize("name", ["busybox", "busybox.static", "busybox-static"])
def test_only_a_static_busybox_counts(programs: Path, name: str) -> None:
    """Alpine and openSUSE keep it beside the dynamic one."""
    assert host.static_busybox() is None
    (programs / "busybox").symlink_to("/bin/ls")
    assert host.static_busybox() is None
    assert "busybox" in {tool.name for tool in host.missing(Purpose.GUEST)}
    (programs / name).unlink(missing_ok=True)
    program(programs / name, STATIC_PROGRAM)
    assert host.static_busybox() == str(programs / name)
    assert "busybox" not in {tool.name for tool in host.missing(Purpose.GUEST)}


def test_a_script_is_no_static_busybox(programs: Path) -> None:
    program(programs / "busybox", b"#!/bin/sh\n")
    assert host.static_busybox() is None


def test_programs_of_busybox_do_not_do_for_a_kernel_build(programs: Path) -> None:
    program(programs / "busybox", STATIC_PROGRAM)
    for name in ("find", "sed", "setpriv"):
        (programs / name).symlink_to("busybox")
    program(programs / "sed-gnu", b"#!/bin/sh\n")
    (programs / "sed").unlink()
    (programs / "sed").symlink_to("sed-gnu")
    absent = {tool.name for tool in host.missing()}
    assert {"find", "setpriv"} <= absent
    assert "sed" not in absent


# -- the distribution's kernel source ----------------------------------------------------------------------


def test_no_kernel_source(tmp_path: Path) -> None:
    assert host.source_tarball(tmp_path) is None
    assert host.source_tarball(tmp_path / "none") is None
    for name in (
        "linux-patch-6.12-rt.patch.xz",
        "linux-source-6.12-notes.tar.xz",
        "linux-source-6.12.tar.xz.asc",
    ):
        (tmp_path / name).touch()
    (tmp_path / "linux-source-6.12.tar.xz").symlink_to("gone")
    assert host.source_tarball(tmp_path) is None


def test_the_newest_of_debians(tmp_path: Path) -> None:
    for version in ("6.1", "6.12", "6.9"):
        (tmp_path / f"linux-source-{version}.tar.xz").touch()
    assert host.source_tarball(tmp_path) == tmp_path / "linux-source-6.12.tar.xz"
    (tmp_path / "linux-source-7.2.tar.zst").touch()
    assert host.source_tarball(tmp_path) == tmp_path / "linux-source-7.2.tar.zst"


def test_ubuntus_is_a_link_into_a_folder(tmp_path: Path) -> None:
    name = "linux-source-7.0.0.tar.bz2"
    folder = tmp_path / "linux-source-7.0.0"
    folder.mkdir()
    (folder / name).touch()
    assert host.source_tarball(tmp_path) == folder / name
    (tmp_path / name).symlink_to(f"linux-source-7.0.0/{name}")
    assert host.source_tarball(tmp_path) == tmp_path / name
