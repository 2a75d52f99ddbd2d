"""repeat.sh on a real kernel: started by hand it shows the crash, and ends."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_kbisect import needs
from pytest_kbisect.programs import compile_static
from pytest_kbisect.reports import repeat
from pytest_kbisect.reports.result import Result
from pytest_kbisect.reports.story import Story

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.guest
def test_it_shows_the_crash_once(buggy_kernel, tmp_path) -> None:
    source = ROOT / "repro" / "tun_napi_frags.c"
    executable = compile_static(source, tmp_path / "programs")
    program = repeat.Program(executable.name, executable, needs.from_source(source.read_text(), source.name))
    found = Result(kind="culprit", range=("a", "b"), culprit="c", crash="WARNING in pskb_expand_head")
    results = tmp_path / "results with a blank"
    results.mkdir()
    busybox = Path(shutil.which("busybox") or "")
    repeat.write(Story(results, found), [program], buggy_kernel.image, busybox)
    done = subprocess.run(
        ["sh", results / "repeat.sh"], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True
    )
    said = done.stdout.decode("utf-8", "replace")
    assert said.count("WARNING: CPU:") == 1, said[-3000:]
    assert "pskb_expand_head+0x" in said
    assert "repeat.sh: tun_napi_frags ended" in said
    assert "repeat.sh: done" in said
