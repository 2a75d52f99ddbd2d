"""Makes the .config of one commit with the tree's own tools, and checks that it has what was asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect.errors import ConfigError
from pytest_kbisect.kernel import config
from pytest_kbisect.kernel.dependencies import Kconfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_kbisect.kernel.config import ConfigRequest

FRAGMENTS = "kbisect-fragments"
"""Folder inside O= where fragments are handed to merge_config.sh."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A symbol asked for that has another value after olddefconfig."""

    symbol: str
    asked: str
    source: str
    actual: str
    why: str

    def __str__(self) -> str:
        line = config.line_of(self.symbol, self.asked)
        reason = self.why or f"it is {config.line_of(self.symbol, self.actual)}"
        if self.actual == "m":
            reason += (
                ", and guests load no modules: use --kbisect-modules, or ask for what it depends on, too, if it"
                " can be more than a module"
            )
        return f"{line} ({self.source}): {reason}"


def write(
    request: ConfigRequest,
    tree: Path,
    output: Path,
    make: Callable[[Sequence[str]], None],
    merge: Callable[[Sequence[str]], None],
) -> None:
    """Write OUTPUT/.config, and check that it has what was asked for; the rest is as for `lay`.

    A .config that comes out as it was keeps its time, so that make does not look at every Kconfig file again.
    Raises ConfigError if something asked for is not there.
    """
    path = output / ".config"
    before = path.read_bytes() if path.exists() else None
    times = path.stat() if before is not None else None
    text = lay(request, output, make, merge)
    missing = check(request, text, tree)
    if missing:
        first, *others = missing
        more = f" (and {len(others)} more: {', '.join(m.symbol for m in others)})" if others else ""
        raise ConfigError(
            f"the configuration lacks what was asked for: {first}{more}",
            symbols=tuple(m.symbol for m in missing),
        )
    if times and before == path.read_bytes():
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def lay(
    request: ConfigRequest,
    output: Path,
    make: Callable[[Sequence[str]], None],
    merge: Callable[[Sequence[str]], None],
) -> str:
    """Write OUTPUT/.config: base, then merge_config.sh with every fragment, then olddefconfig; its text.

    `make` and `merge` run make with targets, and merge_config.sh with arguments, in `output`'s
    environment.
    """
    path = output / ".config"
    if request.base:
        path.write_text(request.base)
    else:
        # tiny.config is merged into .config, whatever KCONFIG_CONFIG says (6.1): so no other name.
        make(["tinyconfig"])
    folder = output / FRAGMENTS
    folder.mkdir(exist_ok=True)
    asked = config.Fragment("asked", tuple(request.settings().items()))
    names = []
    for number, fragment in enumerate((*request.wanted, asked, config.built_in("build.config"))):
        name = f"{FRAGMENTS}/{number}.config"
        (output / name).write_text(fragment.text())
        names.append(name)
    merge(["-m", ".config", *names])
    make(["olddefconfig"])
    return path.read_text()


def check(request: ConfigRequest, text: str, tree: Path) -> list[Missing]:
    """What was asked for and is missing in a .config's text, each with its unmet dependency where known."""
    actual = config.values(text)
    wrong = [
        (symbol, asked)
        for symbol, asked in request.settings().items()
        if actual.get(symbol, "n") not in ({"m", "y"} if asked == "m" else {asked})
    ]
    if not wrong:
        return []
    kconfig = Kconfig(tree, request.architecture.source_folder)
    return [
        Missing(
            symbol=symbol,
            asked=asked,
            source=request.source_of(symbol),
            actual=actual.get(symbol, "n"),
            why=kconfig.explain(symbol, actual) if actual.get(symbol, "n") == "n" else "",
        )
        for symbol, asked in wrong
    ]
