"""What is shipped: a wheel that works outside the checkout, and a README that tells what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from pytest_kbisect import needs, options
from pytest_kbisect.bisection.strategy import AnswerKind
from pytest_kbisect.errors import ExitCode
from pytest_kbisect.reports.result import Result

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()


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
    assert {"README.md", "LICENSE", "CHANGELOG.md", "conftest.py", "repro/tun_napi_frags.c"} <= names


def test_readme_tells_every_option_with_its_default() -> None:
    for option in options.OPTIONS:
        row = re.search(
            rf"^\| `{option.flag}{'' if option.switch else ' [^`]+'}` \|.*\| *(.*?) *\|$",
            README,
            re.MULTILINE,
        )
        assert row, option.flag
        if isinstance(option.default, int | float | str) and option.default:
            assert (
                f"{option.default:g}" in row[1]
                if not isinstance(option.default, str)
                else option.default in row[1]
            )


def test_readme_tells_every_exit_code() -> None:
    for code in ExitCode:
        assert re.search(rf"^\| {int(code)} \| ", README, re.MULTILINE), code


def test_readme_tells_every_key_of_the_result() -> None:
    schema = README.partition("### result.json")[2].partition("###")[0]
    told = set(re.findall(r"`([a-z_]+)`", schema))
    assert set(Result.__dataclass_fields__) | {"schema", "versions"} <= told
    ends = set(AnswerKind) - {AnswerKind.GOOD_RELEASE}  # which is where a search begins
    assert {kind.value for kind in ends} <= set(re.findall(r"`([a-z-]+)`", schema))


def test_readme_tells_everything_a_reproducer_can_say() -> None:
    header = README.partition("```c\n")[2].partition("```")[0]
    said = needs.from_source(re.sub(r" {2,}.*$", "", header, flags=re.MULTILINE), "README.md")
    assert all(getattr(said, key) for key in said.__slots__), said
