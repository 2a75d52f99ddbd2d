"""What a module loads: its sections, and the relocations that the kernel applies to them when it is loaded.

Calls in a module are relocations: one that calls another function differs in nothing else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from pytest_kbisect.kernel import lines

if TYPE_CHECKING:
    from pathlib import Path

_SHF_ALLOC: Final = 0x2  # include/uapi/linux/elf.h
_RELA: Final = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])

Relocation = tuple[int, int, int, str, int]
"""Offset, type and addend; the symbol's name, or its section's with the symbol's value."""


@dataclass(frozen=True, slots=True)
class Part:
    """A section that is loaded, and what is filled in when it is."""

    name: str
    data: bytearray
    relocations: tuple[Relocation, ...]


@dataclass(frozen=True, slots=True)
class Relocatable:
    """The loaded sections of a relocatable ELF file of 64 bits, in file order; notes are left out."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read a file. Raises elftools' ELFError where it is none."""
        from elftools.elf.elffile import ELFFile

        with path.open("rb") as file:
            elf: Any = ELFFile(file)
            sections = list(elf.iter_sections())
            relocations: dict[int, tuple[Relocation, ...]] = {}
            for section in sections:
                header = section.header
                if header.sh_type == "SHT_RELA":
                    symbols = _Symbols(sections, header.sh_link)
                    relocations[header.sh_info] = tuple(
                        (
                            int(one["offset"]),
                            int(one["type"]),
                            int(one["addend"]),
                            *symbols[int(one["symbol"])],
                        )
                        for one in np.frombuffer(section.data(), _RELA)
                    )
            return cls(
                tuple(
                    Part(section.name, bytearray(section.data()), relocations.get(number, ()))
                    for number, section in enumerate(sections)
                    if section.header.sh_flags & _SHF_ALLOC
                    and section.header.sh_type not in {"SHT_NOBITS", "SHT_NOTE"}
                )
            )

    def digest(self) -> str:
        """A hash of it all, 64 hex digits, in which the numbers of source lines do not count."""
        digest = hashlib.sha256()
        for part in self.parts:
            data = bytearray(part.data)
            lines.clear_in_module(part.name, data, [one[0] for one in part.relocations])
            for text in (part.name.encode(), bytes(data), repr(part.relocations).encode()):
                digest.update(hashlib.sha256(text).digest())
        return digest.hexdigest()


class _Symbols:
    """What the entries of a symbol table stand for."""

    def __init__(self, sections: list[Any], table: int) -> None:
        self._sections = sections
        self._table = sections[table]
        self._known: dict[int, tuple[str, int]] = {}

    def __getitem__(self, number: int) -> tuple[str, int]:
        if number not in self._known:
            symbol = self._table.get_symbol(number)
            index = symbol["st_shndx"]
            where = self._sections[index].name if isinstance(index, int) else ""
            self._known[number] = (symbol.name, 0) if symbol.name else (where, symbol["st_value"])
        return self._known[number]
