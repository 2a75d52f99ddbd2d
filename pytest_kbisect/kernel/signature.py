"""The kernel signature: a hash of what the built image loads. Equal signature, same kernel.

SHA-256 over the SHA-256 of each section of vmlinux that is loaded and has bytes in the file, in file
order: debug information, symbol tables and notes (the build id) do not count. It is the formula of
syzkaller since June 2022, except that numbers of source lines are zero where they can be named exactly
(see lines): a commit that only moves lines gives the same kernel.

What would differ between two builds of the same code and is kept equal:

    when, where, by whom    KBUILD_BUILD_TIMESTAMP, _VERSION, _USER, _HOST (toolchain)
    which commit            LOCALVERSION empty, LOCALVERSION_AUTO off, SUBLEVEL and EXTRAVERSION fixed
    __FILE__                an O= folder inside the tree: kbuild strips `../`, and no path is absolute
    __LINE__                zero in the tables of lines, in calls that the architecture knows, and in texts
    the build id            a note, which does not count
    debug information, BTF  off; BTF would be loaded with the image
    the .config             IKCONFIG off: symbols of no consequence come with every commit
    keys and certificates   MODULE_SIG off, no trusted keys
    random seeds            RANDSTRUCT and the latent entropy plugin off
    headers                 IKHEADERS off

What cannot be helped:

    __LINE__ elsewhere      an argument of any other function (ext4_journal_start() passes one, a message that
                            begins with __func__ often prints one), a text with the number in it that gets a
                            digit more, a name that has it (initcalls, in kallsyms with KALLSYMS_ALL)
    __func__, texts         a renamed function or a reworded message is loaded, whether it is ever shown
    kallsyms                names and addresses of all functions: one that grows moves all behind it
    VERSION, PATCHLEVEL     a C library may refuse a kernel that looks too old
    the compiler            its version is in the banner, and code is what it makes of it
    modules                 numbers in calls and texts: in a module only those of the bug table are zero
    GCOV                    stamps its counters with what the compiler drew; ask for it and no two are equal
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from pytest_kbisect.arch import DEFAULT

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.kernel.build import Built

FORMAT: Final = 3
"""Part of store keys and journals. Raise it when a vmlinux would get another signature than before."""


def of_build(built: Built, architecture: Architecture = DEFAULT) -> str:
    """The signature of a kernel, 64 hex digits: of its vmlinux alone, or with its modules."""
    own = of_vmlinux(built.files["vmlinux"], architecture)
    if built.modules is None:
        return own
    from pytest_kbisect.kernel.relocatable import Relocatable

    digest = hashlib.sha256(own.encode())
    for name, path in sorted(built.modules.objects.items()):
        digest.update(f"{name}\0{Relocatable.of(path).digest()}\0".encode())
    return digest.hexdigest()


def of_vmlinux(vmlinux: Path, architecture: Architecture = DEFAULT) -> str:
    """The signature of a vmlinux, 64 hex digits."""
    from pytest_kbisect.kernel import lines
    from pytest_kbisect.kernel.loaded import Loaded

    loaded = Loaded.of(vmlinux)
    lines.clear(loaded, architecture)
    digest = hashlib.sha256()
    for section in loaded.sections:
        digest.update(hashlib.sha256(section.data).digest())
    return digest.hexdigest()
