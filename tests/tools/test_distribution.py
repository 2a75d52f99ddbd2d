"""Other distributions: their os-release files, their package names, and what no package has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import distribution, host
from pytest_kbisect.commands import main
from pytest_kbisect.distribution import Family
from pytest_kbisect.errors import ExitCode, HostError
from pytest_kbisect.host import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The identifying lines of real os-release files.
OS_RELEASE = {
    "debian": ('PRETTY_NAME="Debian GNU/Linux forky/sid"\nID=debian\n', Family.DEBIAN),
    "ubuntu": ('VERSION_ID="26.04"\nID=ubuntu\nID_LIKE=debian\n', Family.DEBIAN),
    "mint": ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', Family.DEBIAN),
    "raspbian": ("ID=raspbian\nID_LIKE=debian\n", Family.DEBIAN),
    "fedora": ("ID=fedora\nVERSION_ID=44\n", Family.FEDORA),
    "nobara": ('ID=nobara\nID_LIKE="fedora"\n', Family.FEDORA),
    "rhel": ('ID="rhel"\nID_LIKE="fedora"\n', Family.RHEL),
    "rocky": ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', Family.RHEL),
    "alma": ('ID="almalinux"\nID_LIKE="rhel centos fedora"\n', Family.RHEL),
    "centos": ('ID="centos"\nID_LIKE="rhel fedora"\n', Family.RHEL),
    "oracle": ('ID="ol"\nID_LIKE="fedora"\n', Family.RHEL),
    "arch": ("ID=arch\n", Family.ARCH),
    "manjaro": ("ID=manjaro\nID_LIKE=arch\n", Family.ARCH),
    "endeavouros": ("ID='endeavouros'\nID_LIKE='arch'\n", Family.ARCH),
    "tumbleweed": ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', Family.SUSE),
    "leap": ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', Family.SUSE),
    "sles": ('ID="sles"\nID_LIKE="suse"\n', Family.SUSE),
    "alpine": ("ID=alpine\nVERSION_ID=3.23.0\n", Family.ALPINE),
    "postmarketos": ('ID="postmarketos"\nID_LIKE="alpine"\n', Family.ALPINE),
    "plan9": ("ID=plan9\n", None),
}

# The whole command on a host that has nothing, and what no package of the distribution gives.
COMMANDS = {
    Family.FEDORA: "dnf install git make gcc binutils flex bison bc perl bash coreutils findutils diffutils sed"
    " gawk grep elfutils-libelf-devel openssl-devel cpio kmod xz ccache glibc-static kernel-headers"
    " qemu-system-x86-core busybox dropbear util-linux e2fsprogs",
    Family.RHEL: "dnf install git make gcc binutils flex bison bc perl bash coreutils findutils diffutils sed"
    " gawk grep elfutils-libelf-devel openssl-devel cpio kmod xz ccache glibc-static kernel-headers busybox"
    " dropbear util-linux e2fsprogs",
    Family.ARCH: "pacman -S --needed git make gcc binutils flex bison bc perl bash coreutils findutils diffutils"
    " sed gawk grep libelf openssl cpio kmod xz ccache glibc linux-api-headers qemu-system-x86 busybox dropbear"
    " util-linux e2fsprogs",
    Family.SUSE: "zypper install git make gcc binutils flex bison bc perl bash coreutils findutils diffutils sed"
    " gawk grep libelf-devel libopenssl-devel cpio kmod xz ccache glibc-devel-static linux-glibc-devel qemu-x86"
    " busybox-static util-linux e2fsprogs",
    Family.ALPINE: "apk add git make gcc binutils flex bison bc perl bash coreutils findutils diffutils sed gawk"
    " grep elfutils-dev openssl-dev cpio kmod xz ccache musl-dev linux-headers qemu-system-x86_64 busybox-static"
    " dropbear setpriv e2fsprogs",
}
WITHOUT_PACKAGE = {
    Family.RHEL: ["qemu-system-x86_64", host.SOURCE],
    Family.SUSE: ["dropbear, dropbearkey", host.SOURCE],
}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Let this host run the distribution of an os-release file."""
    real = distribution.family

    def set_text(text: str) -> None:
        (tmp_path / "os-release").write_text(text)
        real.cache_clear()
        monkeypatch.setattr(distribution, "family", lambda: real((tmp_path / "os-release",)))

    return set_text


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No program, no header, no kernel source."""
    monkeypatch.setattr(host, "find", lambda _: None)
    monkeypatch.setattr(host, "_INCLUDE", (tmp_path,))
    monkeypatch.setattr(host, "source_tarball", lambda: None)
    monkeypatch.delenv("CPATH", raising=False)


@pytest.mark.parametrize("name", OS_RELEASE)
def test_the_distribution_is_told_from_os_release(runs, name: str) -> None:
    text, family = OS_RELEASE[name]
    runs(text)
    assert distribution.family() is family


def test_the_vendors_os_release_counts_where_there_is_no_other(tmp_path: Path) -> None:
    (tmp_path / "usr").write_text("ID=arch\n")
    assert distribution.family((tmp_path / "etc", tmp_path / "usr")) is Family.ARCH
    assert distribution.family((tmp_path / "etc",)) is None


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize("family", COMMANDS)
def test_a_bare_host_gets_the_whole_command(runs, family: Family, capsys: pytest.CaptureFixture[str]) -> None:
    runs(next(text for text, member in OS_RELEASE.values() if member is family))
    assert main(["setup", "--demo"]) == ExitCode.USAGE
    command, *notes = capsys.readouterr().err.removeprefix("kbisect: ").splitlines()
    assert command == f"install these as root: {COMMANDS[family]}"
    gone = [
        note.partition(" has no package of ")[2].partition(": get it from http")
        for note in notes
        if "no package" in note
    ]
    assert [name for name, _, _ in gone] == WITHOUT_PACKAGE.get(family, [host.SOURCE])
    assert all(place for _, _, place in gone)
    assert any("EPEL" in note for note in notes) is (family is Family.RHEL)
    assert main(["setup"]) == ExitCode.USAGE
    assert host.SOURCE not in capsys.readouterr().err


@pytest.mark.usefixtures("_bare")
def test_only_what_no_package_has_is_missing(
    runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs("ID=fedora\n")
    monkeypatch.setattr(host, "TOOLS", [tool for tool in host.TOOLS if tool.purpose is Purpose.DEMO])
    assert main(["setup", "--demo"]) == ExitCode.USAGE
    assert capsys.readouterr().err == (
        "kbisect: Fedora has no package of kernel source: get it from https://kernel.org (linux-X.Y.tar.xz),"
        " then: kbisect demo --tarball FILE\n"
    )


@pytest.mark.usefixtures("_bare")
def test_an_unknown_distribution_gets_all_of_them(runs, capsys: pytest.CaptureFixture[str]) -> None:
    runs("ID=plan9\n")
    assert main(["setup"]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert all(f"  {family}: " in said for family in Family)


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize(
    ("family", "line"),
    [
        ("debian", "apt-get install flex bison, or kbisect setup"),
        ("rocky", "dnf install flex bison"),
        ("manjaro", "pacman -S --needed flex bison"),
        ("leap", "zypper install flex bison"),
        ("postmarketos", "apk add flex bison"),
    ],
)
def test_a_missing_tool_is_named_with_its_package(runs, family: str, line: str) -> None:
    runs(OS_RELEASE[family][0])
    with pytest.raises(HostError) as failure:
        host.require("flex", "bison")
    assert str(failure.value) == f"flex, bison are not installed: {line}"


def test_every_tool_has_a_package_where_packages_are_installed() -> None:
    assert all(Family.DEBIAN in tool.packages for tool in host.TOOLS)
    assert len({tool.name for tool in host.TOOLS}) == len(host.TOOLS)
    # What a distribution has no package of, one gets elsewhere.
    assert all(tool.elsewhere for tool in host.TOOLS if set(Family) - set(tool.packages))
