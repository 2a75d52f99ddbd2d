"""Disassembles the `Code:` line of a report and marks the trapping instruction, like scripts/decodecode."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from typing import Final

from pytest_kbisect import process
from pytest_kbisect.arch.x86_64 import X86_64

_CODE: Final = re.compile(
    r"\bCode: (?P<before>(?:[0-9a-f]{2} ){0,128})<(?P<first>[0-9a-f]{2})>(?P<after>(?: [0-9a-f]{2}){0,128})\s*$"
)
_INSTRUCTION: Final = re.compile(r"^\s*(?P<at>[0-9a-f]+):\t(?P<bytes>[^\t]*)\t?(?P<text>.*)$")
_SECONDS: Final = 10.0


def disassemble(line: str) -> list[str]:
    """The instructions around the trapping one of an x86-64 `Code:` line; none if objdump is missing.

    The `Code:` line may begin in the middle of an instruction. Disassembly starts at the earliest byte from
    which the instructions line up with the trapping one.
    """
    found = _CODE.search(line)
    objdump = shutil.which("objdump")
    if found is None or objdump is None:
        return []
    before = bytes.fromhex(found["before"])
    trap = bytes.fromhex(found["first"] + found["after"])
    for skip in range(min(16, len(before) + 1)):
        listing = _run(objdump, before[skip:] + trap)
        at = len(before) - skip
        if any(offset == at for offset, _ in listing):
            return [
                "Code disassembly (best guess):",
                *(f"{'*' if offset == at else ' '}{text}" for offset, text in listing),
            ]
    return []


def _run(objdump: str, code: bytes) -> list[tuple[int, str]]:
    with tempfile.NamedTemporaryFile(prefix="kbisect-code-") as file:
        file.write(code)
        file.flush()
        try:
            output = process.run(
                [objdump, "-D", "-b", "binary", "-m", X86_64.objdump_machine, file.name],
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return []
    listing = []
    for line in output.decode("utf-8", "replace").splitlines():
        found = _INSTRUCTION.match(line)
        if found is not None and found["text"]:
            listing.append((int(found["at"], 16), line))
    return listing
