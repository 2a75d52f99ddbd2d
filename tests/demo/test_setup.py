from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import host
from pytest_kbisect.commands import main, setup
from pytest_kbisect.errors import ExitCode, HostError
from pytest_kbisect.host import Family, Purpose, Tool

if TYPE_CHECKING:
    from pathlib import Path


def tool(
    name: str, present: bool, *, optional: bool = False, packages: dict[Family, str] | None = None
) -> Tool:
    return Tool(
        name, Purpose.BUILD, packages or dict.fromkeys(Family, f"{name}-package"), lambda: present, optional
    )


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Debian with root, whose apt-get notes what it is asked for; `broken` makes it fail once."""
    programs = tmp_path / "programs"
    programs.mkdir()
    log = tmp_path / "apt.log"
    for name, lines in {
        "apt-get": f'echo "$@" >>{log}\nif [ -e {tmp_path}/broken ]; then rm {tmp_path}/broken; exit 100; fi',
        "apt-cache": '[ "$2" != unknown-package ]',
    }.items():
        path = programs / name
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(host, "family", lambda: Family.DEBIAN)
    monkeypatch.setattr(setup, "_RETRY_PAUSE", 0.0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return log


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch):
    def set_absent(*tools: Tool) -> None:
        monkeypatch.setattr(host, "TOOLS", tools)

    return set_absent


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("ID=debian\n", Family.DEBIAN),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', Family.DEBIAN),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', Family.FEDORA),
        ("ID=arch\n", Family.ARCH),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', Family.SUSE),
        ("ID=plan9\n", None),
    ],
)
def test_the_distribution_is_told_from_os_release(tmp_path: Path, text: str, family: Family | None) -> None:
    (tmp_path / "os-release").write_text(text)
    assert host.family(tmp_path / "os-release") is family
    assert host.family(tmp_path / "none") is None


def test_every_tool_has_a_package_where_packages_are_installed() -> None:
    assert all(Family.DEBIAN in tool.packages for tool in host.TOOLS)
    assert len({tool.name for tool in host.TOOLS}) == len(host.TOOLS)


def test_a_missing_tool_is_named_with_its_package(absent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "family", lambda: Family.FEDORA)
    absent(tool("flex", False), tool("bison", True))
    host.require("bison")
    with pytest.raises(
        HostError, match=r"^flex is not installed: dnf install flex-package, or kbisect setup$"
    ):
        host.require("flex", "bison")


def test_a_dynamic_busybox_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "busybox").symlink_to("/bin/ls")
    monkeypatch.setattr(host, "_SEARCH", str(tmp_path))
    assert "busybox" in {tool.name for tool in host.missing(Purpose.GUEST)}


def test_nothing_is_done_where_all_is_there(absent, apt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent(tool("make", True))
    assert main(["setup"]) == ExitCode.FOUND
    assert "all 1 host tools are here" in capsys.readouterr().out
    assert not apt.exists()


def test_a_dry_run_installs_nothing(absent, apt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent(tool("flex", False))
    assert main(["setup", "--dry-run"]) == ExitCode.FOUND
    assert "apt-get install --yes --no-install-recommends flex-package" in capsys.readouterr().out
    assert not apt.exists()


def test_what_is_missing_is_installed_after_the_lists_were_refreshed(absent, apt: Path) -> None:
    absent(tool("flex", False), tool("bison", True), tool("bc", False))
    # The fake installs nothing, so the end is an error that says so.
    assert main(["setup", "--yes"]) == ExitCode.USAGE
    first, second = apt.read_text().splitlines()
    assert first == "update"
    assert second.endswith(" flex-package bc-package")


def test_a_failure_is_tried_once_more(absent, apt: Path, tmp_path: Path) -> None:
    absent(tool("ccache", False, optional=True))
    (tmp_path / "broken").touch()
    assert main(["setup", "--yes"]) == ExitCode.FOUND  # nothing needed is missing
    assert apt.read_text().splitlines()[:2] == ["update", "update"]


def test_a_package_that_apt_does_not_know_does_not_stop_the_others(
    absent, apt: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(tool("flex", False), tool("odd", False, packages={Family.DEBIAN: "unknown-package"}))
    assert main(["setup", "--yes"]) == ExitCode.USAGE
    assert apt.read_text().splitlines()[-1].endswith("--no-install-recommends flex-package")
    said = capsys.readouterr()
    assert "apt knows no package unknown-package" in said.out
    assert "still missing: flex (to build kernels), odd (to build kernels)" in said.err


def test_neither_root_nor_sudo(
    absent, apt: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(tool("flex", False))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(setup.shutil, "which", lambda _: None)
    assert main(["setup", "--yes"]) == ExitCode.USAGE
    assert (
        "As root, run: apt-get update && apt-get install --yes --no-install-recommends flex-package"
        in capsys.readouterr().err
    )
    assert not apt.exists()


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (Family.FEDORA, "dnf install flex-package"),
        (Family.ARCH, "pacman -S --needed flex-package"),
        (Family.SUSE, "zypper install flex-package"),
        (None, "openSUSE: zypper install flex-package"),
    ],
)
def test_elsewhere_it_prints_the_packages(
    absent, apt: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], family, words: str
) -> None:
    monkeypatch.setattr(host, "family", lambda: family)
    absent(tool("flex", False))
    assert main(["setup"]) == ExitCode.USAGE
    assert words in capsys.readouterr().err
    assert not apt.exists()
