"""Which symbols a function's definition is within: the preprocessor's conditions around it in its C file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_DIRECTIVE = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)$")
_ON = re.compile(
    r"(!\s*)?(?:defined\s*\(?\s*|IS_ENABLED\s*\(\s*|IS_BUILTIN\s*\(\s*)?\bCONFIG_([A-Za-z0-9_]+)"
)
# A definition begins in the first column, or its name does; a declaration ends with a semicolon.
_NAME = re.compile(r"(?:^|[\s*(,])([A-Za-z_][A-Za-z0-9_]*)\s*[(,)]")


def around(text: str, functions: Collection[str]) -> Mapping[str, frozenset[str]]:
    """The symbols (without CONFIG_) that must be on for each of these functions, by the text of their file.

    A function that is not defined in the text, or outside of all conditions, is not in the result.
    """
    wanted = set(functions)
    found: dict[str, frozenset[str]] = {}
    levels: list[frozenset[str]] = []
    for line in text.splitlines():
        if directive := _DIRECTIVE.match(line):
            keyword, condition = directive[1], directive[2]
            if keyword in {"if", "ifdef"}:
                levels.append(_required(condition))
            elif keyword == "ifndef":
                levels.append(frozenset())
            elif not levels:
                continue
            elif keyword == "elif":
                levels[-1] = _required(condition)
            elif keyword == "else":
                levels[-1] = frozenset()
            else:
                levels.pop()
        elif levels and line[:1] not in {"", " ", "\t", "}", "/", "*"} and not line.rstrip().endswith(";"):
            around_it = frozenset[str]().union(*levels)
            for name in _NAME.findall(line):
                if name in wanted and around_it:
                    found.setdefault(name, around_it)
    return found


def _required(condition: str) -> frozenset[str]:
    """The symbols that a condition requires; none where one of several is enough."""
    if "||" in condition:
        return frozenset()
    return frozenset(name for negated, name in _ON.findall(condition) if not negated)
