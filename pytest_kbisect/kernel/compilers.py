"""Which kernels a compiler and a linker can build.

A tool that is too old is recognized by the tree's own words: scripts/min-tool-version.sh (since v5.13),
before that the table of Documentation/process/changes.rst. One that is too new is recognized by the sources
it is known to break (see remedies).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kbisect.arch import DEFAULT, Architecture
from pytest_kbisect.kernel import remedies

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pytest_kbisect.arch.trouble import ToolName, Trouble, Version

_NUMBER = re.compile(r"\d+(?:\.\d+)+")
_NAMES: Final[dict[ToolName, tuple[str, str]]] = {
    "gcc": ("gcc", "GNU C"),
    "clang": ("llvm", r"Clang/LLVM(?:\s+\(optional\))?"),
    "ld": ("binutils", "binutils"),
}
"""What the script and the table call them."""

_MINIMUM_GCC: tuple[tuple[Version, Version], ...] = (((5, 15), (5, 1)), ((6, 16), (8, 1)))
"""(kernel, the oldest gcc from there on): 76ae847497bc and 118c40b7b503. For when no tree is at hand."""


def version_of(line: str) -> Version:
    """The version in a line of --version of gcc, ld or clang; empty if there is none.

    The last number is the tool's own, those before it are the distribution's; clang's follows its name.
    """
    clang = re.search(r"\b(?:clang version|LLD) (\d+(?:\.\d+)+)", line)
    found = [clang[1]] if clang else _NUMBER.findall(line)
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


def troubles(
    versions: Mapping[ToolName, Version],
    read: Callable[[str], bytes | None],
    architecture: Architecture = DEFAULT,
    symbols: Collection[str] | None = None,
) -> list[Trouble]:
    """What is known to go wrong when these tools build this tree.

    `symbols` are those of the configuration that are on; None: any may be.
    """
    return [
        trouble
        for trouble in possible(versions, architecture, symbols)
        if (text := read(trouble.path)) is not None and trouble.sign.search(text)
    ]


def possible(
    versions: Mapping[ToolName, Version], architecture: Architecture, symbols: Collection[str] | None = None
) -> list[Trouble]:
    """What may go wrong with these tools in some tree."""
    return [
        trouble
        for trouble in remedies.known(architecture)
        if (not trouble.tool or versions.get(trouble.tool, ()) >= trouble.since > ())
        and (symbols is None or all(symbol in symbols for symbol in trouble.symbols))
    ]


def too_old(
    versions: Mapping[ToolName, Version], read: Callable[[str], bytes | None]
) -> dict[ToolName, Version]:
    """The tools that are too old for a tree, each with the version that it wants."""
    return {
        tool: needed
        for tool in _NAMES
        if tool in versions and versions[tool] < (needed := minimum(tool, read))
    }


def oldest_kernel(
    versions: Mapping[ToolName, Version], architecture: Architecture = DEFAULT, *, remedied: bool = False
) -> Version:
    """The oldest mainline kernel that these tools build; empty where no trouble is known.

    `remedied`: with remedies.
    """
    return max(
        (
            trouble.repaired
            for trouble in possible(versions, architecture)
            if trouble.fatal and not (remedied and trouble.remedies)
        ),
        default=(),
    )


def first_refused(gcc: Version) -> Version:
    """The first mainline kernel for which this gcc is too old; empty where there is none."""
    return next((kernel for kernel, needed in _MINIMUM_GCC if gcc < needed), ())
