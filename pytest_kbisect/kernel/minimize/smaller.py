"""Configurations that are smaller than a whole one, made at one commit."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pytest_kbisect.kernel import config
from pytest_kbisect.kernel.minimize import detectors, gates, halving_groups, shrink

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pytest_kbisect.kernel.config import ConfigRequest
    from pytest_kbisect.kernel.minimize.detectors import Detector
    from pytest_kbisect.kernel.minimize.halving_groups import Group
    from pytest_kbisect.kernel.minimize.makefiles import Symbols
    from pytest_kbisect.kernel.minimize.place import Place


def _on(values: Mapping[str, str]) -> frozenset[str]:
    return frozenset(symbol for symbol, value in values.items() if value in {"y", "m"})


class Smaller:
    """What can be made of the whole configuration of a place, for guests and reproducers."""

    def __init__(self, place: Place, requests: Sequence[ConfigRequest]) -> None:
        self._place = place
        self._folder = requests[0].architecture.source_folder
        self._asked = frozenset[str]().union(*(_on(request.settings()) for request in requests))
        self.values = config.values(place.resolved())
        """Of the whole configuration."""

    @cached_property
    def _ways(self) -> Mapping[str, frozenset[Symbols]]:
        return gates.of_tree(self._place.read, self._folder, _on(self.values))

    def needed_for(self, executed: Mapping[str, Collection[str]]) -> frozenset[str]:
        """The symbols behind what was executed: objects with their functions."""
        return shrink.wanted_by(executed, self._ways, self._place.read)

    def without(self, dropped: Collection[Detector]) -> str:
        """The whole configuration without some detectors."""
        return self._place.resolved(detectors.without(self.values, dropped))

    def of(self, wanted: Collection[str], dropped: Collection[Detector]) -> str:
        """The smallest configuration with these symbols, what guests need, and all detectors but some."""
        left_out = detectors.without(self.values, dropped)
        stays = {symbol for one in detectors.present(self.values) for symbol in one.symbols} - left_out.keys()
        known = shrink.Gates(self._ways, self._asked | stays | frozenset(wanted))
        return shrink.shrunk(self.values, known, self._place.kconfig, self._place.resolved, left_out)

    def groups(self, text: str, executed: Iterable[str], dropped: Collection[Detector]) -> tuple[Group, ...]:
        """What a smaller configuration lacks of what gates objects, in groups."""
        known = shrink.Gates(self._ways, frozenset())
        lacking = (known.gating & _on(self.values)) - _on(config.values(text))
        lacking -= detectors.without(self.values, dropped).keys()
        return halving_groups.groups(lacking, self._ways, executed)

    def words(self, text: str) -> str:
        """How large a configuration is, beside the whole one."""
        on = _on(config.values(text))
        objects = gates.of_tree(self._place.read, self._folder, on)
        left = [one.name for one in detectors.present(self.values)]
        kept = {one.name for one in detectors.present(config.values(text))}
        without = ", ".join(name for name in left if name not in kept)
        return (
            f"{len(on)} of {len(_on(self.values))} symbols, {len(objects)} of {len(self._ways)} objects"
            + (f", without {without}" if without else "")
        )
