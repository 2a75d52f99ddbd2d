"""Three of the demo's commits do not build and one does not boot, whatever kernel they are made on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from junitparser import JUnitXml, Properties

from pytest_kbisect import properties

ROOT = Path(__file__).parent.parent.parent


def outcome(linux, commit: str, configuration: Path, folder: Path) -> str:
    xml = folder / f"{commit}.xml"
    words = [
        str(ROOT / "repro" / linux.demo.reproducer),
        f"--kbisect-kernel={linux.path}",
        f"--kbisect-commit={commit}",
        f"--kbisect-config={configuration}",
        "--kbisect-runs=1",
        f"--junitxml={xml}",
    ]
    subprocess.run([sys.executable, "-m", "pytest", *words], cwd=folder, capture_output=True, check=False)
    (case,) = [case for suite in JUnitXml.fromfile(str(xml)) for case in suite]
    return {item.name: item.value for item in case.child(Properties)}[properties.OUTCOME]


@pytest.mark.kernel
def test_they_do_not_build_and_their_repairs_do(linux_clone, configuration, tmp_path) -> None:
    line = linux_clone.git("rev-list", "--first-parent", linux_clone.demo.bad).split()
    for commit in linux_clone.demo.unbuildable:
        assert outcome(linux_clone, commit, configuration, tmp_path) == "build-failed"
        child = line[line.index(commit) - 1]
        if child not in linux_clone.demo.unbuildable:
            assert outcome(linux_clone, child, configuration, tmp_path) == "ok"


@pytest.mark.kernel
def test_it_does_not_boot_and_its_repair_does(linux_clone, configuration, tmp_path) -> None:
    line = linux_clone.git("rev-list", "--first-parent", linux_clone.demo.bad).split()
    (commit,) = linux_clone.demo.unbootable
    assert outcome(linux_clone, commit, configuration, tmp_path) == "boot-failed"
    assert outcome(linux_clone, line[line.index(commit) - 1], configuration, tmp_path) == "crashed"
