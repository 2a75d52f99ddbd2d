"""Adds file:line and inlined functions to a report, from the kernel that crashed.

This module, location and disassembly are the only modules of this package that start programs. Symbolized
reports look like syzbot's: an inlined function has a line of its own, marked [inline].
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_kbisect import process
from pytest_kbisect.crash.disassembly import disassemble
from pytest_kbisect.crash.location import Place, locate
from pytest_kbisect.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NM_SECONDS: Final = 60.0
_PADDING: Final = 64
"""Bytes by which a function's size in kallsyms (up to the next symbol) may exceed that in the ELF file."""

_SITE: Final = re.compile(
    r"(?P<symbol>[A-Za-z_$.][\w.$]{0,300})\+(?P<offset>0x[0-9a-f]{1,8})/(?P<size>0x[0-9a-f]{1,8})"
    r"(?P<module> \[[\w-]{1,64}(?: [0-9a-f]{40})?\])?(?!\S* [\w./-]+:\d)"
)
# On these lines the address is that of the instruction itself. Elsewhere it is a return address.
_EXACT: Final = re.compile(r"[RE]?IP:|\bpc :|\bepc :|PC is at|NIP |Krnl PSW|WARNING:")
# For a headline, each inlined function repeats the whole line.
_HEADLINE: Final = re.compile(r"\b(?:BUG|WARNING):")
_LANDMARK: Final = ("start_kernel", "init/main.c")


@dataclass(frozen=True, slots=True)
class Symbolized:
    """A report after symbolizing. If `done` is False, `report` is unchanged and `note` states the reason."""

    report: str
    done: bool
    note: str = ""


class _Site(NamedTuple):
    """An address in a report: an offset into a symbol."""

    symbol: str
    offset: int
    size: int
    module: str


def symbolize(report_text: str, vmlinux: Path, source: Path | None = None) -> Symbolized:
    """Add file:line to the functions in a report's traces, using a vmlinux with debug information.

    Paths are relative to the kernel tree: to `source`, or to the directory in which init/main.c was compiled.
    Modules are searched for in the folder of vmlinux and below. A function that is not in the kernel, or that
    has another size there, stays unchanged: the report then comes from another kernel.
    """
    lines = report_text.split("\n")
    sites = [_site_of(line) for line in lines]
    wanted = {site for site in sites if site is not None}
    if not wanted:
        return Symbolized(report_text, done=False, note="the report has no addresses to look up")
    known, root = _look_up(vmlinux, wanted)
    if not known:
        return Symbolized(
            report_text,
            done=False,
            note=f"no address of this report is in {vmlinux}: the report is from another kernel, or this one has"
            " no debug information (CONFIG_DEBUG_INFO_DWARF5=y)",
        )
    strip = f"{source}/" if source is not None else root
    result: list[str] = []
    for line, site in zip(lines, sites, strict=True):
        places = known.get(site) if site is not None else None
        result += _rewritten(line, places, strip) if places else [line]
        result += disassemble(line)
    return Symbolized("\n".join(result), done=True)


def _site_of(line: str) -> _Site | None:
    found = _SITE.search(line)
    if found is None:
        return None
    exact = _EXACT.search(line) is not None
    offset = int(found["offset"], 16)
    # A call instruction ends at its return address, so one byte back is within the call.
    back = 0 if exact or not offset else 1
    module = (found["module"] or "").strip(" []").partition(" ")[0]
    return _Site(found["symbol"], offset - back, int(found["size"], 16), module)


def _rewritten(line: str, places: Sequence[Place], strip: str) -> list[str]:
    found = _SITE.search(line)
    if found is None:
        return [line]
    before, after = line[: found.start()], line[found.end() :]
    module = found["module"] or ""
    address = line[found.start() : found.end() - len(module)]
    *inlined, own = places
    inline_before = before if _HEADLINE.search(before) or _EXACT.search(before) else " "
    shown = [
        f"{inline_before}{place.function} {_within(place.path, strip)}:{place.line} [inline]"
        for place in inlined
    ]
    return [*shown, f"{before}{address} {_within(own.path, strip)}:{own.line}{module}{after}"]


def _within(path: str, strip: str) -> str:
    return path.removeprefix(strip) if strip else path


def _look_up(vmlinux: Path, wanted: set[_Site]) -> tuple[dict[_Site, tuple[Place, ...]], str]:
    """The places of every site that is in the kernel or its modules, and the root of the kernel tree."""
    core = [site for site in wanted if not site.module]
    symbols = _symbols(vmlinux, {site.symbol for site in core} | {_LANDMARK[0]})
    addresses: dict[_Site, int] = {}
    for site in core:
        start = _start_of(symbols.get(site.symbol, ()), site.size)
        if start is not None:
            addresses[site] = start + site.offset
    landmark = symbols.get(_LANDMARK[0], ())
    places = locate(vmlinux, [*addresses.values(), *(start for start, _ in landmark)])
    root = ""
    for start, _ in landmark:
        for place in places.get(start, ()):
            if place.path.endswith(_LANDMARK[1]):
                root = place.path.removesuffix(_LANDMARK[1])
    known = {site: places[address] for site, address in addresses.items() if address in places}
    for module in sorted({site.module for site in wanted if site.module}):
        known |= _look_up_in_module(vmlinux, module, [site for site in wanted if site.module == module])
    return known, root


def _symbols(vmlinux: Path, names: set[str]) -> dict[str, list[tuple[int, int]]]:
    """Address and size of every symbol with one of these names. Static functions may share a name."""
    found: dict[str, list[tuple[int, int]]] = {}
    try:
        listing = process.run(["nm", "-S", vmlinux], timeout=_NM_SECONDS, check=False).decode(
            "utf-8", "replace"
        )
    except HostError:
        return {name: starts for name, starts, _ in _elf_symbols(vmlinux, names)}
    for line in listing.splitlines():
        words = line.split()
        if words and words[-1] in names and len(words) >= 3:
            size = int(words[1], 16) if len(words) == 4 else 0
            found.setdefault(words[-1], []).append((int(words[0], 16), size))
    return found


def _start_of(candidates: Sequence[tuple[int, int]], size: int) -> int | None:
    """The address of the symbol that has this size, or nearly this size."""
    fitting = [start for start, own in candidates if own == size]
    fitting = fitting or [start for start, own in candidates if not own or own <= size <= own + _PADDING]
    return fitting[0] if fitting else None


def _elf_symbols(image: Path, names: set[str]) -> list[tuple[str, list[tuple[int, int]], str]]:
    """As _symbols, but from pyelftools and with the section name of each symbol."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile
    from elftools.elf.sections import SymbolTableSection

    found = []
    try:
        with image.open("rb") as file:
            elf = ELFFile(file)
            table = elf.get_section_by_name(".symtab")
            if not isinstance(table, SymbolTableSection):
                return []
            for symbol in table.iter_symbols():
                if symbol.name in names and isinstance(symbol["st_shndx"], int):
                    section = elf.get_section(symbol["st_shndx"]).name
                    found.append((symbol.name, [(symbol["st_value"], symbol["st_size"])], section))
    except (ELFError, OSError):
        return []
    return found


def _look_up_in_module(vmlinux: Path, module: str, sites: Sequence[_Site]) -> dict[_Site, tuple[Place, ...]]:
    image = _module_file(vmlinux, module)
    if image is None:
        return {}
    known = {}
    for name, starts, section in _elf_symbols(image, {site.symbol for site in sites}):
        for site in sites:
            start = _start_of(starts, site.size) if site.symbol == name else None
            if start is not None:
                places = locate(image, [start + site.offset], section)
                if places:
                    known[site] = places[start + site.offset]
    return known


def _module_file(vmlinux: Path, module: str) -> Path | None:
    """The module's file in the build tree. Its name may have dashes where the module's has underscores."""
    pattern = re.sub(r"[_-]", "[_-]", module) + ".ko"
    return next(iter(sorted(vmlinux.parent.rglob(pattern))), None)


__all__ = ["Symbolized", "symbolize"]
