"""Finds line numbers that x86-64 code passes in calls, also in structures: might_sleep(), UBSAN, KASAN.

vmlinux is linked, so only the code shows which function is called with which arguments. A call counts if all
of these conditions hold:

    * the call leads to the beginning of a function that takes a line (see takers), or of a function that
      prints a format in which a number follows the name of a source file
    * objdump, started at the beginning of the calling function, finds instructions that begin where the call
      and those before it begin, and one that ends where the function ends
    * between the instructions that load the constants and the call there are only loads of other registers,
      stores of these to the stack, and jumps that are always taken: no branch, and no read of the constants
    * the name that accompanies the line is a constant and has the expected form

After the call the caller cannot use a register that the callee may overwrite, so the constant has no other
use. A line that is passed in any other way stays. UBSAN and KASAN pass a column with each line, which is
found as well.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from pytest_kbisect import process
from pytest_kbisect.arch.takers import PRINTERS, TAKERS, Taker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kbisect.kernel.loaded import Loaded

_UBSAN: Final = "__ubsan_handle_"
"""Prefix of function names. Their first argument points to a struct source_location (lib/ubsan.h)."""
_KASAN: Final = "__asan_register_globals"
"""Its arguments are an array of struct kasan_global (mm/kasan/kasan.h, version 5) and the array's length."""
_KASAN_GLOBAL_SIZE: Final = 64
_KASAN_LOCATION: Final = 48

_CALL_SIZE: Final = 5
_OPCODES: Final = (0xE8, 0xE9)  # call, and jmp for a tail call
_WINDOW: Final = 16
"""Instructions examined before a call: six arguments, some of which take two instructions, and jumps."""
_MOST_WAYS: Final = 64
"""Paths to one call that are examined: the compiler merges calls that differ only in their line."""
_PADDING: Final = b"\x90" * 16
"""nops, longer than any instruction, so that the code after them is decoded from its beginning."""
_U32: Final = b"\xff" * 4
_LINE_AND_COLUMN: Final = b"\xff" * 8

_RSP: Final = 4
_ARGUMENTS: Final = (7, 6, 2, 1, 8, 9)
"""The register numbers of the arguments in order: %rdi, %rsi, %rdx, %rcx, %r8 and %r9."""
# Opcodes of the most frequent instructions between arguments: mov, movslq, lea; mov to memory; add, or, and,
# sub, xor of registers; the same and shifts with an immediate operand, of registers (cmp counts as a write);
# movzx, movsx.
_LOADS: Final = (0x8B, 0x63, 0x8D)
_STORES: Final = (0x88, 0x89)
_SUMS: Final = frozenset(first + way for first in (0x00, 0x08, 0x20, 0x28, 0x30) for way in (1, 3))
_WITH_NUMBER: Final = (0x81, 0x83, 0xC1, 0xD1)
_EXTENDING: Final = (0xB6, 0xB7, 0xBE, 0xBF)
_WORD: Final = re.compile(rb"[A-Za-z_]\w*")
# A conversion of vsprintf() and its variable arguments. "%%" takes none.
_CONVERSION: Final = re.compile(rb"%(?:%|[-+ #0]*(\*|\d+)?(?:\.(\*|\d+))?(?:hh|h|ll|l|z|t|L)?([a-zA-Z]))")
_BETWEEN: Final = re.compile(rb"[:( ,]{1,3}(?:line )?")

Kind = Taker | Literal["ubsan", "kasan", "format"]


def lines(loaded: Loaded, objdump_machine: str) -> list[tuple[int, bytes]]:
    """The addresses of the line numbers, with masks of the bits that they occupy."""
    known: list[tuple[str, str, Kind]] = [
        *((name, "", taker) for name, taker in TAKERS.items()),
        *((name, "", "format") for name in PRINTERS),
        (_UBSAN, "[a-z0-9_]+", "ubsan"),
        (_KASAN, "", "kasan"),
    ]
    takers = {address: kind for name, rest, kind in known for address in _functions(loaded, name, rest)}
    found: dict[int, bytes] = {}
    for kind, loads in _calls(loaded, takers, objdump_machine):
        found |= dict(_of_call(loaded, kind, loads))
    return list(found.items())


def _of_call(loaded: Loaded, kind: Kind, loads: Loads) -> Iterator[tuple[int, bytes]]:
    """The lines of one call, from the constants loaded for it."""
    first, second = (loads.get(register) for register in _ARGUMENTS[:2])
    if isinstance(kind, Taker):
        name, line = loads.get(_ARGUMENTS[kind.name]), loads.get(_ARGUMENTS[kind.line])
        if name is not None and line is not None and _is_named(loaded, kind, name[1]):
            yield line[0], _U32
    elif first is None:
        return
    elif kind == "format":
        for name_at, line_at in _files_and_lines(loaded.text(first[1]) or b""):
            name, line = loads.get(_ARGUMENTS[name_at]), loads.get(_ARGUMENTS[line_at])
            if name is not None and line is not None and loaded.is_source(name[1]):
                yield line[0], _U32
    elif kind == "ubsan":
        if loaded.is_source(loaded.number(first[1], 8)):
            yield first[1] + 8, _LINE_AND_COLUMN
    elif second is not None:
        yield from ((address, _LINE_AND_COLUMN) for address in _of_globals(loaded, first[1], second[1]))


def _is_named(loaded: Loaded, taker: Taker, address: int) -> bool:
    if taker.named == "file":
        return loaded.is_source(address)
    return _WORD.fullmatch(loaded.text(address) or b"") is not None


def _files_and_lines(text: bytes) -> list[tuple[int, int]]:
    """The argument positions of files and lines that a format prints as "%s:%d"; the format itself is 0."""
    found = []
    argument, file, file_ends = 0, None, 0
    for conversion in _CONVERSION.finditer(text):
        if conversion[3] is None:
            continue
        argument += 1 + (conversion[1] == b"*") + (conversion[2] == b"*")
        if argument >= len(_ARGUMENTS):
            break
        between = text[file_ends : conversion.start()]
        if file is not None and conversion[3] in b"diu" and _BETWEEN.fullmatch(between):
            found.append((file, argument))
        file = argument if conversion[3] == b"s" else None
        file_ends = conversion.end()
    return found


def _of_globals(loaded: Loaded, start: int, count: int) -> list[int]:
    """The addresses of the lines in an array of struct kasan_global. Constants have no line."""
    fields = range(start + _KASAN_LOCATION, start + count * _KASAN_GLOBAL_SIZE, _KASAN_GLOBAL_SIZE)
    locations = [loaded.number(field, 8) for field in fields]
    if any(location != 0 and not loaded.is_source(loaded.number(location or 0, 8)) for location in locations):
        return []
    return [location + 8 for location in locations if location]


def _functions(loaded: Loaded, name: str, rest: str) -> list[int]:
    """The start addresses of the functions with these names. Names of more than one function are omitted."""
    found: dict[str, set[int]] = {}
    for symbol in loaded.symbols(name, rest):
        if symbol.function:
            found.setdefault(symbol.name, set()).add(symbol.address)
    return [address for addresses in found.values() if len(addresses) == 1 for address in addresses]


Loads = dict[int, tuple[int, int]]
"""By register number: the address of a 32-bit constant, and its value as 64 bits."""


def _calls(loaded: Loaded, takers: dict[int, Kind], objdump_machine: str) -> Iterator[tuple[Kind, Loads]]:
    """Calls of these functions: the value in `takers`, and the constants loaded on each path to the call."""
    if not takers:
        return
    starts, ends = loaded.functions()
    bodies: dict[tuple[int, int], list[tuple[int, Kind]]] = {}
    for site, kind in _sites(loaded, takers):
        at = int(np.searchsorted(starts, site, "right")) - 1
        if at >= 0 and site < int(ends[at]):
            bodies.setdefault((int(starts[at]), int(ends[at])), []).append((site, kind))
    for (start, end), boundaries in zip(
        bodies, _boundaries(loaded, list(bodies), objdump_machine), strict=True
    ):
        if not boundaries or end not in boundaries:
            continue
        body = _Body(loaded, sorted(boundaries))
        for site, kind in bodies[start, end]:
            if site in boundaries and site + _CALL_SIZE in boundaries:
                yield from ((kind, loads) for loads in body.ways(site, _wanted(kind)))


def _wanted(kind: Kind) -> frozenset[int]:
    """The registers whose constants are needed for a call."""
    if isinstance(kind, Taker):
        return frozenset((_ARGUMENTS[kind.name], _ARGUMENTS[kind.line]))
    return frozenset(_ARGUMENTS[: {"ubsan": 1, "kasan": 2, "format": len(_ARGUMENTS)}[kind]])


def _sites(loaded: Loaded, takers: dict[int, Kind]) -> Iterator[tuple[int, Kind]]:
    """The addresses of bytes that look like a call of these functions."""
    for section in loaded.code():
        data = np.frombuffer(bytes(section.data), np.uint8)
        found = np.flatnonzero(np.isin(data[: 1 - _CALL_SIZE], _OPCODES))
        distance = np.zeros(len(found), np.uint32)
        for byte in range(4):
            distance |= data[found + 1 + byte].astype(np.uint32) << (8 * byte)
        target = np.uint64(section.address + _CALL_SIZE) + found.astype(np.uint64)
        target += distance.view(np.int32).astype(np.int64).view(np.uint64)
        wanted = np.isin(target, np.array(list(takers), np.uint64))
        for offset, address in zip(found[wanted], target[wanted], strict=True):
            yield section.address + int(offset), takers[int(address)]


def _boundaries(loaded: Loaded, bodies: Sequence[tuple[int, int]], objdump_machine: str) -> list[set[int]]:
    """For each function: the addresses where instructions begin, and its end if an instruction ends there."""
    if not bodies:
        return []
    code, offsets = bytearray(), []
    for start, end in bodies:
        offsets.append(len(code))
        code += loaded.read(start, end - start) + _PADDING
    with tempfile.NamedTemporaryFile(prefix="kbisect-") as file:
        file.write(code)
        file.flush()
        options = ["-D", "-z", "-b", "binary", "-m", objdump_machine, "--no-show-raw-insn"]
        listing = process.run(["objdump", *options, file.name])
    begins = np.zeros(len(code) + 1, bool)
    for line in listing.splitlines():
        offset, colon, _ = line.partition(b":\t")
        if colon:
            begins[int(offset, 16)] = True
    return [
        {start + int(at) for at in np.flatnonzero(begins[offset : offset + end - start + 1])}
        for offset, (start, end) in zip(offsets, bodies, strict=True)
    ]


class _Body:
    """The instructions of one function."""

    def __init__(self, loaded: Loaded, addresses: list[int]) -> None:
        self._loaded = loaded
        self._before = {after: at for at, after in itertools.pairwise(addresses)}
        self._jumps: dict[int, list[int]] = {}
        for at, after in itertools.pairwise(addresses):
            target = _target(loaded.read(at, after - at), after)
            if target is not None:
                self._jumps.setdefault(target, []).append(at)

    def ways(self, site: int, wanted: frozenset[int]) -> Iterator[Loads]:
        """The constants in these registers at `site`: one Loads for each path to it."""
        pending: list[tuple[int, frozenset[int], Loads, int]] = [(site, frozenset(), {}, _WINDOW)]
        for _ in range(_MOST_WAYS):
            if not pending:
                return
            at, written, found, left = pending.pop()
            while left and not wanted <= written:
                left -= 1
                pending += [(jump, written, found, left) for jump in self._jumps.get(at, ())]
                before = self._before.get(at)
                step = _step(self._loaded.read(before, at - before)) if before is not None else None
                # If this instruction reads a constant, the constant may have another use.
                if before is None or step is None or step.reads & (wanted - written):
                    break
                if step.writes is not None and step.writes not in written:
                    written |= {step.writes}
                    if step.constant is not None:
                        found = found | {step.writes: (at - 4, step.constant)}
                at = before
            yield found


def _target(code: bytes, after: int) -> int | None:
    """The target of an instruction, if it is an unconditional relative jump."""
    if code[:1] == b"\xeb" and len(code) == 2:
        return after + int.from_bytes(code[1:], "little", signed=True)
    if code[:1] == b"\xe9" and len(code) == 5:
        return after + int.from_bytes(code[1:], "little", signed=True)
    return None


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction between arguments: the register it writes, the registers it reads, and its constant."""

    writes: int | None
    reads: frozenset[int] = frozenset()
    constant: int | None = None


def _step(code: bytes) -> _Step | None:
    """Decode an instruction that changes only memory and at most one whole register; None for all others."""
    rex = 0
    if code and code[0] & 0xF0 == 0x40:
        rex, code = code[0], code[1:]
    if not code:
        return None
    opcode, wide, high = code[0], bool(rex & 8), (rex & 1) << 3
    if 0x50 <= opcode <= 0x57 and len(code) == 1:  # push %register
        return _Step(None, frozenset({opcode & 7 | high}))
    if (opcode, len(code)) in ((0x68, 5), (0x6A, 2)):  # push $imm
        return _Step(None)
    if 0xB8 <= opcode <= 0xBF and len(code) == 5 and not wide:  # mov $imm32, %r32
        return _Step(opcode & 7 | high, constant=int.from_bytes(code[1:], "little"))
    if opcode == 0x0F and len(code) > 2 and code[1] in _EXTENDING:
        return _of_two(_LOADS[0], code[2:], rex)
    return _of_two(opcode, code[1:], rex) if len(code) > 1 else None


def _of_two(opcode: int, operand: bytes, rex: int) -> _Step | None:
    """Decode an instruction with a register or an opcode extension, and with a register or memory."""
    modrm = operand[0]
    register, field = modrm & 7 | (rex & 1) << 3, modrm >> 3 & 7 | (rex & 4) << 1
    in_memory = modrm & 0xC0 != 0xC0
    reads = _of_memory(operand, rex) if in_memory else frozenset({register})
    if opcode in _LOADS:
        return _Step(field, reads)
    if opcode in _STORES:
        if in_memory:
            return _Step(None, reads | {field})
        return _Step(register, frozenset({field})) if opcode & 1 else None
    if opcode in (0xC6, 0xC7) and field == 0:
        if in_memory:
            return _Step(None, reads)
        constant = int.from_bytes(operand[1:], "little", signed=True) % (1 << 64)
        return _Step(register, constant=constant) if opcode & 1 and len(operand) == 5 and rex & 8 else None
    if opcode == 0x31 and not in_memory and register == field:  # the usual way to clear a register
        return _Step(register)
    if opcode in _SUMS and not in_memory:
        return _Step(register if opcode & 2 == 0 else field, reads | {field})
    if opcode in _WITH_NUMBER and not in_memory:
        return _Step(register, reads)
    return None


def _of_memory(operand: bytes, rex: int) -> frozenset[int]:
    """The registers of an address, from the ModRM byte on. It may include registers that are not used."""
    base = operand[0] & 7
    if base != _RSP:
        return frozenset({base | (rex & 1) << 3})
    sib = operand[1] if len(operand) > 1 else 0
    return frozenset({sib & 7 | (rex & 1) << 3, sib >> 3 & 7 | (rex & 2) << 2})


__all__ = ["lines"]
