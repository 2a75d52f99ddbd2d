"""Whether a kernel reports a breakpoint of ours, which it found in its memory or which trapped in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Where a function begins: no return address points there, but ftrace, kprobes and text_poke() patch there.
_ENTRY: Final = r"(?:\[<(?P<address>[0-9a-f]{8,16})>\]\s*)?(?P<name>[\w.]+)\+0x[01]/0x"
_REPORTS: Final = tuple(
    re.compile(pattern.format(entry=_ENTRY))
    for pattern in (
        # die("int3") in exc_int3(), die("unexpected #DB") and the like; the trap is after the instruction.
        r"(?:int3|debug|#DB)[: ](?:.*\n){{1,12}}?.*\bR?IP: (?:0010:)?{entry}",
        # ftrace_bug(): the address, the symbol, and the bytes that it found there
        r"ftrace (?:failed to modify|faulted on).*\n(?:.*\n)?.*?{entry}",
        # text_poke() of a jump label: "Unexpected op at", "unexpected_jump_label"
        r"[Uu]nexpected op at {entry}",
    )
)


def function_blamed(text: str, entries: Mapping[str, Sequence[int]]) -> str:
    """The function of `entries`, by whose breakpoint a report in a console's `text` is explained; else ""."""
    names = {address: name for name, places in entries.items() for address in places}
    for pattern in _REPORTS:
        for found in pattern.finditer(text):
            name = found["name"].partition(".")[0]
            if name in entries:
                return name
            if found["address"] and (known := names.get(int(found["address"], 16))):
                return known
    return ""
