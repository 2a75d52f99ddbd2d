"""A crash format: how kernels report one kind of fault, and where a report names the function at fault."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.pattern import Pattern
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Building blocks for the tables. A function in an address is `name+0x10/0x20`; the name may have a compiler
# suffix (.isra.0, .cold, .part.3, .constprop.1, .llvm.123).
PC: Final = r"\[?<?(?:0x)?[0-9a-f]{8,16}>?\]?"
NAME: Final = r"[A-Za-z_$][\w$]{0,200}"
FUNC: Final = rf"\.?(?P<func>{NAME})(?:\.[\w.]{{1,80}})?\+0x[0-9a-f]{{1,16}}(?:/0x[0-9a-f]{{1,16}})?"


@dataclass(frozen=True, slots=True)
class Anchor:
    """Skip to a line. If it names a function (group `func`), that function may be the key frame."""

    pattern: Pattern[str]


@dataclass(frozen=True, slots=True)
class Stack:
    """Collect the functions of the following stack trace, up to the next trace or anchor."""


Step = Anchor | Stack


def anchor(source: str) -> Anchor:
    """An anchor at the first line that matches."""
    return Anchor(Pattern(source))


STACK: Final = Stack()

# The location of the fault, as each architecture prints it: x86 "RIP: 0010:f+0x1/0x2" (before 4.12 with
# addresses), i386 "EIP: f+..", arm64 "pc : f+..", arm "PC is at f+..", powerpc "NIP [c0..] f+..",
# riscv "epc : f+..", s390 "Krnl PSW : .. (f+0x1/0x2)", mips "epc   : c0.. f+..", loongarch "pc 90.. f+.."
# and "ERA: 90.. f+..". Function names on big-endian ppc64 begin with a dot (ELFv1, function descriptors).
_PROGRAM_COUNTER: Final = (
    r"\b[RE]?IP:? (?:is at )?(?:[0-9a-f]{4}:)?|\bNIP |\bERA: |IAOQ\[0\]: |\bPC: |\bpc is at |\bpc\s{0,4}:? |PC is at |\be(?:pc|ra)\s{0,4}: "
    r"|Krnl PSW : [0-9a-f]{16} [0-9a-f]{16} \("
)
_NOWHERE: Final = r"(?<!0033:)(?<!0023:)(?<!002b:)(?:\s{0,4}\[<\s{0,16}\(null\)>\])?\s{0,16}(?:0x[0-9a-f]{1,16}\b|\(null\))"  # a jump through a bad pointer
RIP: Final = anchor(rf"(?:{_PROGRAM_COUNTER})(?: {{0,2}}{PC}){{0,2}} {{0,2}}(?:{FUNC}|{_NOWHERE})")
# On powerpc, WARN() raises a trap, and so do user faults.
RIP_OR_TRAP: Final = anchor(
    rf"(?:{_PROGRAM_COUNTER}|^--- (?:interrupt|Exception): \w{{1,8}} at )(?: {{0,2}}{PC}){{0,2}} {{0,2}}{FUNC}"
)
# Before 4.10 x86 may print "Call Trace:" at the end of the line with the words of the stack. Before 5.18 the
# unwinder of 32-bit arm prints no headline: its first line names the unwinder itself.
CALL_TRACE: Final = Anchor(
    Pattern(
        r"Call [Tt]race:|^\s*Backtrace:|(?<!stack )\bbacktrace(?: \(crc [0-9a-f]{1,8}\))?:\s*$"
        r"|^\s{0,4}(?:\[<[0-9a-f]{8}>\] \()?(?:unwind_backtrace|dump_backtrace)\b[^\n]{0,80}? from "
    )
)


@dataclass(frozen=True, slots=True)
class CrashFormat:
    """One way a kernel reports one kind of fault. `crash_format` makes one from expressions given as text.

    Only lines with one of the words in `headers` are examined. `sign` matches one line and identifies the
    report. `details` must then match on the following lines, in that order; a report with the sign but
    without the details was cut short. The named groups of both, and `frame`, fill `title` and `alternatives`;
    so does `origin`, the key frame that `origin_steps` lead to. `steps` lead to the key frame; if they find
    none, the `fallbacks` are tried in turn. `choose` selects the key frame from the functions found (default:
    the first that is not generic, see frames); `skip` lists more generic functions, for this format only.
    `kind`: the type of these crashes; "" if kinds.py derives it from the title.
    `traceless`: the report has no stack trace, so a missing trace does not mean that it was cut short.
    `cut_short`: this text only appears in reports that were cut short.
    `loose`: programs print such words as well, so a kernel time before them or a trace below is required.
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
        """Raise UsageError if this format cannot be used, so that the error does not wait for a crash."""
        if isinstance(self.headers, str) or not self.headers or not all(self.headers):
            raise UsageError(
                f"crash format {self.title!r} has no headers, or an empty one: name words of its first line, a tuple of texts"
            )
        ways = (self.steps, self.origin_steps, *self.fallbacks)
        if not all(isinstance(step, Anchor | Stack) for steps in ways for step in steps):
            raise UsageError(
                f"crash format {self.title!r} has a step of another type: use CALL_TRACE, RIP, STACK or anchor(expression) as steps"
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
                f"crash format {self.title!r} has an invalid expression {error.pattern!r}: {error}: write a valid one"
            ) from None
        except (KeyError, ValueError, IndexError) as error:
            raise UsageError(
                f"crash format {self.title!r} has an unknown group in a title: {error}: use {{frame}}, {{origin}} or"
                " named groups of its expressions"
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
    """Make a CrashFormat from regular expressions given as text. They are compiled at first use."""
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
