"""Line numbers that x86-64 code passes in calls, itself or in a structure: might_sleep(), UBSAN, KASAN.

vmlinux is linked, so that nothing but the code says what is passed to whom. A call counts where all of
this holds:

    * the distance of its operand leads to the beginning of a function that is known to take a line
    * objdump, going through the calling function from its beginning, finds instructions to begin
      where the call and those before it do, and one to end where the function does
    * between the instructions that load the constants and the call nothing but loads of other registers and
      stores of them to the stack: no branch, and nothing that reads what was loaded
    * the file that goes with the line is the name of a source file

The caller may not use a register after the call that the callee may overwrite, so the constant goes
nowhere else. A line that is passed in any other way stays. UBSAN and KASAN have a column with each line:
it goes too.
"""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_kbisect import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_kbisect.kernel.loaded import Loaded

_FILE_AND_LINE: Final = (
    "__might_sleep",
    "___might_sleep",  # 5.10, later __might_resched
    "__might_resched",
    "__might_fault",
    "__cant_sleep",
    "__cant_migrate",
    "lockdep_rcu_suspicious",
    "warn_slowpath_fmt",
    "__kunit_fail_current_test",
)
"""Functions whose first arguments are __FILE__ and __LINE__, in 5.10 to 7.1."""
_UBSAN: Final = "__ubsan_handle_"
"""The beginning of names. Their first argument points to a struct source_location (lib/ubsan.h)."""
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

_RSP: Final = 4
_RSI: Final = 6
_RDI: Final = 7
_ON_STACK: Final = b"\x24"
"""The SIB byte: the base is %rsp, and there is no index."""


def lines(loaded: Loaded, objdump_machine: str) -> list[tuple[int, bytes]]:
    """Addresses of the numbers, and the bits there that are theirs."""
    known = [
        *((name, "", "line") for name in _FILE_AND_LINE),
        (_UBSAN, "[a-z0-9_]+", "ubsan"),
        (_KASAN, "", "kasan"),
    ]
    takers = {address: kind for name, rest, kind in known for address in _functions(loaded, name, rest)}
    found: dict[int, bytes] = {}
    for kind, loads in _calls(loaded, takers, objdump_machine):
        first, second = loads.get(_RDI), loads.get(_RSI)
        if first is None:
            continue
        if kind == "line" and second is not None and loaded.is_source(first[1]):
            found[second[0]] = _U32
        elif kind == "ubsan" and loaded.is_source(loaded.number(first[1], 8)):
            found[first[1] + 8] = _LINE_AND_COLUMN
        elif kind == "kasan" and second is not None:
            found |= dict.fromkeys(_of_globals(loaded, first[1], second[1]), _LINE_AND_COLUMN)
    return list(found.items())


def _of_globals(loaded: Loaded, start: int, count: int) -> list[int]:
    """Where the lines of an array of struct kasan_global are; constants have none."""
    fields = range(start + _KASAN_LOCATION, start + count * _KASAN_GLOBAL_SIZE, _KASAN_GLOBAL_SIZE)
    locations = [loaded.number(field, 8) for field in fields]
    if any(location != 0 and not loaded.is_source(loaded.number(location or 0, 8)) for location in locations):
        return []
    return [location + 8 for location in locations if location]


def _functions(loaded: Loaded, name: str, rest: str) -> list[int]:
    """Where they begin; those whose names two functions have are left out."""
    found: dict[str, set[int]] = {}
    for symbol in loaded.symbols(name, rest):
        if symbol.function:
            found.setdefault(symbol.name, set()).add(symbol.address)
    return [address for addresses in found.values() if len(addresses) == 1 for address in addresses]


Loads = dict[int, tuple[int, int]]
"""By the number of the register: the address of a constant of 32 bits, and its value as 64 bits."""


def _calls(loaded: Loaded, takers: dict[int, str], objdump_machine: str) -> Iterator[tuple[str, Loads]]:
    """Calls of these functions: what is in `takers`, and the constants that are loaded for it."""
    if not takers:
        return
    starts, ends = loaded.functions()
    bodies: dict[tuple[int, int], list[tuple[int, str]]] = {}
    for site, kind in _sites(loaded, takers):
        at = int(np.searchsorted(starts, site, "right")) - 1
        if at >= 0 and site < int(ends[at]):
            bodies.setdefault((int(starts[at]), int(ends[at])), []).append((site, kind))
    for (start, end), boundaries in zip(
        bodies, _boundaries(loaded, list(bodies), objdump_machine), strict=True
    ):
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


def _boundaries(loaded: Loaded, bodies: Sequence[tuple[int, int]], objdump_machine: str) -> list[set[int]]:
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


def _loads(loaded: Loaded, instructions: list[int]) -> Loads:
    """The constants that are in registers at the last of these instructions, from the nearest ones up."""
    found: Loads = {}
    written: set[int] = set()
    for at, next_at in reversed(list(itertools.pairwise(instructions))):
        step = _step(loaded.read(at, next_at - at))
        if step is None or (step.reads in (_RDI, _RSI) and step.reads not in written):
            break  # what was loaded before this may go elsewhere
        if step.writes is not None and step.writes not in written:
            written.add(step.writes)
            if step.constant is not None:
                found[step.writes] = (next_at - 4, step.constant)
    return found


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction between arguments: the registers that it writes and reads, the constant it loads."""

    writes: int | None
    reads: int | None = None
    constant: int | None = None


def _step(code: bytes) -> _Step | None:
    """What is known to touch nothing but one register, or the stack; else None."""
    rex = 0
    if code and code[0] & 0xF0 == 0x40:
        rex, code = code[0], code[1:]
    if not code:
        return None
    opcode, modrm = code[0], code[1] if len(code) > 1 else 0
    wide, high, extended = bool(rex & 8), (rex & 1) << 3, (rex & 4) << 1
    register, field = modrm & 7 | high, modrm >> 3 & 7 | extended
    if 0x50 <= opcode <= 0x57 and len(code) == 1:  # push %register
        return _Step(None, reads=opcode & 7 | high)
    if 0xB8 <= opcode <= 0xBF and len(code) == 5 and not wide:  # mov $imm32, %r32
        return _Step(opcode & 7 | high, constant=int.from_bytes(code[1:], "little"))
    if modrm & 0xC0 == 0xC0:
        if opcode == 0xC7 and len(code) == 6 and wide and field == 0:  # mov $simm32, %r64
            return _Step(register, constant=int.from_bytes(code[2:], "little", signed=True) % (1 << 64))
        if opcode == 0x31 and len(code) == 2 and register == field:  # xor %register, %register
            return _Step(register)
        if opcode == 0x89 and len(code) == 2:  # mov %field, %register
            return _Step(register, reads=field)
        if opcode in (0x81, 0x83) and wide and field == 5 and register == _RSP:  # sub $imm, %rsp
            return _Step(None)
    elif modrm & 7 == _RSP and code[2:3] == _ON_STACK and not rex & 3:
        if opcode in (0x88, 0x89):  # mov %field, N(%rsp)
            return _Step(None, reads=field)
        if opcode in (0xC6, 0xC7) and field == 0:  # mov $imm, N(%rsp)
            return _Step(None)
    return None
