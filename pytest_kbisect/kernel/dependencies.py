"""Why a symbol that was asked for is not there: its unmet dependency, read from the tree's Kconfig files.

Not a Kconfig parser: menus, choices, ifs and `depends on` are followed as far as an explanation
needs, and what is not understood is left out. (kconfiglib, which is one, cannot parse 6.1.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_WORD = re.compile(r"\s*(&&|\|\||!=|!|=|<=|>=|<|>|\(|\)|\"[^\"]*\"|'[^']*'|\$\([^)]*\)|[A-Za-z0-9_./-]+)")
_NAME = re.compile(r"\b(?!\d+\b)[A-Z0-9_]{2,}\b")
_ENTRY = re.compile(r"(?:menu)?config\s+([A-Za-z0-9_]+)$")
_SOURCE = re.compile(r"(o?r?source)\s+\"?([^\"]+)\"?$")
_SELECT = re.compile(r"select\s+([A-Za-z0-9_]+)(?:\s+if\s+(.*))?$")
_PROMPT = re.compile(r"(?:bool|tristate|string|int|hex|def_bool|def_tristate|prompt)\b(.*)$")


@dataclass(slots=True)
class _Symbol:
    """One symbol's definitions, each a list of conditions that must all hold, and who selects it."""

    definitions: list[list[str]] = field(default_factory=list)
    prompts: int = 0
    selected_by: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Level:
    """An `if`, `menu` or `choice` that is open, with its conditions so far."""

    kind: str
    conditions: list[str]


class Kconfig:
    """The Kconfig files of a tree, read once (about half a second for 6.1)."""

    def __init__(self, tree: Path, srcarch: str) -> None:
        self._tree = tree
        self._variables = {"SRCARCH": srcarch, "ARCH": srcarch, "HEADER_ARCH": srcarch}
        self._symbols: dict[str, _Symbol] = {}
        self._read("Kconfig", [])

    def explain(self, symbol: str, values: Mapping[str, str], depth: int = 4) -> str:
        """In a few words why `symbol` is not set, given a .config's values; empty if that is not clear."""
        known = self._defined(symbol)
        if known is None:
            return "no such symbol at this commit"
        unmet = min(
            (self._unmet(conditions, values) for conditions in known.definitions), key=len, default=[]
        )
        if not unmet:
            return "" if known.prompts else "it cannot be set by hand, other symbols select it"
        clause = unmet[0]
        text = f"depends on {clause}"
        if depth and re.fullmatch(r"[A-Z0-9_]+", clause) and self._defined(clause):
            deeper = self.explain(clause, values, depth - 1)
            if deeper:
                text += f", which {deeper}" if deeper.startswith("depends") else f" ({deeper})"
        elif depth and re.fullmatch(r"[A-Z0-9_]+", clause):
            text += " (no such symbol at this commit)"
        return text

    def wanting(self, symbol: str, values: Mapping[str, str]) -> frozenset[str]:
        """The symbols that the unmet conditions of a symbol name, given a .config's values."""
        known = self._symbols.get(symbol)
        if known is None:
            return frozenset()
        unmet = min(
            (self._unmet(conditions, values) for conditions in known.definitions), key=len, default=[]
        )
        return frozenset(word for clause in unmet for word in _NAME.findall(clause))

    def selectors(self, symbol: str, values: Mapping[str, str]) -> frozenset[str]:
        """The symbols that a .config's values have on and that select this one."""
        known = self._symbols.get(symbol)
        return frozenset(
            other
            for other, condition in (known.selected_by if known else ())
            if values.get(other) in {"y", "m"} and (not condition or holds(condition, values))
        )

    def can_be_set(self, symbol: str) -> bool:
        """Whether a symbol has a prompt: without one other symbols select it, or its default holds."""
        known = self._symbols.get(symbol)
        return known is not None and known.prompts > 0

    def _defined(self, symbol: str) -> _Symbol | None:
        """A symbol that has a definition: one may be selected and have none."""
        known = self._symbols.get(symbol)
        return known if known and known.definitions else None

    @staticmethod
    def _unmet(conditions: list[str], values: Mapping[str, str]) -> list[str]:
        clauses = [clause for condition in conditions for clause in split_and(condition)]
        return [clause for clause in dict.fromkeys(clauses) if not holds(clause, values)]

    def _read(self, name: str, outer: list[str]) -> None:
        for variable, value in self._variables.items():
            name = name.replace(f"$({variable})", value).replace(f"${variable}", value)
        if "$" in name:
            return
        paths = sorted(self._tree.glob(name)) if "*" in name else [self._tree / name]
        for path in paths:
            try:
                text = path.read_text(errors="replace")
            except OSError:  # a conditional source, or an architecture that has none
                continue
            self._parse(text, outer)

    def _parse(self, text: str, outer: list[str]) -> None:
        levels = [_Level("file", list(outer))]
        own: list[str] | None = None  # conditions of the entry that is being read
        symbol: _Symbol | None = None
        name = ""
        for line in _logical_lines(text):
            inherited = [condition for level in levels for condition in level.conditions]
            keyword = line.split(None, 1)[0]
            if entry := _ENTRY.match(line):
                own = list(inherited)
                name = entry[1]
                symbol = self._symbols.setdefault(name, _Symbol())
                symbol.definitions.append(own)
            elif keyword == "if":
                levels.append(_Level("if", [line[2:].strip()]))
                own = symbol = None
            elif keyword in {"menu", "choice"}:
                own = []
                levels.append(_Level(keyword, own))
                symbol = None
            elif keyword in {"endif", "endmenu", "endchoice"}:
                if len(levels) > 1:
                    levels.pop()
                own = symbol = None
            elif source := _SOURCE.match(line):
                self._read(source[2].strip(), inherited)
                own = symbol = None
            elif keyword in {"comment", "mainmenu"}:
                own = symbol = None
            elif line.startswith("depends on") and own is not None:
                own.append(line.removeprefix("depends on").strip())
            elif symbol and (selects := _SELECT.match(line)):
                self._symbols.setdefault(selects[1], _Symbol()).selected_by.append((name, selects[2] or ""))
            elif symbol and (prompt := _PROMPT.match(line)):
                symbol.prompts += '"' in prompt[1]


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments and help texts, continued ones joined."""
    help_indent: int | None = None
    pending = ""
    waiting_for_help = False
    for raw in text.splitlines():
        line = raw.expandtabs()
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if waiting_for_help or help_indent is not None:
            if not stripped:
                continue
            if waiting_for_help:
                waiting_for_help, help_indent = False, indent
                if indent > 0:
                    continue
            if help_indent is not None and 0 < help_indent <= indent:
                continue
            help_indent = None
        if stripped.endswith("\\"):
            pending += f"{stripped[:-1].strip()} "
            continue
        stripped = pending + stripped
        pending = ""
        if stripped in {"help", "---help---"}:
            waiting_for_help = True
        elif stripped and not stripped.startswith("#"):
            yield re.sub(r"\s#[^\"']*$", "", stripped)


def split_and(expression: str) -> list[str]:
    """The parts of an expression that must each hold."""
    parts, depth, start = [], 0, 0
    for match in re.finditer(r"[()]|&&|\|\|", expression):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
        elif match[0] == "||" and depth == 0:
            return [expression.strip()]
        elif match[0] == "&&" and depth == 0:
            parts.append(expression[start : match.start()].strip())
            start = match.end()
    parts.append(expression[start:].strip())
    if len(parts) > 1:
        return [clause for part in parts for clause in split_and(part)]
    return split_and(parts[0][1:-1]) if _closes_at_end(parts[0]) else parts


def _closes_at_end(text: str) -> bool:
    """Whether the parenthesis that opens a text closes at its end."""
    if not text.startswith("("):
        return False
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position == len(text) - 1
    return False


def holds(expression: str, values: Mapping[str, str]) -> bool:
    """Whether a Kconfig expression holds for a .config's values (`m` counts as true).

    What cannot be evaluated (a shell call) is taken to hold: it is not to be blamed.
    """
    words = [match[1] for match in _WORD.finditer(expression)]
    try:
        result, rest = _or(words, values)
    except (IndexError, ValueError):
        return True
    return result if not rest else True


def _or(words: list[str], values: Mapping[str, str]) -> tuple[bool, list[str]]:
    result, words = _and(words, values)
    while words and words[0] == "||":
        right, words = _and(words[1:], values)
        result = result or right
    return result, words


def _and(words: list[str], values: Mapping[str, str]) -> tuple[bool, list[str]]:
    result, words = _not(words, values)
    while words and words[0] == "&&":
        right, words = _not(words[1:], values)
        result = result and right
    return result, words


def _not(words: list[str], values: Mapping[str, str]) -> tuple[bool, list[str]]:
    if words[0] == "!":
        result, words = _not(words[1:], values)
        return not result, words
    if words[0] == "(":
        result, words = _or(words[1:], values)
        if words[0] != ")":
            raise ValueError
        return result, words[1:]
    left = _value(words[0], values)
    if len(words) > 2 and words[1] in {"=", "!="}:
        right = _value(words[2], values)
        return (left == right) == (words[1] == "="), words[3:]
    if len(words) > 2 and words[1] in {"<", ">", "<=", ">="}:
        a, b = int(left, 0), int(_value(words[2], values), 0)
        return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[words[1]], words[3:]
    if words[0].startswith("$"):
        return True, words[1:]
    return left in {"y", "m"}, words[1:]


def _value(word: str, values: Mapping[str, str]) -> str:
    if word.startswith(('"', "'")):
        return word[1:-1]
    if word in {"y", "m", "n"} or re.fullmatch(r"-?[0-9]+|0x[0-9A-Fa-f]+", word):
        return word
    return values.get(word, "n").strip('"')
