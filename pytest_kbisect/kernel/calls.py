"""Line numbers that x86-64 code passes in calls, itself or in a structure: might_sleep(), UBSAN, KASAN.

vmlinux is linked, so that nothing but the code says what is passed to whom. A call counts where all of
this holds:

    * the distance of its operand leads to the beginning of a function that is known to take a line
    * objdump, going through the calling function from its beginning, finds instructions to begin
      where the call and those before it do, and one to end where the function does
    * between the instructions that load the constants and the call nothing but loads of other argument
      registers: no branch, and nothing that reads what was loaded
    * the file that goes with the line is the name of a source file

The caller may not use a register after the call that the callee may overwrite, so the constant goes
nowhere else. A line that is passed in any other way stays.
"""

from __future__ import annotations

import itertools
import tempfile
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_kbisect import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kbisect.kernel.loaded import Loaded

_FILE_AND_LINE: Final = (
    "__might_sleep",
    "___might_sleep",  # to 5.16
    "__might_resched",  # from 5.17
    "__might_fault",
    "__cant_sleep",
    "__cant_migrate",
    "lockdep_rcu_suspicious",
    "warn_slowpath_fmt",
    "__kunit_fail_current_test",
)
"""Functions whose first arguments are __FILE__ and __LINE__, in 5.10 to 7.1."""
_UBSAN: Final = r"__ubsan_handle_[a-z0-9_]+"
"""Their first argument points to a structure that begins with struct source_location (lib/ubsan.h)."""
_KASAN: Final = "__asan_register_globals"
"""Its arguments are an array of struct kasan_global (mm/kasan/kasan.h), version 5, and its length."""
_KASAN_GLOBAL_SIZE: Final = 64
_KASAN_LOCATION: Final = 48

_CALL_SIZE: Final = 5
_OPCODES: Final = (0xE8, 0xE9)  # call, and jmp for one that is the last thing a function does
_WINDOW: Final = 12
"""Instructions that are looked at before a call: six arguments, some of which take two."""
_PADDING: Final = b"\x90" * 16
"""nop: longer than any instruction, so that what comes behind is read from its beginning."""
_U32: Final = b"\xff" * 4
_LINE_AND_COLUMN: Final = b"\xff" * 8

_RSI: Final = 6
_RDI: Final = 7


def lines(loaded: Loaded) -> list[tuple[int, bytes]]:
    """Addresses of the numbers, and the bits there that are theirs."""
    takers = {
        address: kind
        for kind, pattern in (("line", "|".join(_FILE_AND_LINE)), ("ubsan", _UBSAN), ("kasan", _KASAN))
        for address in _functions(loaded, pattern)
    }
    found: dict[int, bytes] = {}
    for kind, loads in _calls(loaded, takers):
        first, second = loads.get(_RDI), loads.get(_RSI)
        if first is None:
            continue
        if kind == "line" and second is not None and loaded.is_source(first[1]):
            found[second[0]] = _U32
        elif kind == "ubsan" and loaded.is_source(loaded.number(first[1], 8)):
            found[first[1] + 8] = _LINE_AND_COLUMN
        elif kind == "kasan" and second is not None:
            for number in range(second[1]):
                location = loaded.number(first[1] + number * _KASAN_GLOBAL_SIZE + _KASAN_LOCATION, 8)
                if location and loaded.is_source(loaded.number(location, 8)):
                    found[location + 8] = _LINE_AND_COLUMN
    return list(found.items())


def _functions(loaded: Loaded, pattern: str) -> list[int]:
    found: dict[str, set[int]] = {}
    for symbol in loaded.symbols(f"(?:{pattern})"):
        if symbol.function:
            found.setdefault(symbol.name, set()).add(symbol.address)
    return [address for addresses in found.values() if len(addresses) == 1 for address in addresses]


Loads = dict[int, tuple[int, int]]
"""By the number of the register: the address of a constant of 32 bits, and its value as 64 bits."""


def _calls(loaded: Loaded, takers: dict[int, str]) -> Iterator[tuple[str, Loads]]:
    """Calls of these functions: what is in `takers`, and the constants that are loaded for it."""
    if not takers:
        return
    starts, ends = loaded.functions()
    bodies: dict[tuple[int, int], list[tuple[int, str]]] = {}
    for site, kind in _sites(loaded, takers):
        at = int(np.searchsorted(starts, site, "right")) - 1
        if at >= 0 and site < int(ends[at]):
            bodies.setdefault((int(starts[at]), int(ends[at])), []).append((site, kind))
    for (start, end), boundaries in zip(bodies, _boundaries(loaded, list(bodies)), strict=True):
        instructions = sorted(boundaries)
        if not boundaries or end not in boundaries:
            continue
        for site, kind in bodies[start, end]:
            if site in boundaries and site + _CALL_SIZE in boundaries:
                at = instructions.index(site)
                before = instructions[max(0, at - _WINDOW) : at + 1]
                yield kind, _loads(loaded, before)


def _sites(loaded: Loaded, takers: dict[int, str]) -> Iterator[tuple[int, str]]:
    """Where something that looks like a call of these functions begins."""
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


def _boundaries(loaded: Loaded, bodies: Sequence[tuple[int, int]]) -> list[set[int]]:
    """Of each function: the addresses where instructions begin, and its end if one ends there."""
    if not bodies:
        return []
    code, offsets = bytearray(), []
    for start, end in bodies:
        offsets.append(len(code))
        code += loaded.read(start, end - start) + _PADDING
    with tempfile.NamedTemporaryFile(prefix="kbisect-") as file:
        file.write(code)
        file.flush()
        options = ["-D", "-z", "-b", "binary", "-m", "i386:x86-64", "--no-show-raw-insn"]
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


def _loads(loaded: Loaded, instructions: list[int]) -> Loads:
    """The constants that are in registers at the last of these instructions, from the nearest ones up."""
    found: Loads = {}
    written: set[int] = set()
    for at, next_at in reversed(list(itertools.pairwise(instructions))):
        step = _load(loaded.read(at, next_at - at))
        if step is None:
            break
        register, source, constant = step
        if source in (_RDI, _RSI):
            break  # what was loaded before this is read here
        if register not in written and constant is not None:
            found[register] = (next_at - 4, constant)
        written.add(register)
    return found


def _load(code: bytes) -> tuple[int, int | None, int | None] | None:
    """An instruction that does nothing but load a register: its number, the register it reads, the constant.

    None for any other.
    """
    rex = 0
    if code and code[0] & 0xF0 == 0x40:
        rex, code = code[0], code[1:]
    if not code:
        return None
    opcode = code[0]
    wide, high, extended = bool(rex & 8), (rex & 1) << 3, (rex & 4) << 1
    if 0xB8 <= opcode <= 0xBF and len(code) == 5 and not wide:  # mov $imm32, %r32
        return (opcode & 7) | high, None, int.from_bytes(code[1:], "little")
    if opcode == 0xC7 and len(code) == 6 and wide and code[1] & 0xF8 == 0xC0:  # mov $simm32, %r64
        constant = int.from_bytes(code[2:], "little", signed=True) % (1 << 64)
        return (code[1] & 7) | high, None, constant
    if len(code) == 2 and code[1] & 0xC0 == 0xC0:
        register, field = (code[1] & 7) | high, (code[1] >> 3 & 7) | extended
        if opcode == 0x31 and register == field:  # xor %r, %r
            return register, None, None
        if opcode == 0x89:  # mov %field, %register
            return register, field, None
        if opcode == 0x8B:
            return field, register, None
    return None
