"""The kernel's own lines of a console, as they were before printk put the time before them."""

from __future__ import annotations

import re
from typing import Final

_STAMP: Final = re.compile(r"^(?:<\d{1,3}>)?\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?")
_OWN: Final = re.compile(r"^kbisect: ")
"""What the guest's init and the end of a run print."""


def kernel_lines(console: str) -> list[str]:
    """The lines that the kernel has printed, without their time; indentation is kept.

    A console without times (CONFIG_PRINTK_TIME is not set) has all of its lines.
    """
    lines = [line.rstrip("\r") for line in console.split("\n")]
    stamped = [line[found.end() :] for line in lines if (found := _STAMP.match(line))]
    return [line for line in stamped or lines if not _OWN.match(line)]
