"""Kernels that somebody else built, bisected without building anything."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from test_reproducers import ROOT, kbisect

from pytest_kbisect.kernel import config
from pytest_kbisect.kernel.provide import provide
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree


@pytest.mark.guest
def test_the_first_bad_package_is_found(
    linux_clone, buggy_kernel, configuration, real_cache, tmp_path
) -> None:
    tree, request = LinuxTree(linux_clone.path, real_cache), config.request([configuration])
    with provide(
        tree, linux_clone.demo.good, request, jobs=os.cpu_count() or 1, rules=BuildRules(10 << 30)
    ) as good:
        for number, kernel in enumerate((good, good, good, buggy_kernel, buggy_kernel)):
            place = tmp_path / "kernels" / f"6.1.{number}"
            place.mkdir(parents=True)
            shutil.copy(kernel.image, place / "bzImage")
            shutil.copy(kernel.config, place / "config")
    reproducer = ROOT / "pytest_kbisect" / "demo" / linux_clone.demo.reproducer
    done = kbisect(
        *(str(reproducer), "--kbisect-prebuilt=kernels", "--kbisect-range=v6.1.0..v6.1.4"),
        "--kbisect-dir=result",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads((tmp_path / "result" / "result.json").read_text())
    assert answer["title"] == "6.1.3: 6.1.3"
    assert "kernel packages have no debug information" in done.stdout
