"""The kernel signature: a hash of what the built image loads. Equal signature, same kernel.

SHA-256 over the SHA-256 of each section of vmlinux that is loaded and has bytes in the file, in file
order: debug information, symbol tables and notes (the build id) do not count. It is the formula of
syzkaller since June 2022, so that signatures in its logs can be compared.

What the formula cannot forgive: __LINE__. WARN and BUG keep their line numbers in __bug_table
(CONFIG_DEBUG_BUGVERBOSE), lockdep, might_sleep() and dynamic debug in data of theirs; a comment that
moves such a line gives another signature, and another kernel as far as its messages go.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SHF_ALLOC = 0x2  # include/uapi/linux/elf.h


def of_vmlinux(vmlinux: Path) -> str:
    """The signature of a vmlinux, 64 hex digits."""
    from elftools.elf.elffile import ELFFile

    whole = hashlib.sha256()
    with vmlinux.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            header = section.header
            if header.sh_flags & _SHF_ALLOC and header.sh_type not in {"SHT_NOBITS", "SHT_NOTE"}:
                whole.update(hashlib.sha256(section.data()).digest())
    return whole.hexdigest()
