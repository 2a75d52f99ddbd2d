"""repeat.sh made for a kernel with the bug of repro/tun_napi_frags.c, and started as somebody would."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pytest_kbisect import needs
from pytest_kbisect.reports import repeat
from pytest_kbisect.reports.report_model import ReportModel
from pytest_kbisect.reports.result import Result
from pytest_kbisect.reproducer_kinds import BUILT_IN, kind_of, prepare

SOURCE = Path(__file__).parent.parent.parent / "repro" / "tun_napi_frags.c"


def repeated(kernel: Path, folder: Path, programs: Path, *, image: str = "") -> str:
    """What it says."""
    kind = kind_of(SOURCE, BUILT_IN)
    assert kind
    made = prepare(SOURCE, kind, programs)
    program = repeat.Program(SOURCE.name, made, needs.from_source(SOURCE.read_text(), SOURCE.name))
    crash = "WARNING in pskb_expand_head"
    found = Result(kind="culprit", range=("a", "b"), culprit="c", crash=crash, image=image)
    folder.mkdir()
    repeat.write(ReportModel(folder, found), [program], kernel)
    done = subprocess.run(
        ["sh", folder / "repeat.sh"], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=True
    )
    return done.stdout.decode("utf-8", "replace")
