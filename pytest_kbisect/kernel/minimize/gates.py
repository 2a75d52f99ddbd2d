"""The gates of all objects of a kernel: its folders walked as kbuild walks them, for symbols that are on."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from typing import TYPE_CHECKING

from pytest_kbisect.kernel.minimize import makefiles

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pytest_kbisect.kernel.minimize.makefiles import Symbols

_NAMES = ("Kbuild", "Makefile")
"""Where a folder has both, kbuild reads the first (scripts/Makefile.build)."""


def of_tree(
    read: Callable[[str], str | None], source_folder: str, on: Collection[str]
) -> Mapping[str, frozenset[Symbols]]:
    """What gates each object that is built: by its path in O=, the ways in which it comes in.

    `read` gives the text of a file of the tree, None where there is none. `source_folder` is the
    architecture's below arch/, `on` the symbols that are on: objects behind others are left out. An object
    that is always built has a way without symbols.
    """
    walk = _Walk(read, source_folder, frozenset(on))
    walk.top()
    return {path: frozenset(ways) for path, ways in walk.found.items()}


class _Walk:
    def __init__(self, read: Callable[[str], str | None], source_folder: str, on: frozenset[str]) -> None:
        self._read, self._on = read, on
        # What object names are made with, by the architectures' Makefiles.
        self._known = {"SRCARCH": source_folder, "BITS": "64" if "64BIT" in self._on else "32"}
        self._architecture = f"arch/{source_folder}"
        self._seen: set[tuple[str, Symbols]] = set()
        self._parsed: dict[str, makefiles.Makefile] = {}
        self.found: dict[str, set[Symbols]] = defaultdict(set)

    def top(self) -> None:
        """Begin as the top Makefile does: its lists, those of Kbuild (since 6.1), and the architecture's."""
        for path in ("Kbuild", "Makefile", f"{self._architecture}/Makefile"):
            if (text := self._read(path)) is not None:
                self._take(makefiles.parse(text, self._known), "", frozenset())
        # Until 5.13 and on some architectures its folder is named in its own Makefile only.
        self._enter(self._architecture, frozenset())

    def _enter(self, folder: str, gates: Symbols) -> None:
        if (folder, gates) in self._seen or not self._on.issuperset(gates):
            return
        # A way with more symbols than one that is known adds nothing.
        if any(known == folder and ways <= gates for known, ways in self._seen):
            return
        self._seen.add((folder, gates))
        if folder not in self._parsed:
            texts = (self._read(f"{folder}/{name}") for name in _NAMES)
            text = next((text for text in texts if text is not None), "")
            self._parsed[folder] = makefiles.parse(text, self._known)
        self._take(self._parsed[folder], folder, gates)

    def _take(self, lists: makefiles.Makefile, folder: str, gates: Symbols) -> None:
        for member in lists.members():
            inside = member.gates | gates
            if not self._on.issuperset(inside):
                continue
            path = posixpath.normpath(posixpath.join(folder, member.name))
            if path.startswith(("..", "/")):
                continue
            if member.name.endswith("/"):
                self._enter(path, inside)
            else:
                self.found[path].add(inside)
