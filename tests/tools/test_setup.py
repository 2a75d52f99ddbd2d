"""`kbisect setup`: what it installs, what it refuses, and what it says; apt-get and sudo are fakes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import apt, distribution, host
from pytest_kbisect.commands import main
from pytest_kbisect.distribution import Family
from pytest_kbisect.errors import ExitCode
from pytest_kbisect.host import Purpose, Tool

if TYPE_CHECKING:
    from pathlib import Path


def tool(
    name: str,
    present: bool = False,
    *,
    optional: bool = False,
    purpose: Purpose = Purpose.BUILD,
    package: str = "",
    elsewhere: str = "",
) -> Tool:
    packages = dict.fromkeys(Family, package or f"{name}-package")
    return Tool(name, purpose, packages, lambda: present, optional, elsewhere)


class Apt:
    """A Debian with root, whose apt-get notes what it is asked for.

    Packages called unknown-* have no candidate. `fail` makes it fail so many times.
    """

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.log = folder / "apt.log"
        self._broken = folder / "broken"
        self.program(
            "apt-get",
            f'case "$*" in *--simulate*) for p; do case $p in *-package) echo "Inst $p (1.0)";; esac; done;'
            f' [ ! -e {folder}/impossible ] || {{ echo "unmet dependencies"; exit 100; }}; exit 0;; esac\n'
            f'echo "$@" >>{self.log}\necho "chatter of apt-get"\n'
            f"if [ -s {self._broken} ]; then sed -i 1d {self._broken}; exit 100; fi",
        )
        self.program(
            "apt-cache",
            'shift; for p; do c=1.0; case $p in unknown-*) c="(none)";; esac;'
            ' printf "$p:\\n  Installed: (none)\\n  Candidate: $c\\n  Version table:\\n"; done',
        )

    def program(self, name: str, lines: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)

    def fail(self, times: int) -> None:
        self._broken.write_text("once\n" * times)

    @property
    def asked(self) -> list[str]:
        """What it was asked to do, without options of ours that the user does not see."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.replace("-o DPkg::Lock::Timeout=120 ", "") for line in lines]


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    apt_get = Apt(tmp_path)
    monkeypatch.setenv("PATH", f"{apt_get.programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(distribution, "family", lambda: Family.DEBIAN)
    monkeypatch.setattr(apt, "_RETRY_PAUSE", 0.0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return apt_get


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch):
    def set_absent(*tools: Tool) -> None:
        monkeypatch.setattr(host, "TOOLS", tools)

    return set_absent


INSTALL = "install --yes --no-install-recommends"


def test_nothing_is_done_where_all_is_there(absent, debian: Apt, capsys: pytest.CaptureFixture[str]) -> None:
    absent(tool("make", True))
    assert main(["setup"]) == ExitCode.FOUND
    assert capsys.readouterr().out == (
        "kbisect setup: all 1 host tools are here. Next: kbisect doctor KERNEL, with your git tree of Linux\n"
    )
    assert not debian.asked


def test_a_dry_run_installs_nothing(absent, debian: Apt, capsys: pytest.CaptureFixture[str]) -> None:
    absent(tool("flex"))
    assert main(["setup", "--dry-run"]) == ExitCode.FOUND
    assert f"apt-get {INSTALL} flex-package" in capsys.readouterr().out
    assert not debian.asked


def test_without_a_terminal_it_installs_only_if_told_so(
    absent, debian: Apt, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent(tool("flex"))
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert main(["setup"]) == ExitCode.USAGE
        assert capsys.readouterr().err.splitlines() == [
            "kbisect: nothing was installed: stdin is no terminal to ask at; to install, give --yes"
        ]
        assert not debian.asked
        main(["setup", "--yes"])
    assert debian.asked == ["update", f"{INSTALL} flex-package"]


@pytest.mark.parametrize(("answer", "installed"), [("\n", True), ("n\n", False)])
def test_at_a_terminal_it_asks(
    absent, debian: Apt, monkeypatch: pytest.MonkeyPatch, answer: str, installed: bool
) -> None:
    absent(tool("ccache", optional=True))
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert main(["setup"]) == (ExitCode.FOUND if installed else ExitCode.USAGE)
    os.close(ours)
    assert bool(debian.asked) is installed


def test_what_is_missing_is_installed_after_the_lists_were_refreshed(
    absent, debian: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(tool("flex"), tool("bison", True), tool("bc"))
    # The fake installs nothing, so the end is an error that says so.
    assert main(["setup", "--yes"]) == ExitCode.USAGE
    assert debian.asked == ["update", f"{INSTALL} flex-package bc-package"]
    said = capsys.readouterr()
    assert "installing 2 packages" in said.out
    assert "still missing after the installation: flex (to build kernels), bc" in said.err


def test_the_kernel_source_is_for_the_demo_only(absent, debian: Apt) -> None:
    absent(tool("source", purpose=Purpose.DEMO), tool("ccache", optional=True))
    assert main(["setup", "--yes"]) == ExitCode.FOUND
    assert debian.asked == ["update", f"{INSTALL} ccache-package"]
    main(["setup", "--yes", "--demo"])
    assert debian.asked[3] == f"{INSTALL} source-package ccache-package"


def test_a_failure_is_tried_once_more(absent, debian: Apt) -> None:
    absent(tool("ccache", optional=True))
    debian.fail(1)
    assert main(["setup", "--yes"]) == ExitCode.FOUND  # nothing needed is missing
    assert debian.asked[:2] == ["update", "update"]


def test_the_output_of_apt_get_is_shown_only_if_it_fails(
    absent, debian: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(tool("ccache", optional=True))
    main(["setup", "--yes"])
    assert "chatter" not in capsys.readouterr().out
    debian.fail(4)
    assert main(["setup", "--yes"]) == ExitCode.USAGE
    said = capsys.readouterr()
    assert said.out.count("chatter of apt-get") == 4
    assert "apt-get failed, its output is above" in said.err


def test_what_cannot_be_installed_is_said_before_anything_is(
    absent, debian: Apt, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(
        tool("flex"), tool("odd", package="unknown-odd", purpose=Purpose.GUEST, elsewhere="odd.example.org")
    )
    assert main(["setup", "--yes"]) == ExitCode.USAGE
    assert debian.asked == ["update"]
    assert capsys.readouterr().err == (
        "kbisect: nothing was installed: apt offers no package unknown-odd (to run guests);"
        " get the odd from odd.example.org\n"
    )


def test_what_only_helps_may_be_unavailable(absent, debian: Apt, capsys: pytest.CaptureFixture[str]) -> None:
    absent(tool("ccache", package="unknown-ccache", optional=True), tool("bc", optional=True))
    assert main(["setup", "--yes"]) == ExitCode.FOUND
    assert debian.asked[-1] == f"{INSTALL} bc-package"
    assert "apt offers no package unknown-ccache: going on without ccache" in capsys.readouterr().out


def test_unmet_dependencies_are_said_before_anything_is_installed(
    absent, debian: Apt, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(tool("flex"))
    (tmp_path / "impossible").touch()
    assert main(["setup", "--yes"]) == ExitCode.USAGE
    assert debian.asked == ["update"]
    assert "unmet dependencies" in capsys.readouterr().err


def test_neither_root_nor_sudo(
    absent, debian: Apt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(tool("flex"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(apt.shutil, "which", lambda _: None)
    assert main(["setup", "--yes"]) == ExitCode.USAGE
    assert f"As root, run: apt-get update && apt-get {INSTALL} flex-package" in capsys.readouterr().err
    assert not debian.asked


def test_sudo_asks_for_the_password_before_there_is_progress(
    absent, debian: Apt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(tool("ccache", optional=True))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    debian.program("sudo", f'if [ "$1" = -v ]; then echo password >>{debian.log}; else exec "$@"; fi')
    assert main(["setup", "--yes"]) == ExitCode.FOUND
    assert debian.asked == ["password", "update", f"{INSTALL} ccache-package"]
    debian.program("sudo", "exit 1")
    assert main(["setup", "--yes"]) == ExitCode.USAGE
    assert "nothing was installed: sudo failed" in capsys.readouterr().err


def test_the_real_apt_is_understood() -> None:
    if subprocess.run(["sh", "-c", "command -v apt-cache"], capture_output=True, check=False).returncode:
        pytest.skip("no apt on this host")
    assert apt.unavailable(["dpkg", "no-such-package-anywhere"]) == ["no-such-package-anywhere"]
    assert apt.simulate(["no-such-package-anywhere"])[1]
    assert apt.simulate(["dpkg"])[1] == ""
