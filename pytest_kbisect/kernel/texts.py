"""Line numbers that are written out in texts of the image: "kernel/fork.c:123", and KASAN's of stacks.

A text counts by all of it. Two forms can be named exactly:

    __FILE__ ":" __stringify(__LINE__)  a name of lockdep's for a timer (include/linux/timer.h): the name of a
                                        source file, a colon and a number
    "2 32 8 6 key:12 64 16 7 list:20"   how many variables a function has on its stack; of each its offset and
                                        size, the length of what follows, name and line (gcc/asan.cc)

Only the digits are cleared. A line that has more of them than before makes the text longer and moves all that
lies behind it; such kernels are told apart.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kbisect.kernel.loaded import Loaded

_FILE_AND_LINE: Final = re.compile(rb"(?<![^\0])[A-Za-z0-9_./+-]{1,200}\.[chS]:(?P<line>[0-9]{1,6})(?=\0)")
_STACK: Final = re.compile(
    rb"(?<![^\0])(?P<count>[1-9][0-9]{0,3})(?P<variables>(?: [0-9]+ [0-9]+ [0-9]+ [^\0]{1,300})+)(?=\0)"
)
_VARIABLE: Final = re.compile(rb" [0-9]+ [0-9]+ (?P<length>[0-9]+) ")
_LINE: Final = re.compile(rb":(?P<line>[0-9]+)\Z")
_MOST_DIGITS: Final = 6


def lines(loaded: Loaded) -> list[tuple[int, bytes]]:
    """Addresses of the digits, and the bits there that are theirs."""
    found = []
    for section in loaded.sections:
        if section.executable or not section.address:
            continue
        data = bytes(section.data)
        spans = [match.span("line") for match in _FILE_AND_LINE.finditer(data)]
        for match in _STACK.finditer(data):
            spans += _of_stack(match)
        found += [(section.address + start, b"\xff" * (end - start)) for start, end in spans]
    return found


def _of_stack(match: re.Match[bytes]) -> list[tuple[int, int]]:
    """Where the lines of a function's variables are; nowhere if the text is not what it looks like."""
    spans = list(_of_variables(match["variables"], match.start("variables")))
    if len(spans) != int(match["count"]):
        return []
    return [span for span in spans if span is not None]


def _of_variables(text: bytes, start: int) -> Iterator[tuple[int, int] | None]:
    """Of each variable where its line is, or None if it has none. Ends early where a length does not fit."""
    at = 0
    while at < len(text):
        variable = _VARIABLE.match(text, at)
        if variable is None:
            break
        end = variable.end() + int(variable["length"])
        if end > len(text) or text[end : end + 1] not in {b"", b" "}:
            break
        line = _LINE.search(text, variable.end(), end)
        fits = line is not None and len(line["line"]) <= _MOST_DIGITS
        yield (start + line.start("line"), start + line.end("line")) if line is not None and fits else None
        at = end
    if at != len(text):
        yield None  # one more than were counted: the text is of another kind


__all__ = ["lines"]
