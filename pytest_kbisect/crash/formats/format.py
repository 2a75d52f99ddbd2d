"""Crash formats: how kernels report one kind of fault, and where the report names the function at fault."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.pattern import Pattern
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Text that stands for itself in the tables. A function in an address is `name+0x10/0x20`, where the
# name may carry a compiler's suffix (.isra.0, .cold, .part.3, .constprop.1, .llvm.123).
PC: Final = r"\[?<?(?:0x)?[0-9a-f]{8,16}>?\]?"
NAME: Final = r"[A-Za-z_$][\w$]{0,200}"
FUNC: Final = rf"\.?(?P<func>{NAME})(?:\.[\w.]{{1,80}})?\+0x[0-9a-f]{{1,16}}(?:/0x[0-9a-f]{{1,16}})?"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A line to go forward to. If it names a function (group `func`) that is a candidate for key frame."""

    pattern: Pattern[str]


@dataclass(frozen=True, slots=True)
class Stack:
    """Read on, taking the functions of the stack trace that comes, up to the next trace or anchor."""


Step = Anchor | Stack


def anchor(source: str) -> Anchor:
    """An anchor at the first line that matches."""
    return Anchor(Pattern(source))


STACK: Final = Stack()

# Where the fault happened, as each architecture prints it: x86 "RIP: 0010:f+0x1/0x2" (before 4.12 with
# addresses), i386 "EIP: f+..", arm64 "pc : f+..", arm "PC is at f+..", powerpc "NIP [c0..] f+..",
# riscv "epc : f+..", s390 "Krnl PSW : .. (f+0x1/0x2)", mips "epc   : c0.. f+..", loongarch "pc 90.. f+.."
# and "ERA: 90.. f+..". ppc64's big-endian functions begin with a dot (ELFv1, function descriptors).
_PROGRAM_COUNTER: Final = (
    r"\b[RE]?IP:? (?:is at )?(?:[0-9a-f]{4}:)?|\bNIP |\bERA: |IAOQ\[0\]: |\bPC: |\bpc is at |\bpc\s{0,4}:? |PC is at |\be(?:pc|ra)\s{0,4}: "
    r"|Krnl PSW : [0-9a-f]{16} [0-9a-f]{16} \("
)
_NOWHERE: Final = r"(?<!0033:)(?<!0023:)(?<!002b:)(?:\s{0,4}\[<\s{0,16}\(null\)>\])?\s{0,16}(?:0x[0-9a-f]{1,16}\b|\(null\))"  # a jump through a bad pointer
RIP: Final = anchor(rf"(?:{_PROGRAM_COUNTER})(?: {{0,2}}{PC}){{0,2}} {{0,2}}(?:{FUNC}|{_NOWHERE})")
# powerpc comes to WARN() by a trap, and so do user faults on it.
RIP_OR_TRAP: Final = anchor(
    rf"(?:{_PROGRAM_COUNTER}|^--- (?:interrupt|Exception): \w{{1,8}} at )(?: {{0,2}}{PC}){{0,2}} {{0,2}}{FUNC}"
)
# Before 4.10 x86 may print its "Call Trace:" at the end of the line of the stack's words. The unwinder of
# 32-bit arm prints no headline before 5.18: its first line names itself.
CALL_TRACE: Final = Anchor(
    Pattern(
        r"Call [Tt]race:|^\s*Backtrace:|(?<!stack )\bbacktrace(?: \(crc [0-9a-f]{1,8}\))?:\s*$"
        r"|^\s{0,4}(?:\[<[0-9a-f]{8}>\] \()?(?:unwind_backtrace|dump_backtrace)\b[^\n]{0,80}? from "
    )
)


@dataclass(frozen=True, slots=True)
class CrashFormat:
    """One way a kernel reports one kind of fault. `crash_format` makes one of expressions given as text.

    Lines that have one of the words `headers` are looked at. `sign` finds the report, in one line. `details`
    must then be found on the following lines, in that order; a kernel that printed the sign but not these was
    cut short. The named groups of both, and `frame`, fill `title` and `alternatives`; so does `origin`, the
    key frame that `origin_steps` lead to. `steps` lead to the key frame, and where they find none the
    `fallbacks`, one after the other. `choose` picks the key frame from the functions found (default: the
    first that is not on the way to a fault in general, see frames); `skip` adds to those for this format
    alone.
    `kind`: the type of these crashes; "" where kinds.py derives it from the title.
    `traceless`: this report has no stack trace, so one that has none is not cut short.
    `cut_short`: the text itself says that the report was cut.
    `loose`: programs print such words as well; it takes a kernel's time before them, or a trace below.
    """

    sign: Pattern[str]
    title: str
    alternatives: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    kind: str = ""
    details: tuple[Pattern[str], ...] = ()
    steps: tuple[Step, ...] = ()
    fallbacks: tuple[tuple[Step, ...], ...] = ()
    choose: Callable[[Sequence[str]], tuple[str, str]] | None = None
    skip: tuple[str, ...] = ()
    origin_steps: tuple[Step, ...] = ()
    traceless: bool = False
    cut_short: bool = False
    loose: bool = False

    def check(self) -> None:
        """Raise UsageError where this cannot be used, which would otherwise show when a kernel crashes."""
        if isinstance(self.headers, str) or not self.headers or not all(self.headers):
            raise UsageError(
                f"crash format {self.title!r}: name the words of its first line as headers, a tuple of texts"
            )
        ways = (self.steps, self.origin_steps, *self.fallbacks)
        if not all(isinstance(step, Anchor | Stack) for steps in ways for step in steps):
            raise UsageError(
                f"crash format {self.title!r}: use CALL_TRACE, RIP, STACK or anchor(expression) as steps"
            )
        for name, steps in (("frame", self.steps), ("origin", self.origin_steps)):
            if f"{{{name}}}" in self.title and not steps and name not in self.sign.compiled.groupindex:
                raise UsageError(f"crash format {self.title!r}: give the steps that lead to {{{name}}}")
        try:
            names = {name for pattern in (self.sign, *self.details) for name in pattern.compiled.groupindex}
            for form in (self.title, *self.alternatives):
                form.format_map(dict.fromkeys(names | {"frame", "origin"}, ""))
        except re.error as error:
            raise UsageError(
                f"crash format {self.title!r}: write a valid expression instead of {error.pattern!r}: {error}"
            ) from None
        except (KeyError, ValueError, IndexError) as error:
            raise UsageError(
                f"crash format {self.title!r}: use only groups of its expressions and {{frame}} in titles, not {error}"
            ) from None


def crash_format(
    sign: str,
    title: str,
    *alternatives: str,
    headers: tuple[str, ...] = (),
    kind: str = "",
    details: tuple[str, ...] = (),
    steps: tuple[Step, ...] = (),
    fallback_steps: tuple[Step, ...] = (),
    last_steps: tuple[Step, ...] = (),
    choose: Callable[[Sequence[str]], tuple[str, str]] | None = None,
    skip: tuple[str, ...] = (),
    origin_steps: tuple[Step, ...] = (),
    traceless: bool = False,
    cut_short: bool = False,
    loose: bool = False,
) -> CrashFormat:
    """A CrashFormat of regular expressions given as text, which are compiled when they are first used."""
    return CrashFormat(
        sign=Pattern(sign),
        title=title,
        alternatives=alternatives,
        headers=headers,
        kind=kind,
        details=tuple(Pattern(detail) for detail in details),
        steps=steps,
        fallbacks=tuple(way for way in (fallback_steps, last_steps) if way),
        choose=choose,
        skip=skip,
        origin_steps=origin_steps,
        traceless=traceless,
        cut_short=cut_short,
        loose=loose,
    )
