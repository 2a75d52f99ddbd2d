"""The compiler cache gives back what a compiler would make now, and never what it made of other files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.kernel import build, ccache, toolchain

pytestmark = pytest.mark.skipif(shutil.which("ccache") is None, reason="there is no ccache")


@pytest.fixture(params=["gcc", "a link to ccache"])
def compiler(request, tmp_path, monkeypatch):
    """What is called gcc in the PATH: distributions put links to ccache first."""
    if request.param != "gcc":
        links = tmp_path / "links"
        links.mkdir()
        (links / "gcc").symlink_to(shutil.which("ccache"))
        monkeypatch.setenv("PATH", f"{links}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def compile_(tmp_path, compiler):
    """Compile a file in a folder of its own, as kbuild would; returns the object and what the cache did."""
    environment = toolchain.find().environment(tmp_path / "cache")
    log = tmp_path / "statslog"

    def compile_(source, **files):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        log.unlink(missing_ok=True)
        subprocess.run(
            ["kbisect-cc", "-Wp,-MMD,.x.o.d", "-c", "-o", "x.o", source],
            cwd=tmp_path,
            env=environment | {"CCACHE_STATSLOG": str(log)},
            check=True,
        )
        return (tmp_path / "x.o").read_bytes(), log.read_text() if log.exists() else ""

    return compile_


def test_what_was_compiled_is_found_again(compile_, tmp_path):
    (tmp_path / "a.c").write_text('#include "h"\nint x = X;\n')
    first, did = compile_("a.c", h="#define X 1\n")
    assert "cache_miss" in did
    second, _ = compile_("a.c", h="#define X 2\n")
    assert first != second
    again, did = compile_("a.c", h="#define X 1\n")
    assert (again, "direct_cache_hit" in did) == (first, True)


def test_a_storage_that_hosts_share_is_asked(tmp_path, monkeypatch):
    """CCACHE_REMOTE_STORAGE of the user's reaches the clean environment of builds (played by a folder)."""
    monkeypatch.setenv("CCACHE_REMOTE_STORAGE", f"file://{tmp_path / 'storage'}")
    did = []
    for host in ("one", "another"):
        place = tmp_path / host
        place.mkdir()
        (place / "a.c").write_text("int x = 1;\n")
        environment = toolchain.find().environment(place / "cache")
        log = place / "statslog"
        subprocess.run(
            ["kbisect-cc", "-Wp,-MMD,.x.o.d", "-c", "-o", "x.o", "a.c"],
            cwd=place,
            env=environment | {"CCACHE_STATSLOG": str(log)},
            check=True,
        )
        did.append(log.read_text())
    # That the result is used as well depends on ccache: 4.7.5 cannot read what it has stored there.
    assert "remote_storage_hit" not in did[0]
    assert "remote_storage_hit" in did[1], "whose own cache was empty"


@pytest.mark.parametrize("source", ["piggy.S", "configs.c"])
def test_what_the_assembler_reads_by_itself_is_never_cached(compile_, tmp_path, source):
    """arch/x86/boot/compressed/piggy.S holds the kernel; it reads the same for each of one size."""
    text = '.incbin "data"\n' if source == "piggy.S" else 'asm(".incbin \\"data\\"");\n'
    (tmp_path / source).write_text(text)
    for data in ("kernel one", "kernel two"):
        made, did = compile_(source, data=data)
        assert data.encode() in made
        assert not did


def test_an_image_that_holds_another_kernel(tmp_path):
    boot = tmp_path / "arch" / "x86" / "boot"
    (boot / "compressed").mkdir(parents=True)
    image, vmlinux = boot / "bzImage", tmp_path / "vmlinux"
    vmlinux.write_bytes(b"elf")
    image.write_bytes(b"head packed tail")
    assert build._is_of(DEFAULT, tmp_path), "nothing is known of other images"
    (boot / "compressed/vmlinux").write_bytes(b"elf")
    (boot / "compressed/vmlinux.bin.gz").write_bytes(b"packed")
    assert build._is_of(DEFAULT, tmp_path)
    (boot / "compressed/vmlinux.bin.gz").write_bytes(b"later one")
    assert not build._is_of(DEFAULT, tmp_path)


def test_compilers_share_a_name_and_not_a_script(tmp_path):
    """Builds with two compilers may run side by side in one cache."""
    paths = [
        ccache.environment(tmp_path, "/usr/bin/ccache", compiler, "/usr/bin")["PATH"].partition(":")[0]
        for compiler in ("gcc", "clang-16")
    ]
    scripts = [Path(path, ccache.COMPILER).read_text() for path in paths]
    assert "exec /usr/bin/ccache gcc " in scripts[0]
    assert "exec /usr/bin/ccache clang-16 " in scripts[1]
