"""The kernel signature: a hash of what the built image loads. Equal signature, same kernel.

SHA-256 over the SHA-256 of each section of vmlinux that is loaded and has bytes in the file, in file
order: debug information, symbol tables and notes (the build id) do not count. It is the formula of
syzkaller since June 2022, so that signatures in its logs can be compared.

What would differ between two builds of the same code and is kept equal:

    when, where, by whom    KBUILD_BUILD_TIMESTAMP, _VERSION, _USER, _HOST (toolchain)
    which commit            LOCALVERSION empty, LOCALVERSION_AUTO off, SUBLEVEL and EXTRAVERSION fixed
    __FILE__                an O= folder inside the tree: kbuild strips `../`, and no path is absolute
    the build id            a note, which does not count
    debug information, BTF  off; BTF would be loaded with the image
    the .config             IKCONFIG off: symbols of no consequence come with every commit
    keys and certificates   MODULE_SIG off, no trusted keys
    random seeds            RANDSTRUCT and the latent entropy plugin off
    headers                 IKHEADERS off

What cannot be helped:

    __LINE__                WARN and BUG keep line numbers in __bug_table (CONFIG_DEBUG_BUGVERBOSE), lockdep,
                            might_sleep() and dynamic debug in data of theirs. A comment that moves such a
                            line gives another signature, and another kernel as far as its messages go.
    __func__, texts         a renamed function or a reworded message is loaded, whether it is ever shown
    kallsyms                names and addresses of all functions: one that grows moves all behind it
    VERSION, PATCHLEVEL     a C library may refuse a kernel that looks too old
    the compiler            its version is in the banner, and code is what it makes of it
    GCOV                    stamps its counters with what the compiler drew; ask for it and no two are equal
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
