"""Translates addresses of a kernel image or module into source locations, including inlined functions.

llvm-symbolizer is preferred: it reads only the compile units that it needs. addr2line from binutils is used
if llvm-symbolizer is not installed, and for modules, because only addr2line accepts a section name.
pyelftools, which does not resolve inlining, is used if neither is installed. One process handles all
addresses of a file.
"""

from __future__ import annotations

import posixpath
import shutil
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_kbisect import process

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_SECONDS: Final = 120.0
_NOWHERE: Final = frozenset({"??", ""})


class Place(NamedTuple):
    """A function and a location in its source."""

    function: str
    path: str
    line: int


def locate(image: Path, addresses: Sequence[int], section: str = "") -> dict[int, tuple[Place, ...]]:
    """The places of each address: inlined functions first, the function itself last.

    Addresses without a place are omitted. `section`: the addresses are offsets into this section of a
    relocatable file (a module).
    """
    wanted = sorted(set(addresses))
    if not wanted:
        return {}
    symbolizer = shutil.which("llvm-symbolizer")
    if symbolizer and not section:
        return _ask_llvm(symbolizer, image, wanted)
    addr2line = shutil.which("addr2line")
    if addr2line:
        return _ask_binutils(addr2line, image, wanted, section)
    return _ask_pyelftools(image, wanted) if not section else {}


def _ask_llvm(program: str, image: Path, addresses: Sequence[int]) -> dict[int, tuple[Place, ...]]:
    command = [program, f"--obj={image}", "--inlines", "--functions=linkage", "--no-demangle"]
    output = process.run(command, stdin=_hexadecimal(addresses), timeout=_SECONDS, check=False)
    answers = output.decode("utf-8", "replace").split("\n\n")
    return _collect(zip(addresses, (answer.split("\n") for answer in answers), strict=False))


def _ask_binutils(
    program: str, image: Path, addresses: Sequence[int], section: str
) -> dict[int, tuple[Place, ...]]:
    command = [program, "-a", "-f", "-i", "-e", str(image), *(["-j", section] if section else [])]
    output = process.run(command, stdin=_hexadecimal(addresses), timeout=_SECONDS, check=False)
    answers: list[tuple[int, list[str]]] = []
    for line in output.decode("utf-8", "replace").split("\n"):
        if line.startswith("0x"):
            answers.append((int(line, 16), []))
        elif answers and line:
            answers[-1][1].append(line)
    return _collect(answers)


def _ask_pyelftools(image: Path, addresses: Sequence[int]) -> dict[int, tuple[Place, ...]]:
    from elftools.elf.elffile import ELFFile

    found: dict[int, tuple[Place, ...]] = {}
    with image.open("rb") as file:
        elf = ELFFile(file)
        if not elf.has_dwarf_info():
            return {}
        dwarf = elf.get_dwarf_info()
        ranges = dwarf.get_aranges()
        for address in addresses:
            offset = ranges.cu_offset_at_addr(address) if ranges else None
            if offset is None:
                continue
            program = dwarf.line_program_for_CU(dwarf.get_CU_at(offset))
            place = _line_of(program, address) if program else None
            if place is not None:
                found[address] = (place,)
    return found


def _line_of(program: object, address: int) -> Place | None:
    """The row of a line number program that covers an address, as a place."""
    before = None
    for entry in program.get_entries():  # type: ignore[attr-defined]
        state = entry.state
        if state is None:
            continue
        if before is not None and before.address <= address < state.address:
            header = program.header  # type: ignore[attr-defined]
            first = 0 if header.version >= 5 else 1
            names = header.file_entry[before.file - first]
            directory = header.include_directory[names.dir_index - first] if names.dir_index >= first else b""
            return Place("", posixpath.join(directory.decode(), names.name.decode()), before.line)
        before = None if state.end_sequence else state
    return None


def _hexadecimal(addresses: Iterable[int]) -> bytes:
    return "".join(f"{address:#x}\n" for address in addresses).encode()


def _collect(answers: Iterable[tuple[int, list[str]]]) -> dict[int, tuple[Place, ...]]:
    """Parse answers. Each is pairs of lines: a function, then file:line or file:line:column."""
    found = {}
    for address, lines in answers:
        places = tuple(_places([line for line in lines if line]))
        if places:
            found[address] = places
    return found


def _places(lines: Sequence[str]) -> Iterator[Place]:
    for function, where in zip(lines[::2], lines[1::2], strict=False):
        path, _, number = where.partition(" (discriminator")[0].rpartition(":")
        head, _, last = path.rpartition(":")
        if head and last.isdigit():  # llvm's column
            path, number = head, last
        if path not in _NOWHERE and number.isdigit() and int(number):
            yield Place(function, posixpath.normpath(path), int(number))
