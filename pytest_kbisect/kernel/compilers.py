"""Which kernels a compiler and a linker can build.

A tool that is too old is recognized by the tree's own words: scripts/min-tool-version.sh (since v5.13),
before that the table of Documentation/process/changes.rst. One that is too new is recognized by the sources
it is known to break, not by their version: stable trees have the repairs too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_kbisect.arch import DEFAULT, Architecture
from pytest_kbisect.arch.architecture import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kbisect.arch.architecture import ToolName, Version

_NUMBER = re.compile(r"\d+(?:\.\d+)+")
_NAMES = {"gcc": ("gcc", "GNU C"), "ld": ("binutils", "binutils")}
"""What the script and the table call them."""


TROUBLES = (
    Trouble(
        "gcc",
        (6,),
        (4, 9),
        "8ae94224c9d7",  # distributions configure gcc 6 and later with --enable-default-pie
        "Makefile",
        re.compile(rb"(?s)\A(?!.*-fno-(pie|PIE))"),
        "the kernel is not compiled as position-independent code, and this gcc makes that by default",
    ),
    Trouble(
        "gcc",
        (12,),
        (5, 17),
        "52a9dab6d892",
        "tools/lib/subcmd/subcmd-util.h",
        re.compile(rb"realloc\(ptr, 1\)"),
        "objtool does not compile (-Werror=use-after-free in subcmd-util.h)",
    ),
    Trouble(
        "ld",
        (2, 36),
        (5, 11),
        "1d489151e9f9",  # binutils' own change is d1bcae833b32
        "tools/objtool/elf.c",
        re.compile(rb'WARN\("missing symbol table"\)'),
        "objtool refuses objects without symbols, which this assembler writes",
    ),
    Trouble(
        "gcc",
        (10,),
        (5, 7),
        "a9a3ed1eff36",
        "init/main.c",
        re.compile(rb"(?s)\A(?!.*prevent_tail_call_optimization)"),
        "with CONFIG_STACKPROTECTOR the kernel panics while it boots",
        fatal=False,
    ),
)

"""On all architectures."""

_MINIMUM_GCC: tuple[tuple[Version, Version], ...] = (((5, 15), (5, 1)), ((6, 16), (8, 1)))
"""(kernel, the oldest gcc from there on): 76ae847497bc and 118c40b7b503. For when no tree is at hand."""


def version_of(line: str) -> Version:
    """The version in a line of `gcc --version` or `ld --version`; empty if there is none.

    The last number is the tool's own, those before it are the distribution's.
    """
    found = _NUMBER.findall(line)
    return tuple(int(part) for part in found[-1].split(".")[:3]) if found else ()


def written(version: Version) -> str:
    """A version as people write it."""
    return ".".join(str(part) for part in version)


def minimum(tool: ToolName, read: Callable[[str], bytes | None]) -> Version:
    """The oldest version of a tool that a tree accepts; empty where the tree does not say.

    `read` gives the contents of a file of the tree, None if there is no such file.
    """
    script, table = _NAMES[tool]
    if text := read("scripts/min-tool-version.sh"):
        case = re.search(
            rf"^{script}\)$(.*?)^\s*;;", text.decode("utf-8", "replace"), re.MULTILINE | re.DOTALL
        )
        # Branches for other architectures come first.
        return version_of(" ".join(re.findall(r"echo ([\d.]+)", case[1])[-1:])) if case else ()
    text = read("Documentation/process/changes.rst") or read("Documentation/Changes") or b""
    row = re.search(
        rf"^(?:o\s+)?{table}\s+(\d[\d.]*)", text.decode("utf-8", "replace"), re.MULTILINE | re.IGNORECASE
    )
    return version_of(row[1]) if row else ()


def known_troubles(architecture: Architecture = DEFAULT) -> tuple[Trouble, ...]:
    """What is known of any tool."""
    return (*TROUBLES, *architecture.compiler_troubles)


def troubles(
    tool: ToolName,
    version: Version,
    read: Callable[[str], bytes | None],
    architecture: Architecture = DEFAULT,
) -> list[Trouble]:
    """What is known to go wrong when this version of a tool builds this tree."""
    return [
        trouble
        for trouble in known_troubles(architecture)
        if trouble.tool == tool
        and version >= trouble.since
        and (text := read(trouble.path)) is not None
        and trouble.sign.search(text)
    ]


def oldest_kernel(gcc: Version, ld: Version, architecture: Architecture = DEFAULT) -> Version:
    """The oldest mainline kernel without a fatal trouble; empty where no trouble is known."""
    versions = {"gcc": gcc, "ld": ld}
    return max(
        (
            known.repaired
            for known in known_troubles(architecture)
            if known.fatal and versions[known.tool] >= known.since
        ),
        default=(),
    )


def first_refused(gcc: Version) -> Version:
    """The first mainline kernel for which this gcc is too old; empty where there is none."""
    return next((kernel for kernel, needed in _MINIMUM_GCC if gcc < needed), ())
