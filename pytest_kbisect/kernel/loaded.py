"""What a vmlinux loads: sections by address, text at an address, symbols by name."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# include/uapi/linux/elf.h
_SHF_ALLOC: Final = 0x2
_SHF_EXECINSTR: Final = 0x4
_STT_FUNC: Final = 2

_SYMBOL: Final = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
_LONGEST: Final = 4096
"""Bytes that are read for one text."""
_SOURCE: Final = re.compile(rb"(?:\[.*\] )?[A-Za-z0-9_./+-]+\.(?:[chSs]|rs|inc|def)", re.DOTALL)
"""A path of a source file. WARN_CONDITION_STR() of 6.18 puts the condition before it, in brackets."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section with bytes in the file that is loaded. `data` can be changed; the file stays as it is."""

    name: str
    address: int
    executable: bool
    data: bytearray


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol: address and size in bytes, whether it is a function."""

    name: str
    address: int
    size: int
    function: bool


class Loaded:
    """The loaded sections of an ELF file, in file order, notes left out; `machine` as elftools names it."""

    def __init__(
        self, sections: list[Section], symbols: np.ndarray[Any, Any], names: bytes, machine: str
    ) -> None:
        self.sections = sections
        self.machine = machine
        self._by_address = sorted((s for s in sections if s.address), key=lambda s: s.address)
        self._starts = [section.address for section in self._by_address]
        self._symbols = symbols
        self._names = names

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read a file. Symbols are left out unless it is a little-endian ELF file of 64 bits."""
        from elftools.elf.elffile import ELFFile

        symbols, names = np.empty(0, _SYMBOL), b""
        sections = []
        with path.open("rb") as file:
            elf: Any = ELFFile(file)
            for section in elf.iter_sections():
                header = section.header
                if header.sh_flags & _SHF_ALLOC and header.sh_type not in {"SHT_NOBITS", "SHT_NOTE"}:
                    executable = bool(header.sh_flags & _SHF_EXECINSTR)
                    sections.append(
                        Section(section.name, header.sh_addr, executable, bytearray(section.data()))
                    )
                elif header.sh_type == "SHT_SYMTAB" and elf.little_endian and elf.elfclass == 64:
                    symbols = np.frombuffer(section.data(), _SYMBOL)
                    names = elf.get_section(header.sh_link).data()
            machine = elf["e_machine"]
        return cls(sections, symbols, names, machine)

    def section_at(self, address: int, size: int = 1) -> Section | None:
        """The section that holds these bytes."""
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        section = self._by_address[at]
        return section if address + size <= section.address + len(section.data) else None

    def read(self, address: int, size: int) -> bytes:
        """Bytes at an address; none where they are not all loaded from the file."""
        section = self.section_at(address, size)
        if section is None:
            return b""
        offset = address - section.address
        return bytes(section.data[offset : offset + size])

    def number(self, address: int, size: int, *, signed: bool = False) -> int | None:
        """A number at an address."""
        raw = self.read(address, size)
        return int.from_bytes(raw, "little", signed=signed) if raw else None

    def text(self, address: int | None) -> bytes | None:
        """The text that begins at an address, without its end; None where there is none."""
        section = self.section_at(address) if address else None
        if section is None or address is None:
            return None
        offset = address - section.address
        end = section.data.find(0, offset, offset + _LONGEST)
        return bytes(section.data[offset:end]) if end >= 0 else None

    def is_source(self, address: int | None) -> bool:
        """Whether the name of a source file begins here, as __FILE__ gives it."""
        text = self.text(address)
        return text is not None and _SOURCE.fullmatch(text) is not None

    def is_loaded(self, address: int | None) -> bool:
        """Whether anything of the file is loaded to this address."""
        return bool(address) and self.section_at(address or 0) is not None

    def symbol(self, name: str) -> int | None:
        """The address of the only symbol of this name; None where there is none, or more than one."""
        found = {symbol.address for symbol in self.symbols(name)}
        return found.pop() if len(found) == 1 else None

    def symbols(self, name: str, rest: str = "") -> list[Symbol]:
        """The defined symbols of a name, or of names that go on with what matches `rest`."""
        offsets = {}
        beginning, rest_of_name = name.encode(), re.compile(rest.encode() + rb"\0")
        # Names share bytes where one ends like another, so each may begin inside another.
        at = self._names.find(beginning)
        while at >= 0:
            if match := rest_of_name.match(self._names, at + len(beginning)):
                offsets[at] = self._names[at : match.end() - 1].decode()
            at = self._names.find(beginning, at + 1)
        if not offsets or not len(self._symbols):
            return []
        found = self._symbols[np.isin(self._symbols["name"], np.array(list(offsets), dtype="<u4"))]
        return [
            Symbol(
                offsets[int(one["name"])],
                int(one["value"]),
                int(one["size"]),
                int(one["info"]) & 0xF == _STT_FUNC,
            )
            for one in found
            if one["section"]
        ]

    def functions(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Addresses where functions begin, in order, each once, and where the longest one there ends."""
        functions = self._symbols[
            (self._symbols["info"] & 0xF == _STT_FUNC)
            & (self._symbols["section"] != 0)
            & (self._symbols["size"] != 0)
        ]
        functions = np.sort(functions, order=["value", "size"])
        last = np.append(functions["value"][1:] != functions["value"][:-1], True)[: len(functions)]
        functions = functions[last]
        return functions["value"], functions["value"] + functions["size"]

    def code(self) -> Iterator[Section]:
        """The executable sections."""
        return (section for section in self.sections if section.executable and section.address)

    def clear(self, address: int, mask: bytes) -> None:
        """Set the bits of a mask to zero in the copy that is here."""
        section = self.section_at(address, len(mask))
        assert section is not None
        offset = address - section.address
        for at, bits in enumerate(mask, offset):
            section.data[at] &= ~bits & 0xFF
