"""The authors of the demo's commits. The names are invented, and example.org receives no mail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """`zone` is an offset from UTC as git writes it."""

    name: str
    zone: str = "+0000"

    @property
    def address(self) -> str:
        """Name and address as git and mail write them."""
        return f"{self.name} <{self.name.lower().replace(' ', '.')}@example.org>"


@dataclass(frozen=True, slots=True)
class Subsystem:
    """The maintainer, who commits, and the contributors, who send patches in turn."""

    maintainer: Person
    contributors: tuple[Person, ...]


MERGER = Person("Ottilie Brandvold", "+0100")
"""The author of merges, and of commits that belong to no subsystem."""

_MM = Subsystem(
    Person("Harlan Pikkarinen", "+0200"),
    (Person("Wilma Achterberg", "+0100"), Person("Tomas Quiroz", "-0600"), Person("Nkem Adebiyi", "+0100")),
)
_NET = Subsystem(
    Person("Greta Lindqvist", "+0100"),
    (
        Person("Ravi Thekkumkara", "+0530"),
        Person("Sabine Oberhuber", "+0100"),
        Person("Duncan Farquharson"),
        Person("Mei Tsukahara", "+0900"),
    ),
)
_FS = Subsystem(
    Person("Casimir Wolanski", "+0100"),
    (
        Person("Yolanda Espinar", "+0100"),
        Person("Petra Nagyova", "+0100"),
        Person("Ichiro Kanazawa", "+0900"),
    ),
)
_CORE = Subsystem(
    Person("Ludmila Perevoz", "+0200"),
    (Person("Anselm Rottweil", "+0100"), Person("Bridget Mulvaney"), Person("Jomo Kariithi", "+0300")),
)
_DRIVERS = Subsystem(
    Person("Fergus Tollemache"),
    (Person("Ximena Carballido", "-0300"), Person("Oskar Hietala", "+0200"), Person("Ling Zhaowei", "+0800")),
)
_WORDS = Subsystem(
    Person("Henrike Vossberg", "+0100"), (Person("Paulo Figueirinha"), Person("Dana Whitlock", "-0500"))
)

# The longest matching prefix decides, so drivers/net belongs to networking.
_BY_PREFIX = {
    "Documentation/": _WORDS,
    "drivers/": _DRIVERS,
    "drivers/net/": _NET,
    "fs/": _FS,
    "init/": _CORE,
    "kernel/": _CORE,
    "lib/": _CORE,
    "mm/": _MM,
    "net/": _NET,
}


def subsystem_of(path: str) -> Subsystem:
    """The subsystem that a file belongs to."""
    prefix = max((prefix for prefix in _BY_PREFIX if path.startswith(prefix)), key=len)
    return _BY_PREFIX[prefix]
