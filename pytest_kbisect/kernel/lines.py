"""Where a vmlinux keeps numbers of source lines: what a comment changes, and no code reads but to print.

Only what can be named exactly counts. A table is found by the symbols or the section that the kernel's
linker script gives it, and has one of the layouts below only if every entry of it fits: pointers that
point into the image, file names that are names of source files, code where code should be. Where no
layout fits, or two do, it keeps its lines and counts as it is: kernels then differ by it
that need not be, which costs a test. The other error would cost a right answer.

    __bug_table             WARN(), BUG(): struct bug_entry of include/asm-generic/bug.h
    __dyndbg                pr_debug(): struct _ddebug of include/linux/dynamic_debug.h, 18 bits of it
    alloc_tags              memory allocation profiling: struct codetag of include/linux/codetag.h
    .printk_index           struct pi_entry of include/linux/printk.h
    branch profiles         struct ftrace_branch_data of include/linux/compiler_types.h
    __loc                   KUnit's expectations: struct kunit_loc of include/kunit/assert.h
    calls                   see arch/*_calls and takers
    texts                   see texts

The layouts are those of 5.10 to 7.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.arch import DEFAULT, Architecture
from pytest_kbisect.kernel import texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.kernel.loaded import Loaded

_U16: Final = b"\xff" * 2
_U32: Final = b"\xff" * 4
_LINENO_18: Final = b"\xff\xff\x03\x00"


@dataclass(frozen=True, slots=True)
class Layout:
    """An entry of a table: its size, and the offsets of what is in it, in bytes.

    `file` points to the name of a source file, `others` point anywhere into the image. At `line` is the
    number to clear, with the bits of `mask`.
    """

    size: int
    file: int
    line: int
    mask: bytes
    others: tuple[int, ...] = ()

    def fits(self, loaded: Loaded, entry: int) -> bool:
        """Whether what is at this address can be an entry."""
        return loaded.is_source(loaded.number(entry + self.file, 8)) and all(
            loaded.is_loaded(loaded.number(entry + other, 8)) for other in self.others
        )


@dataclass(frozen=True, slots=True)
class _BugLayout:
    """The same of struct bug_entry with CONFIG_GENERIC_BUG_RELATIVE_POINTERS: 32 bits each.

    `from_field`: the pointers count from where they are (6.1), else from the entry's beginning (5.10). Flags
    follow the line.
    """

    size: int
    file: int
    line: int
    format: int | None
    from_field: bool
    mask: bytes = _U16

    def fits(self, loaded: Loaded, entry: int) -> bool:
        """Whether what is at this address can be an entry."""
        code = self._pointer(loaded, entry, 0)
        section = loaded.section_at(code) if code else None
        return (
            section is not None
            and section.executable
            and loaded.is_source(self._pointer(loaded, entry, self.file))
            and (self.format is None or loaded.is_loaded(self._pointer(loaded, entry, self.format)))
        )

    def is_warning(self, loaded: Loaded, entry: int) -> bool:
        """Whether BUGFLAG_WARNING is where the flags should be."""
        return bool((loaded.number(entry + self.line + 2, 2) or 0) & 1)

    def _pointer(self, loaded: Loaded, entry: int, offset: int) -> int | None:
        distance = loaded.number(entry + offset, 4, signed=True)
        return None if distance is None else entry + distance + (offset if self.from_field else 0)


_BUG_LAYOUTS: Final = (
    _BugLayout(12, file=4, line=8, format=None, from_field=True),
    _BugLayout(12, file=4, line=8, format=None, from_field=False),
    # HAVE_ARCH_BUG_FORMAT, 6.19.
    _BugLayout(16, file=8, line=12, format=4, from_field=True),
)

_BUG_TABLE: Final = "__bug_table"

_TABLES: Final[tuple[tuple[str, tuple[Layout, ...]], ...]] = (
    # Its static key has 16 bytes with CONFIG_JUMP_LABEL, else 4, and 4 of padding.
    (
        "__dyndbg",
        tuple(Layout(size, file=16, line=32, mask=_LINENO_18, others=(0, 8, 24)) for size in (40, 56)),
    ),
    ("alloc_tags", (Layout(40, file=24, line=4, mask=_U32, others=(16,)),)),
    ("annotated_branch_profile", (Layout(48, file=8, line=16, mask=_U32, others=(0,)),)),
    ("branch_profile", (Layout(40, file=8, line=16, mask=_U32, others=(0,)),)),
)
# Packed. Its format and level may be NULL.
_PRINTK_INDEX: Final = Layout(44, file=16, line=24, mask=_U32, others=(8,))
_KUNIT_LOC: Final = Layout(16, file=8, line=0, mask=_U32)


def clear(loaded: Loaded, architecture: Architecture = DEFAULT) -> None:
    """Set all line numbers that can be named to zero."""
    # Found first, all of them: names are looked at in what nothing has been cleared of.
    found = [*_bugs(loaded), *_tables(loaded), *_printk_index(loaded), *_kunit(loaded), *texts.lines(loaded)]
    if architecture.code_lines is not None and loaded.machine == architecture.elf_machine:
        found += architecture.code_lines(loaded)
    for address, mask in found:
        loaded.clear(address, mask)


def clear_in_module(section: str, data: bytearray, relocated: Sequence[int]) -> None:
    """The same for a section of a module, if it is the bug table; `relocated` are offsets of its pointers.

    A layout fits if each entry's pointers, and nothing else, are filled in when the module is loaded.
    """
    if section != _BUG_TABLE:
        return
    for layout in _BUG_LAYOUTS:
        pointers = {0, layout.file} | ({layout.format} if layout.format is not None else set())
        entries = range(0, len(data), layout.size)
        fits = len(data) % layout.size == 0 and sorted(relocated) == sorted(
            entry + pointer for entry in entries for pointer in pointers
        )
        if fits:
            for entry in entries:
                data[entry + layout.line : entry + layout.line + len(layout.mask)] = bytes(len(layout.mask))
            return


def _bugs(loaded: Loaded) -> list[tuple[int, bytes]]:
    for section in loaded.sections:
        if section.name == _BUG_TABLE:
            start, stop = section.address, section.address + len(section.data)
            # Without CONFIG_DEBUG_BUGVERBOSE the table of 6.19 has 12 bytes, a format for the file, flags for
            # the line, and zero for the flags.
            layouts = [
                layout
                for layout in _BUG_LAYOUTS
                if any(layout.is_warning(loaded, entry) for entry in range(start, stop, layout.size))
            ]
            return _in_table(loaded, start, stop, layouts)
    return []


def _tables(loaded: Loaded) -> list[tuple[int, bytes]]:
    found = []
    for name, layouts in _TABLES:
        start, stop = loaded.symbol(f"__start_{name}"), loaded.symbol(f"__stop_{name}")
        if start and stop:
            found += _in_table(loaded, start, stop, layouts)
    return found


def _in_table(
    loaded: Loaded, start: int, stop: int, layouts: Sequence[Layout | _BugLayout]
) -> list[tuple[int, bytes]]:
    # Two that agree on where the lines are may both fit: the end of a name is a name.
    fitting = {
        (layout.size, layout.line, layout.mask)
        for layout in layouts
        if stop > start
        and (stop - start) % layout.size == 0
        and all(layout.fits(loaded, entry) for entry in range(start, stop, layout.size))
    }
    if len(fitting) != 1:
        return []
    ((size, line, mask),) = fitting
    return [(entry + line, mask) for entry in range(start, stop, size)]


def _printk_index(loaded: Loaded) -> list[tuple[int, bytes]]:
    """The entries are where the compiler puts them; the table points to them."""
    start, stop = loaded.symbol("__start_printk_index"), loaded.symbol("__stop_printk_index")
    if not start or not stop:
        return []
    entries = struct.unpack(f"<{(stop - start) // 8}Q", loaded.read(start, (stop - start) // 8 * 8))
    if not all(_PRINTK_INDEX.fits(loaded, entry) for entry in entries):
        return []
    return [(entry + _PRINTK_INDEX.line, _PRINTK_INDEX.mask) for entry in entries]


def _kunit(loaded: Loaded) -> list[tuple[int, bytes]]:
    if loaded.symbol("kunit_run_tests") is None:
        return []
    return [
        (symbol.address + _KUNIT_LOC.line, _KUNIT_LOC.mask)
        for symbol in loaded.symbols("__loc", r"(?:\.[0-9]+)?")
        if symbol.size == _KUNIT_LOC.size and _KUNIT_LOC.fits(loaded, symbol.address)
    ]
