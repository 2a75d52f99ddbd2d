"""The text of a syz program: its calls, their properties, and old options written as properties."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pytest_kbisect.errors import UsageError

_CALL: Final = re.compile(r"^(?:(?P<result>r\d+) = )?(?P<name>[A-Za-z_]\w*(?:\$\w+)?)\(")
_PROPERTIES: Final = re.compile(
    r" \((?P<list>(?:async|\w+: -?\d+)(?:, (?:async|\w+: -?\d+))*)\)[ \t]*$", re.ASCII
)
_NUMBER: Final = re.compile(r"fail_nth: (\d+)")
_RESULT: Final = re.compile(r"<(r\d+)=>|=(r\d+)=>")
"""A resource that a call leaves in its arguments: `&(0x7f0000000000)={<r1=>0x0}`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `line` is the number of its line, from 0; `properties` are those behind it."""

    line: int
    name: str
    results: tuple[str, ...]
    properties: tuple[str, ...]

    @property
    def fail_nth(self) -> int:
        """Which fault is injected into it, from 1; 0 if none is."""
        found = _NUMBER.search(" ".join(self.properties))
        return int(found[1]) if found else 0


def calls_of(text: str, name: str) -> tuple[Call, ...]:
    """The calls of a program, in order. Raises UsageError where it is none."""
    if "\0" in text or text.lstrip()[:15].lower().startswith(("<!doctype", "<html")):
        what = "a binary file" if "\0" in text else "a web page"
        raise UsageError(
            f"{name} is {what}, no syz program: get the text that the bug's page calls syz repro"
        )
    found = []
    for number, line in enumerate(text.splitlines()):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        begin = _CALL.match(line)
        if begin is None:
            raise UsageError(f"{name}:{number + 1} is no call of a syz program: get the file again")
        results = [begin["result"]] if begin["result"] else []
        results += [one or other for one, other in _RESULT.findall(line)]
        end = _PROPERTIES.search(line)
        properties = tuple(end["list"].split(", ")) if end else ()
        found.append(Call(number, begin["name"], tuple(results), properties))
    if not found:
        raise UsageError(f"{name} has no calls: get the file again")
    return tuple(found)


def with_fault(text: str, calls: tuple[Call, ...], *, call: int, nth: int, name: str) -> str:
    """The program with a fault in a call (from 0), the `nth` one from 0: `(fail_nth: N)` counts from 1.

    So does syzkaller itself for old logs (prog/parse.go).
    """
    if call >= len(calls):
        raise UsageError(
            f"{name}: fault_call {call} is behind the last of {len(calls)} calls: get the file again"
        )
    return _with_properties(text, {calls[call].line: (*calls[call].properties, f"fail_nth: {nth + 1}")})


def without_fault(text: str, calls: tuple[Call, ...], name: str) -> tuple[str, int, int]:
    """The program without its `(fail_nth: N)`, the number of that call, and which fault, both from 0.

    (-1, 0 where it has none.) Programs of before September 2021 knew one such call.
    """
    failing = [number for number, call in enumerate(calls) if call.fail_nth]
    if not failing:
        return text, -1, 0
    if len(failing) > 1:
        raise UsageError(
            f"{name} injects faults into {len(failing)} calls, and this syz-execprog can do so in one only: "
            "use a syzkaller of September 2021 or later"
        )
    call = calls[failing[0]]
    kept = tuple(one for one in call.properties if not one.startswith("fail_nth:"))
    return _with_properties(text, {call.line: kept}), failing[0], call.fail_nth - 1


def collided(text: str, name: str) -> str:
    """The program as `collide` ran it the second time: every other call is not waited for.

    (executor.cc before fd8caa546: `colliding && call_index % 2 == 0`.) A call whose result a later one uses
    is waited for all the same, as syzkaller's own AssignRandomAsync has it; so is the last one.
    """
    lines, calls = text.splitlines(), calls_of(text, name)
    changed = {}
    for number, call in enumerate(calls[:-1]):
        later = "\n".join(lines[call.line + 1 :])
        used = any(re.search(rf"\b{result}\b", later) for result in call.results)
        if number % 2 == 1 and not used and not call.fail_nth and "async" not in call.properties:
            changed[call.line] = ("async", *call.properties)
    return _with_properties(text, changed)


def _with_properties(text: str, properties: dict[int, tuple[str, ...]]) -> str:
    lines = text.splitlines()
    for number, words in properties.items():
        bare = _PROPERTIES.sub("", lines[number]).rstrip()
        lines[number] = f"{bare} ({', '.join(words)})" if words else bare
    return "\n".join(lines) + "\n"
