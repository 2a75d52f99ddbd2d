"""`python3 -m pytest_kbisect VERB` in a clone: what it runs, in what order; Python and pip are fakes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_kbisect import __main__ as start
from pytest_kbisect import checkout

PACKAGE = Path(checkout.__file__).parent


class Clone:
    """A clone whose Python notes what it is asked to do. `broken`: pip fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log"
        (path / "pyproject.toml").touch()
        self.python = path / "python"
        self.python.write_text(
            f"#!/bin/sh\n"
            f'case "$*" in\n'
            f"  *ensurepip*) exit 0;;\n"
            f'  "-m venv"*) mkdir -p {path}/.venv/bin; cd {path}/.venv/bin; cp {self.python} python; touch pip;;\n'
            f'  "-m pip"*) echo "WARNING: chatter of pip"; [ ! -e {path}/broken ] || exit 1;;\n'
            f"esac\n"
            f'echo "$@" >>{self.log}\n'
            f'case "$*" in *"setup --yes"*) [ ! -e {path}/no-setup ] || exit 4;; esac\n'
        )
        self.python.chmod(0o755)

    def touch(self, name: str) -> None:
        (self.path / name).touch()

    @property
    def asked(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line.removeprefix("-m ").replace("pytest_kbisect.commands", "kbisect") for line in lines]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    made = Clone(tmp_path)
    monkeypatch.setattr(checkout, "_ROOT", tmp_path)
    monkeypatch.setattr(checkout, "_VENV", tmp_path / ".venv")
    monkeypatch.setattr(sys, "executable", str(made.python))
    monkeypatch.delenv("KBISECT_TEST_SOURCE", raising=False)
    monkeypatch.chdir(tmp_path)
    return made


def test_the_demo_installs_its_kernel_source(clone: Clone) -> None:
    assert start.main(["demo"]) == 0
    venv, pip, *rest = clone.asked
    assert venv.startswith("venv ")
    assert pip.endswith(f"-e {clone.path}")
    assert rest == ["kbisect setup --yes --demo", "kbisect demo"]
    start.main(["demo", "--", "--tarball", "x"])  # pytest's argument
    assert clone.asked == ["kbisect setup --yes --demo", "kbisect demo -- --tarball x"]


@pytest.mark.parametrize("words", [["--tarball", "linux"], ["--tarball=linux"], ["--tree", "linux"]])
def test_a_source_of_ones_own_is_enough(clone: Clone, words: list[str]) -> None:
    clone.touch("linux")
    assert start.main(["demo", *words, "--", "-n", "2"]) == 0
    assert clone.asked[2:] == ["kbisect setup --yes", f"kbisect demo {' '.join(words)} -- -n 2"]


def test_a_source_that_is_not_there_is_said_first(
    clone: Clone, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start.main(["demo", "--tarball", "nowhere.tar.xz"]) == 4
    assert capsys.readouterr() == ("", "kbisect: nowhere.tar.xz: no such file or folder\n")
    monkeypatch.setenv("KBISECT_TEST_SOURCE", "nowhere")
    assert start.main(["test"]) == 4
    assert not clone.asked


def test_the_demo_ends_where_the_setup_fails(clone: Clone) -> None:
    clone.touch("no-setup")
    assert start.main(["demo"]) == 4
    assert "kbisect demo" not in clone.asked


@pytest.mark.parametrize("words", [["demo", "--help"], ["--version"], ["-h"]])
def test_help_needs_no_environment(clone: Clone, words: list[str]) -> None:
    assert start.main(words) == 0
    assert not clone.asked


def test_help_imports_nothing_that_is_to_be_installed() -> None:
    code = "import sys; from pytest_kbisect.commands import main; main(['demo', '--help']); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.rpartition("[")[2]
    assert not [
        name
        for name in ("pytest", "git", "paramiko", "elftools", "filelock", "numpy")
        if f"'{name}'" in loaded
    ]


def test_the_tests_take_the_source_of_the_environment(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start.main(["test"]) == 0
    _, pip, *rest = clone.asked
    assert pip.endswith("[dev]")
    assert [line.partition(" -")[0] for line in rest[1:]] == [
        "ruff check .",
        "ruff format",
        "mypy",
        *["pytest"] * 3,
    ]
    assert rest[0] == "kbisect setup --yes --demo"
    assert capsys.readouterr().out.splitlines()[-1] == "kbisect: all 7 steps passed"
    clone.touch("linux")
    monkeypatch.setenv("KBISECT_TEST_SOURCE", "linux")
    start.main(["test", "-k", "name"])
    first, *_, last = clone.asked
    assert (first, last) == ("kbisect setup --yes", "pytest -k name")


def test_pip_is_heard_only_if_it_fails(clone: Clone, capfd: pytest.CaptureFixture[str]) -> None:
    clone.touch("broken")
    assert start.main(["setup"]) == 4
    said = capfd.readouterr()
    assert "WARNING: chatter of pip" in said.out
    assert said.err.startswith("kbisect: pip failed (exit status 1), its output is above. The command was: ")
    assert len(said.err.splitlines()) == 1
    (clone.path / "broken").unlink()
    clone.asked.clear()
    assert start.main(["setup"]) == 0
    assert "chatter" not in capfd.readouterr().out
    assert clone.asked[-1] == "kbisect setup"


def test_the_environment_is_made_once(clone: Clone) -> None:
    start.main(["crash"])
    start.main(["crash"])
    assert [line.split()[0] for line in clone.asked] == ["venv", "pip", "kbisect", "kbisect"]
    (clone.path / ".venv/bin/python").unlink()  # as after an upgrade of the distribution
    start.main(["crash"])
    assert [line.split()[0] for line in clone.asked] == ["venv", "pip", "kbisect"]
    start.main(["test", "-q"])  # needs more packages, in the same environment
    assert [line.split()[0] for line in clone.asked][:2] == ["pip", "kbisect"]


def test_a_python_without_venv_leads_to_its_package(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clone.python.write_text("#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    apt_get = tmp_path / "apt-get"
    apt_get.write_text(f'#!/bin/sh\necho apt-get "$@" >>{clone.log}\n')
    apt_get.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert start.main(["demo"]) == 4  # the fake installs nothing
    name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert clone.asked[-1].endswith(f"install --yes --no-install-recommends {name}")
    monkeypatch.setattr(checkout.shutil, "which", lambda _: None)
    assert start.main(["demo"]) == 4
    assert "lacks the modules venv and ensurepip: install them" in capsys.readouterr().err


def test_an_old_python_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    assert start.main(["demo"]) == 4
    assert capsys.readouterr().err == (
        "kbisect: this is Python 3.10.12, and 3.11 or newer is needed: install one, for example python3.11, and"
        " run: python3.11 -m pytest_kbisect demo\n"
    )


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py"])
def test_old_pythons_can_read_what_says_so(name: str) -> None:
    """No annotations, f-strings or `from __future__ import annotations`, which Python 2.7 or 3.6 lack."""
    tree = ast.parse((PACKAGE / name).read_text(), feature_version=(3, 4))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.JoinedStr | ast.AnnAssign)
        assert not getattr(node, "annotation", None)
        assert not getattr(node, "returns", None)
        assert not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
