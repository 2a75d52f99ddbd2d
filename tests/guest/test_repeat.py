"""repeat.sh on a real kernel: started by hand it shows the crash, and ends."""

from __future__ import annotations

import by_hand
import pytest


@pytest.mark.guest
def test_it_shows_the_crash_once(buggy_kernel, tmp_path) -> None:
    said = by_hand.repeated(buggy_kernel.image, tmp_path / "results with a blank", tmp_path / "programs")
    assert said.count("WARNING: CPU:") == 1, said[-3000:]
    assert "pskb_expand_head+0x" in said
    assert "repeat.sh: tun_napi_frags.c ended" in said
    assert "repeat.sh: done" in said
