"""What is known to go wrong when a tool builds, or a machine boots, an old kernel; and what helps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import re

Version = tuple[int, ...]
ToolName = Literal["gcc", "clang", "ld", "host gcc"]
"""The kernel's compiler, GNU ld, and the gcc that compiles programs of the build, such as objtool."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A variable of make's command line. Values of one variable from several remedies are joined."""

    variable: str
    value: str

    def __str__(self) -> str:
        return f"{self.variable}={self.value}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A line of configuration. It gives way to what the user and the reproducers ask for."""

    symbol: str
    value: str

    def __str__(self) -> str:
        return f"CONFIG_{self.symbol}={self.value}"


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one file, in each commit whose file has the pattern.

    `pattern` finds the place, `replacement` may refer to its groups.
    """

    path: str
    pattern: re.Pattern[bytes]
    replacement: bytes

    def __str__(self) -> str:
        return f"an edit of {self.path}"


Remedy = Argument | Setting | Edit


@dataclass(frozen=True, slots=True)
class Trouble:
    """A tool of version `since` and later cannot cope with a tree whose file `path` shows `sign`.

    `repaired` is the mainline version without the trouble, `repair` the commit that ended it, which also
    names the trouble; `words` what happens. Not `fatal`: only some configurations meet it. `remedies` make
    such a tree build, or boot, all the same; without one another version of the tool is needed.

    `tool` is "" for what happens with any. `symbols` of the configuration must be on, if there are any.
    """

    tool: ToolName | Literal[""]
    since: Version
    repaired: Version
    repair: str
    path: str
    sign: re.Pattern[bytes]
    words: str
    fatal: bool = True
    remedies: tuple[Remedy, ...] = ()
    symbols: tuple[str, ...] = ()

    @property
    def help(self) -> str:
        """The remedies, in words."""
        return ", ".join(map(str, self.remedies))
