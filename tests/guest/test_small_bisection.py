"""A bisection whose guests boot real kernels that are stored: its history says which commit has which."""

from __future__ import annotations

from pathlib import Path

import pytest
from miniature import MAIN
from whole import Place

from pytest_kbisect.errors import ExitCode

pytestmark = pytest.mark.guest

REPRODUCER = Path(__file__).parent.parent.parent / "repro" / "tun_napi_frags.c"


def test_a_small_bisection(sound_kernel, buggy_kernel, accelerated, tmp_path):
    place = Place(tmp_path)
    commits = []
    for number, kernel in enumerate([sound_kernel, sound_kernel, buggy_kernel, buggy_kernel]):
        # The image is the kernel that boots; main.c makes each commit another one for the store.
        (place.linux.path / "scripts" / "image").write_bytes(kernel.image.read_bytes())
        place.linux.git("add", "-f", "scripts/image")
        text = MAIN.replace("42", str(100 + number))
        commits.append(place.linux.commit(f"commit {number}", {"init/main.c": text}))
    done = place.pytest(
        f"--kbisect-range={commits[0]}..{commits[-1]}",
        "--kbisect-dir=result",
        f"--kbisect-accel={accelerated['accelerator']}",
        str(REPRODUCER),
        played=False,
    )
    assert done.code == ExitCode.FOUND, done.out[-5000:] + done.err[-2000:]
    assert place.result()["culprit"] == commits[2]
    assert "WARNING in pskb_expand_head" in done.out
