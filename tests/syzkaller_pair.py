"""A small pair of programs that stands in for a built syzkaller: see tests/stand_in_syzkaller."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "stand_in_syzkaller"
TUN = SOURCES / "tun_frags.syz"
REVISION = "0123456789abcdef0123456789abcdef01234567"


def build(folder: Path, *, old: bool = False, static: bool = True, flags: tuple[str, ...] = ()) -> Path:
    """Lay it out as syzkaller's Makefile does; returns the folder. `old`: as before September 2021."""
    place = folder / "bin" / "linux_amd64"
    place.mkdir(parents=True, exist_ok=True)
    words = ["-O1", "-w", *(["-static"] if static else []), *(["-DOLD"] if old else []), *flags]
    for name, target in (
        ("execprog", place / "syz-execprog"),
        ("executor", place / "syz-executor"),
        ("prog2c", folder / "bin" / "syz-prog2c"),
    ):
        subprocess.run(["gcc", *words, "-o", target, SOURCES / f"{name}.c"], check=True)
    return folder
