"""The command line of syz-execprog, from a program's options and the flags that this very binary has.

So does syzkaller itself (ExecprogCmd in pkg/instance/instance.go), but for two things: which flags there are
is asked of the binary and not looked up in a table of dates, and the program runs with the features of its
header, not with all that the kernel has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.syzkaller.syz_features import enabled
from pytest_kbisect.syzkaller.syz_header import SyzOptions
from pytest_kbisect.syzkaller.syz_program import collided, with_fault, without_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kbisect.syzkaller.syz_program import Call

EXECPROG: Final = "syz-execprog"
EXECUTOR: Final = "syz-executor"

_FLAG: Final = re.compile(r"^ {1,4}-([A-Za-z_]\w*)(?:[ \t]|$)", re.MULTILINE)
_FEATURE: Final = re.compile(r"^ +(\w+) - ", re.MULTILINE)
_NO_HEADER: Final = SyzOptions(threaded=True, repeat=True, sandbox="none")


@dataclass(frozen=True, slots=True)
class Usage:
    """What `-help` of a Go program says: its flags with their descriptions, and features for -enable."""

    flags: Mapping[str, str]
    features: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Usage:
        """Read the output of `-help`; without flags where it is none."""
        found = list(_FLAG.finditer(text))
        ends = [*(one.start() for one in found[1:]), len(text)]
        flags = {one[1]: text[one.end() : end].strip() for one, end in zip(found, ends, strict=False)}
        return cls(flags, frozenset(_FEATURE.findall(text)))

    @property
    def collides(self) -> bool:
        """Whether -collide does something: since December 2021 it is accepted and ignored (fd8caa546)."""
        return "collide" in self.flags and "DEPRECATED" not in self.flags["collide"]

    @property
    def injects_by_flag(self) -> bool:
        """Whether the call with a fault is named by a flag: until September 2021 (1c202847d)."""
        return "fault_call" in self.flags


@dataclass(frozen=True, slots=True)
class ExecprogCommand:
    """Words for the guest, and the programs they name: file name -> text."""

    words: tuple[str, ...]
    programs: Mapping[str, str]


def command(
    name: str, text: str, calls: tuple[Call, ...], options: SyzOptions | None, usage: Usage, arch: str
) -> ExecprogCommand:
    """How syz-execprog runs a program. Old options are flags where it has them, else properties of calls.

    `arch` is what Go calls the architecture. Raises UsageError where an option cannot be had.
    """
    known = options or _NO_HEADER
    faults: tuple[str, ...] = ()
    if known.injects_fault and not usage.injects_by_flag:
        text = with_fault(text, calls, call=known.fault_call, nth=known.fault_nth, name=name)
    elif usage.injects_by_flag:
        call, nth = known.fault_call if known.injects_fault else -1, known.fault_nth
        if not known.injects_fault:
            text, call, nth = without_fault(text, calls, name)
        faults = (f"-fault_call={call}", f"-fault_nth={nth}")
    programs = {name: text}
    if known.collide and not usage.collides:
        # The two passes of the old executor become two programs, which are run in turn.
        programs[f"collide-{name}"] = collided(text, name)
    words = [
        *(EXECPROG, "-executor", EXECUTOR, f"-arch={arch}"),
        f"-sandbox={known.sandbox or 'none'}",  # the executor knows no empty one
        f"-procs={known.procs}",
        f"-repeat={_repeat(known)}",
        "-threaded=true",  # as syzkaller does for each run, whatever the option says
        *_if(usage, "collide", str(known.collide).lower()),
        *_if(usage, "cover", "0"),
        *_if(usage, "enable", enabled(known, usage.features) if options and usage.features else None),
        *faults,
        *_if(usage, "slowdown", str(known.slowdown) if known.slowdown > 1 else None),
        *_if(usage, "sandbox_arg", str(known.sandbox_arg) if known.sandbox_arg else None),
        *programs,
    ]
    return ExecprogCommand(tuple(words), programs)


def _repeat(options: SyzOptions) -> int:
    """0 is without end: until the run's time limit."""
    return options.repeat_times if options.repeat else 1


def _if(usage: Usage, flag: str, value: str | None) -> tuple[str, ...]:
    return () if value is None or flag not in usage.flags else (f"-{flag}={value}",)
