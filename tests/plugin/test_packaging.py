"""What is shipped: a wheel that works outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    return folder


def test_the_wheel_works_outside_the_checkout(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path)
    assert "pytest_kbisect/guest/init.sh" in names
    assert "pytest_kbisect/kernel/fragments/guest.config" in names
    assert "pytest_kbisect/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "repro/"))]
    source = (tmp_path / "pytest_kbisect" / "demo" / "tun_napi_frags.c").read_text()
    assert source == (ROOT / "repro" / "tun_napi_frags.c").read_text()
    (tmp_path / "repro").mkdir()
    (tmp_path / "repro" / "mine.sh").write_text("true\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "pytest_kbisect.plugin",
            "--collect-only",
            "-q",
            "--kbisect-runs=1",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "repro/mine.sh::mine[run0]" in done.stdout


def test_the_sdist_holds_what_the_tests_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        *("README.md", "LICENSE", "CHANGELOG.md", "conftest.py"),
        *("docs/index.md", "repro/tun_napi_frags.c"),
    } <= names


def test_type_checkers_read_the_annotations_of_the_installed_package(built: Path, tmp_path: Path) -> None:
    """mypy ignores those of a package without py.typed, and takes all of its names for Any."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "mine.py").write_text(
        "from pytest_kbisect.errors import ExitCode\nreveal_type(ExitCode.FOUND)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "mine.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": "", "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "pytest_kbisect.errors.ExitCode" in done.stdout, done.stdout
