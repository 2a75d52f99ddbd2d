"""Stack traces in a report: where they begin, and which functions they contain."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.formats.format import NAME, PC, Stack
from pytest_kbisect.crash.mangling import demangle
from pytest_kbisect.crash.pattern import Pattern

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.crash.formats.format import Step

# "Call Trace:" of most architectures, "Call trace:" of arm64, "Backtrace:" of arm and parisc, "backtrace:" of
# kmemleak and page owner, "Allocated by task 1:" and so on of the sanitizers, "read to 0x.." of KCSAN. If the
# first occurrence of any of these kinds is not followed by functions, the report was cut.
_BEGINS: Final = (
    r"Call Trace:",
    r"Call trace:",
    r"(?<!stack )\b[Bb]acktrace(?: \(crc [0-9a-f]{1,8}\))?:|\bStack traceback:",
    r"\b[Aa]llocated(?: by (?:task|interrupt)[^\n]{0,60})?(?: on cpu[^\n]{0,60})?:\s*$",
    r"\b[Ff]reed(?: by (?:task|interrupt)[^\n]{0,60})?(?: on cpu[^\n]{0,60})?:\s*$",
    r"^(?:Last potentially related work creation|Second to last potentially related work creation):",
    r"^Uninit was stored to memory at:",
    r"^Uninit was created at:",
    r"^Local variable [^\n]{1,200} created at:",
    r"^(?:(?:Read|Write) at 0x|(?:Invalid|Use-after-free|Out-of-bounds) (?:read|write) at|Corrupted memory at|Invalid free of)",
    r"^\s*(?:read|write|assert no|race at unknown origin)[^\n]{0,60} to 0x[0-9a-f]{4,16} of \d{1,9} bytes by ",
    r"^page last (?:allocated|free)",
)
STACK_BEGIN: Final = Pattern("|".join(_BEGINS))
# Arm and old arm64 dump the registers of an interrupt inside a trace: a headline, then hexadecimal words.
_EXCEPTION_STACK: Final = Pattern(
    r"^\s{0,4}Exception stack\(|^\s{0,4}[0-9a-f]{4}: +[0-9a-f ]{8,}$|^ *r\d{1,2}:[0-9a-f]{8}\b"
)
_BEGIN_KINDS: Final = tuple(Pattern(source) for source in _BEGINS)

# arch/arm/kernel/traps.c, dump_backtrace_entry(): "[<c0..>] (f [module]) from [<c0..>] (g+0x1/0x2 [module])",
# and " f [module] from g+0x1/0x2 [module]" since 5.18. It prints no offset for the callee.
_ARM_OFFSET: Final = r"\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}"
_ARM_MODULE: Final = r"(?: \[[\w-]{1,64}\])?"
_PC_ARM: Final = (
    rf"\[<[0-9a-f]{{8}}>\] \((?P<arm>[A-Za-z_][\w.]{{0,200}})(?:{_ARM_OFFSET})?{_ARM_MODULE}\)"
    r" from \[<[0-9a-f]{8}>\] \((?P<caller>[A-Za-z_][\w.]{0,200})"
)
_ARM_NAMES: Final = ("callee", "by")
_FROM_ARM: Final = rf"(?P<callee>[A-Za-z_][\w.]{{0,200}})(?:{_ARM_OFFSET})?{_ARM_MODULE} from (?P<by>[A-Za-z_][\w.]{{0,200}}){_ARM_OFFSET}"
_MARK: Final = r"(?:<[/A-Z#0-9a-z]{1,16}>\s{0,4})?"
FRAME: Final = Pattern(
    rf"^\s{{0,16}}{_MARK}(?:\(?{PC}\)?\s{{0,4}}){{0,2}}(?:\? )?\.?(?P<func>{NAME}(?:\.[\w.]{{1,80}})?)"
    r"\+0x[0-9a-f]{1,16}/0x[0-9a-f]{1,16}"
    rf"|^\s{{0,4}}{_PC_ARM}|^\s{{0,4}}{_FROM_ARM}"
)
# Since 5.13 riscv prints the trace just below the registers, without a headline.
_BELOW_REGISTERS: Final = Pattern(r"^\s{0,16}status: [0-9a-f]{8,16} badaddr: [0-9a-f]{8,16} cause: ")
_FAULT_INJECTED: Final = Pattern(r"\bshould_fail(?:_ex)?(?:\.[\w.]{1,80})?\+0x")


def function_name(name: str) -> str:
    """A function's name in the source: demangled, without compiler suffixes."""
    if name.startswith(("_R", "_Z")):
        return demangle(name)
    return name.partition(".")[0]


def frame_names(line: str) -> tuple[str, ...]:
    """The functions that a stack trace line names: none if it is not such a line, two on arm."""
    found = FRAME.match(line)
    if found is None:
        return ()
    if found["arm"] or found["callee"]:
        return function_name(found["arm"] or found["callee"]), function_name(found["caller"] or found["by"])
    return (function_name(found["func"]),)


def _append(functions: list[str], names: Sequence[str]) -> None:
    """Append functions. Arm prints each twice: as callee of one line and as caller of the line before."""
    if len(names) == 2 and functions and functions[-1] == names[0]:
        names = names[1:]
    functions += names


def follow(lines: Sequence[str], steps: Sequence[Step]) -> tuple[list[str], int]:
    """Follow `steps` through a report. Returns the functions found, and how many of them can be trusted.

    If a fault was injected in the middle of a report, two stacks are mixed and cannot be separated.
    """
    functions: list[str] = []
    trusted = -1
    at = 0
    for number, step in enumerate(steps):
        following = steps[number + 1] if number + 1 < len(steps) else None
        if isinstance(step, Stack):
            begun = at > 0 and STACK_BEGIN.search(lines[at - 1]) is not None
            while at < len(lines):
                line = lines[at]
                if STACK_BEGIN.search(line):
                    if begun:
                        break
                    begun = True
                if (
                    following is not None
                    and not isinstance(following, Stack)
                    and following.pattern.search(line)
                ):
                    break
                at += 1
                if trusted < 0 and _FAULT_INJECTED.search(line):
                    trusted = len(functions)
                names = frame_names(line)
                begun = begun or bool(names)
                _append(functions, names)
            continue
        while at < len(lines):
            line = lines[at]
            at += 1
            if _FAULT_INJECTED.search(line):
                return functions, len(functions)
            found = step.pattern.search(line)
            if found is not None:
                if found.groupdict().get("func"):
                    functions.append(function_name(found["func"]))
                break
    return functions, len(functions) if trusted < 0 else trusted


def stacks(lines: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The functions of every stack trace in a report."""
    result: list[tuple[str, ...]] = []
    current: list[str] = []
    for line in lines:
        if STACK_BEGIN.search(line):
            if current:
                result.append(tuple(current))
            current = []
            continue
        _append(current, frame_names(line))
    if current:
        result.append(tuple(current))
    return tuple(result)


def trace_fault(lines: Sequence[str]) -> str:
    """Why the stack traces of a report are cut short; "" if they are complete."""
    lines = [line for line in lines if _EXCEPTION_STACK.match(line) is None]
    begins = [at for at, line in enumerate(lines) if STACK_BEGIN.search(line)]
    complete = False
    for kind in _BEGIN_KINDS:
        at = next((at for at in begins if kind.search(lines[at])), None)
        if at is None:
            continue
        if len(lines) - at < 3:
            return "call trace is missed"
        for later in lines[at + 1 : at + 16]:
            if STACK_BEGIN.search(later):
                return "no frames in a stack trace"
            if "(stack is not available)" in later:
                break
            if frame_names(later):
                complete = True
                break
        else:
            return "no frames in a stack trace"
    if not complete and not begins:
        # riscv's trace comes below the registers. On arm, each line of a trace refers to the one before.
        complete = any(
            _BELOW_REGISTERS.search(line) and frame_names(below) for line, below in pairwise(lines)
        ) or any(len(frame_names(line)) == len(_ARM_NAMES) for line in lines)
    return "" if complete else "no stack trace in report"
