"""The smallest configuration that still builds given objects: every gate off that nothing wanted needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.kernel import config
from pytest_kbisect.kernel.minimize import conditionals
from pytest_kbisect.kernel.minimize.makefiles import gated_by

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pytest_kbisect.kernel.dependencies import Kconfig
    from pytest_kbisect.kernel.minimize.makefiles import Symbols

_ROUNDS: Final = 12
"""A symbol may depend on one that depends on another: olddefconfig and look again at most so often."""
_FEW: Final = 3
"""Symbols that select a symbol nobody can set; where there are more, most have nothing to do with the bug."""


@dataclass(frozen=True, slots=True)
class Gates:
    """What gates the objects of a configuration (see gates.of_tree), and what of it a run needs.

    `ways` has all objects, `wanted` are symbols that stay on.
    """

    ways: Mapping[str, frozenset[Symbols]]
    wanted: frozenset[str]

    @property
    def gating(self) -> frozenset[str]:
        """Every symbol without which the build has fewer objects."""
        return frozenset(
            symbol for ways in self.ways.values() if frozenset() not in ways for way in ways for symbol in way
        )


def wanted_by(
    executed: Mapping[str, Collection[str]],
    ways: Mapping[str, frozenset[Symbols]],
    read: Callable[[str], str | None],
) -> frozenset[str]:
    """The symbols that the objects need of which a run executed something, by object its functions.

    `read` gives the text of a file of the tree. Functions within `#ifdef CONFIG_X` need that, too.
    """
    wanted: set[str] = set()
    for path, functions in executed.items():
        wanted |= gated_by(ways.get(path, frozenset()))
        text = read(f"{path.removesuffix('.o')}.c")
        if text is not None:
            for symbols in conditionals.around(text, functions).values():
                wanted |= symbols
    return frozenset(wanted)


def shrunk(
    whole: Mapping[str, str],
    gates: Gates,
    kconfig: Kconfig,
    resolve: Callable[[Mapping[str, str]], str],
    also: Mapping[str, str] | None = None,
) -> str:
    """The text of the configuration in which only the gates stay on that are wanted, or needed for these.

    `whole` are the values of the whole configuration; `resolve` gives the text of it with other settings (see
    Place.resolved), to which `also` are added.
    """
    on = {symbol for symbol, value in whole.items() if value in {"y", "m"}}
    gating = gates.gating & on
    keep = set(gates.wanted & on)
    dropped = {symbol for symbol, value in (also or {}).items() if value == "n"}
    text = ""
    for _ in range(_ROUNDS):
        off = dict.fromkeys(sorted(gating - keep), "n")
        text = resolve({**off, **(also or {})})
        now = config.values(text)
        missing = {symbol for symbol in keep - dropped if now.get(symbol) not in {"y", "m"}}
        more = {needed for symbol in missing for needed in _needs(symbol, now, whole, kconfig)}
        more = (more & on) - keep - dropped
        if not more:
            break
        keep |= more
    return text


def _needs(symbol: str, now: Mapping[str, str], whole: Mapping[str, str], kconfig: Kconfig) -> frozenset[str]:
    """What else must be on for a symbol that is off now, and was on in the whole configuration."""
    if unmet := kconfig.wanting(symbol, now):
        return unmet
    if kconfig.can_be_set(symbol):
        return frozenset()
    selectors = kconfig.selectors(symbol, whole)
    return selectors if len(selectors) <= _FEW else frozenset()
