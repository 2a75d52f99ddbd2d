"""Kernel packages: found, ordered, made into a git tree, and unpacked."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import BuildError, ConfigError, HostError, UsageError
from pytest_kbisect.kernel import config
from pytest_kbisect.kernel.modules import functions_in_modules
from pytest_kbisect.kernel.prebuilt import offers, package_tree
from pytest_kbisect.kernel.prebuilt.package import Package, package_at
from pytest_kbisect.kernel.provide import provide
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree

BOOTS = "CONFIG_DEVTMPFS=y\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_VIRTIO_PCI=y\n"
needs_dpkg = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="makes .deb packages: needs dpkg-deb"
)


def package(version: str) -> Package:
    return Package("deb", "linux-image", version, version)


def deb(
    folder: Path, release: str, version: str, files: dict[str, bytes], architecture: str = "amd64"
) -> Path:
    root = folder / f"root-{version}"
    for name, data in {"DEBIAN/control": b"", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (root / "DEBIAN/control").write_text(
        f"Package: linux-image-{release}\nVersion: {version}\nArchitecture: {architecture}\n"
        "Maintainer: A U Thor <author@example.org>\nDescription: a kernel\n"
    )
    path = folder / f"linux-image-{release}_{version}.deb"
    subprocess.run(["dpkg-deb", "--build", "-Znone", root, path], check=True, capture_output=True)
    shutil.rmtree(root)
    return path


def kernel_files(
    release: str, module: bytes = b"", settings: str = "CONFIG_VIRTIO_NET=m\n"
) -> dict[str, bytes]:
    files = {
        f"boot/vmlinuz-{release}": release.encode(),
        f"boot/config-{release}": (BOOTS + settings).encode(),
    }
    if module:
        files[f"lib/modules/{release}/kernel/net/kbx.ko.xz"] = lzma.compress(module)
        files[f"lib/modules/{release}/modules.order"] = b"kernel/net/kbx.ko\n"
        files[f"lib/modules/{release}/modules.builtin"] = b""
    return files


@pytest.fixture
def module(tmp_path: Path) -> bytes:
    source, made = tmp_path / "kbx.c", tmp_path / "kbx.o"
    source.write_text("int kbx_send(int n) { return n + 1; }\n")
    subprocess.run(["gcc", "-c", source, "-o", made], check=True)
    return made.read_bytes()


def kernel_of(sources: list[str], tag: str, place: Path, lines: str = ""):
    found = offers.offered(sources, DEFAULT, place / "cache", place)
    tree = LinuxTree(package_tree.make(found, place / "cache" / "packages"), place / "cache")
    request = config.request((), [("x.c", lines)] if lines else ())
    return provide(tree, tree.resolve(tag), request, jobs=1, rules=BuildRules(1 << 30))


@pytest.mark.parametrize(
    "versions",
    [
        ("6.1.8-1", "6.1.20-1", "6.1.164-1", "6.12.1-1"),
        ("6.12.100-1~deb12u1", "6.12.100-1", "6.12.100-1+b1", "6.12.100-2"),
        ("5.15.0-91.101", "5.15.0-100.110", "1:4.2-1"),
    ],
)
def test_versions_are_in_the_order_of_dpkg(versions) -> None:
    if versions[-1].startswith("1:"):
        assert package(versions[-1]).linux == (4, 2, 0)
        versions = versions[:-1]
    shuffled = sorted(versions, reverse=True)
    assert tuple(sorted(shuffled, key=lambda version: package(version).order)) == versions


def test_a_tree_has_a_commit_for_each_package_and_a_tag_that_git_allows(tmp_path: Path) -> None:
    packages = [package(version) for version in ("6.1.170-3", "6.12.117-1~deb12u1")]
    path = package_tree.make(packages, tmp_path / "packages")
    assert package_tree.make(packages, tmp_path / "packages") == path
    tree = LinuxTree(path, tmp_path / "cache")
    old, new = tree.resolve("v6.1.170-3"), tree.resolve("v6.12.117-1-deb12u1")
    assert tree.parents(new) == (old,)
    assert package_at(tree, new) == packages[1]
    with pytest.raises(UsageError, match=r"one kernel package \(6.1.170-3\) is no range"):
        package_tree.make(packages[:1], tmp_path / "packages")


def test_a_commit_of_linux_is_no_package(linux, tmp_path: Path) -> None:
    assert package_at(LinuxTree(linux.path, tmp_path / "cache"), linux.base) is None


@needs_dpkg
def test_a_package_is_unpacked_with_its_modules(tmp_path: Path, module: bytes) -> None:
    for release, version in (("6.1.0-1-amd64", "6.1.4-1"), ("6.1.0-2-amd64", "6.1.5-1")):
        deb(tmp_path, release, version, kernel_files(release, module))
    with kernel_of(["."], "v6.1.5-1", tmp_path) as kernel:
        assert kernel.release == "6.1.0-2-amd64"
        assert kernel.image.read_bytes() == b"6.1.0-2-amd64"
        assert not kernel.cached
        assert kernel.modules is not None
        packed = kernel.modules.read_bytes()
        assert b"lib/modules/6.1.0-2-amd64/kernel/net/kbx.ko\0" in packed  # uncompressed
        assert b"modules.dep\0" in packed
        assert functions_in_modules(kernel.module_functions, ["kbx_send", "main"]) == {"kbx_send"}
        signature = kernel.signature
    with kernel_of(["."], "v6.1.5-1", tmp_path) as kernel:
        assert (kernel.cached, kernel.signature) == (True, signature)
    with kernel_of(["."], "v6.1.4-1", tmp_path) as other:
        assert other.signature != signature


@needs_dpkg
def test_a_package_without_what_is_needed_says_what_to_do(tmp_path: Path, module: bytes) -> None:
    deb(tmp_path, "6.1.0-1-amd64", "6.1.4-1", kernel_files("6.1.0-1-amd64"))
    deb(tmp_path, "6.1.0-2-amd64", "6.1.5-1", kernel_files("6.1.0-2-amd64", module))
    with (
        pytest.raises(
            BuildError, match="lacks CONFIG_VIRTIO_NET, which guests need: put the package of its modules"
        ),
        kernel_of(["."], "v6.1.4-1", tmp_path),
    ):
        pass
    with kernel_of(["."], "v6.1.5-1", tmp_path, "CONFIG_VIRTIO_NET=y"):
        pass  # a module is as good
    with (
        pytest.raises(ConfigError, match="has # CONFIG_TUN is not set"),
        kernel_of(["."], "v6.1.5-1", tmp_path, "CONFIG_TUN=y"),
    ):
        pass
    deb(tmp_path, "6.1.0-3-amd64", "6.1.6-1", {"boot/config-6.1.0-3-amd64": b""})
    with pytest.raises(BuildError, match="has no kernel image"), kernel_of(["."], "v6.1.6-1", tmp_path):
        pass
    deb(tmp_path, "6.1.0-4-arm64", "6.1.7-1", {"boot/x": b""}, architecture="arm64")
    with pytest.raises(UsageError, match="is for arm64, and guests are amd64"):
        offers.offered(["."], DEFAULT, tmp_path, tmp_path)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        offers.offered(["nowhere"], DEFAULT, tmp_path, tmp_path)
    with pytest.raises(UsageError, match="has no kernel packages"):
        offers.offered(["."], DEFAULT, tmp_path, tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bzImage").write_bytes(b"no kernel" * 100)
    with pytest.raises(UsageError, match="does not say which Linux it is"):
        offers.offered(["."], DEFAULT, tmp_path, tmp_path)
    (tmp_path / "mine").rename(tmp_path / "6.1.9-mine")
    (found,) = offers.offered(["."], DEFAULT, tmp_path, tmp_path)
    assert (found.kind, found.tag, found.linux) == ("folder", "v6.1.9-mine", (6, 1, 9))


APT = """#!/bin/sh
case " $* " in
*" pkgnames "*) printf '%s\\n' linux-image-6.1.0-9-amd64 linux-image-6.1.0-9-cloud-amd64 linux-image-6.1.0-10-cloud-amd64 \\
    linux-image-6.1.0-9-amd64-dbg linux-image-6.8.0-31-generic linux-modules-6.8.0-31-generic linux-image-cloud-amd64 ;;
*" show "*)
    for name; do
        case $name in
        linux-image-6.1.0-9-*) version=6.1.27-1 ;;
        linux-image-6.1.0-10-*) version=6.1.38-1 ;;
        linux-image-6.8*) version=6.8.0-31.31 ;;
        *) continue ;;
        esac
        printf 'Package: %s\\nVersion: %s\\nSHA256: %s\\n\\n' "$name" "$version" "$name"
    done ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "apt-cache"
    program.parent.mkdir()
    program.write_text(APT)
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setattr("pytest_kbisect.host._SEARCH", path)


@pytest.mark.usefixtures("apt")
def test_apt_offers_one_flavour_the_one_for_virtual_machines_first(tmp_path: Path) -> None:
    found = offers.offered(["apt"], DEFAULT, tmp_path, tmp_path)
    assert [one.names for one in found] == [
        ("linux-image-6.1.0-9-cloud-amd64=6.1.27-1",),
        ("linux-image-6.1.0-10-cloud-amd64=6.1.38-1",),
    ]
    (ubuntu,) = offers.offered(["apt:generic"], DEFAULT, tmp_path, tmp_path)
    assert ubuntu.names == (
        "linux-image-6.8.0-31-generic=6.8.0-31.31",
        "linux-modules-6.8.0-31-generic=6.8.0-31.31",
    )
    with pytest.raises(
        UsageError, match="no kernels of the flavour lowlatency: use one of amd64, cloud-amd64, generic"
    ):
        offers.offered(["apt:lowlatency"], DEFAULT, tmp_path, tmp_path)


def test_without_a_program_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_kbisect.host.find", lambda _: None)
    with pytest.raises(HostError, match="apt-cache is not installed"):
        offers.offered(["apt"], DEFAULT, tmp_path, tmp_path)
