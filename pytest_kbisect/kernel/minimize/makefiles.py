"""Reads kbuild's Makefiles: which objects and folders a folder builds, and under which symbols.

Not make: lists (`obj-$(CONFIG_X) += a.o b/`, `foo-y := c.o`), variables that hold lists, `$(addprefix ...)`
and conditions on symbols are understood, which is what objects are gated with
(Documentation/kbuild/makefiles.rst). Anything else is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Symbols = frozenset[str]
"""Symbols that must all be on, without their CONFIG_."""

_ASSIGNMENT = re.compile(r"^(?:export\s+)?([A-Za-z0-9_./-]+(?:\$\(.*?\)+)?)\s*(\+=|:=|::=|\?=|=)\s*(.*)$")
_LIST = re.compile(r"^(.+?)-(y|m|objs|\$\(.*CONFIG_.*\))$")
_SYMBOL = re.compile(r"\bCONFIG_([A-Za-z0-9_]+)")
_CONDITION = re.compile(r"^(ifdef|ifndef|ifeq|ifneq)\b\s*(.*)$")
_REFERENCE = re.compile(r"\$[({]([A-Za-z0-9_.-]+)[)}]")
_PREFIX = re.compile(r"\$[({]addprefix\s+([^,$]+),((?:[^()$]|\$[({][A-Za-z0-9_.-]+[)}])*)[)}]")
_EXPORTED: Final = ("obj", "lib", "core", "drivers", "net", "libs", "virt", "init", "head")
"""Lists whose members are linked into the kernel as they are."""
_DEPTH = 4
"""Variables that refer to variables, followed at most so far."""


@dataclass(frozen=True, slots=True)
class Member:
    """A word of a list: an object (`a.o`), or a folder (`b/`), and what gates it."""

    name: str
    gates: Symbols


@dataclass(slots=True)
class Makefile:
    """The lists of one Makefile. `linked` are the words of obj-y and the like."""

    linked: list[Member] = field(default_factory=list)
    lists: dict[str, list[Member]] = field(default_factory=dict)
    """Every other list by its name without its suffix: `foo` for foo-y, foo-objs and foo-$(CONFIG_X)."""

    def members(self) -> Iterator[Member]:
        """All objects and folders, those of composed objects with the gates of these, too."""
        yield from self.linked
        for member in self.linked:
            if member.name.endswith(".o"):
                yield from self._parts(member, _DEPTH)

    def _parts(self, whole: Member, depth: int) -> Iterator[Member]:
        if not depth:
            return
        for part in self.lists.get(whole.name.removesuffix(".o"), ()):
            inside = Member(part.name, part.gates | whole.gates)
            yield inside
            if part.name != whole.name:
                yield from self._parts(inside, depth - 1)


def parse(text: str, known: dict[str, str] | None = None) -> Makefile:
    """Read the text of a Makefile; `known` are variables with their values, such as SRCARCH."""
    variables = {name: [Member(value, frozenset())] for name, value in (known or {}).items()}
    found = Makefile()
    for name, gates, value in _assignments(text):
        words = [
            Member(word, member_gates | gates) for word, member_gates in _words(value, variables, _DEPTH)
        ]
        variables.setdefault(name, []).extend(words)
        parts = _LIST.match(name)
        if parts is None:
            continue
        stem, suffix = parts[1], parts[2]
        kept = [
            Member(member.name, member.gates | _symbols(suffix))
            for member in words
            if member.name.endswith((".o", "/"))
        ]
        if stem in _EXPORTED:
            found.linked.extend(kept)
        else:
            found.lists.setdefault(stem, []).extend(kept)
    return found


def _symbols(text: str) -> Symbols:
    return frozenset(_SYMBOL.findall(text))


def _words(value: str, variables: dict[str, list[Member]], depth: int) -> Iterator[tuple[str, Symbols]]:
    """The words of a value, each with the gates of the variable that it came from."""
    while match := _PREFIX.search(value):
        prefix, inside = match[1].strip(), match[2]
        for word, gates in _words(inside, variables, depth):
            yield prefix + word, gates
        value = value[: match.start()] + " " + value[match.end() :]
    for word in value.split():
        reference = _REFERENCE.fullmatch(word)
        if reference is None:
            filled = _REFERENCE.sub(lambda one: _single(variables, one[1]), word)
            if "$" not in filled:
                yield filled, frozenset()
        elif depth:
            name = reference[1]
            wanted = [name, *(other for other in variables if other.startswith(f"{name}$"))]
            for member in (member for one in wanted for member in variables.get(one, ())):
                yield member.name, member.gates


def _single(variables: dict[str, list[Member]], name: str) -> str:
    """The value of a variable that is one word; kept as a reference where it is not."""
    words = variables.get(name, [])
    return words[0].name if len(words) == 1 else f"$({name})"


def _assignments(text: str) -> Iterator[tuple[str, Symbols, str]]:
    """Assignments in order: the variable's name, what must be on for them, the value."""
    branches: list[tuple[Symbols, Symbols]] = []  # of each open condition: what holds here, what in its else
    for line in _logical_lines(text):
        if condition := _CONDITION.match(line):
            branches.append(_branch(condition[1], condition[2]))
        elif line.startswith("else") and branches:
            rest = _CONDITION.match(line.removeprefix("else").strip())
            otherwise = branches.pop()[1]
            if rest is None:
                branches.append((otherwise, frozenset()))
            else:
                holds, more = _branch(rest[1], rest[2])
                branches.append((otherwise | holds, more))
        elif line.startswith("endif") and branches:
            branches.pop()
        elif assignment := _ASSIGNMENT.match(line):
            gates = frozenset[str]().union(*(holds for holds, _ in branches))
            yield assignment[1], gates, assignment[3]


def _branch(keyword: str, rest: str) -> tuple[Symbols, Symbols]:
    """The symbols that are on in a condition's first branch, and those in its other one."""
    symbols, none = _symbols(rest), frozenset[str]()
    compared_with_nothing = bool(re.search(r",\s*\)\s*$|\(\s*,", rest))
    if keyword == "ifdef":
        return symbols, none
    if keyword == "ifndef":
        return none, symbols
    on = re.search(r"[(,]\s*(?:y|m)+\s*[),]", rest) is not None
    if keyword == "ifneq":
        return (symbols, none) if compared_with_nothing else (none, symbols if on else none)
    return (none, symbols) if compared_with_nothing else (symbols if on else none, none)


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments and recipes, continued ones joined."""
    pending = ""
    for raw in text.splitlines():
        if not pending and raw.startswith("\t") and not raw.strip().startswith("obj-"):
            continue
        line = raw.partition("#")[0].rstrip()
        if line.endswith("\\"):
            pending += f"{line[:-1]} "
            continue
        whole = (pending + line).strip()
        pending = ""
        if whole:
            yield whole


def gated_by(alternatives: Collection[Symbols]) -> Symbols:
    """Of several ways to have an object the one that needs the fewest symbols."""
    return min(alternatives, key=lambda one: (len(one), sorted(one)), default=frozenset())
