"""The crash formats that this process knows: built-in ones, and those that plugins have added.

They are the same for all consoles of a process, as codecs are, and changed once, before the first console.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_kbisect import extensions
from pytest_kbisect.crash.formats import BUILT_IN
from pytest_kbisect.crash.formats.format import CrashFormat
from pytest_kbisect.crash.formats.headers import headers
from pytest_kbisect.crash.kinds import kind_of
from pytest_kbisect.crash.pattern import Pattern
from pytest_kbisect.crash.searching import Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pluggy

_OWN: Final = frozenset(BUILT_IN)
_PLACEHOLDER: Final = re.compile(r"(\{[a-z_]{1,20}\})")


class KnownFormats:
    """Crash formats, prepared for reading. Of several that a report fits, the first one is its own."""

    def __init__(self, formats: Sequence[CrashFormat]) -> None:
        """Raises UsageError for a format that cannot be used."""
        self.formats = tuple(formats)
        added = tuple(entry for entry in self.formats if entry not in _OWN)
        for entry in added:
            entry.check()
        self.headers = headers(self.formats, frozenset(added))
        self.search = Search(self.headers)
        self._kinds = [(_title_pattern(entry), entry.kind) for entry in added if entry.kind]

    def kind_of(self, title: str) -> str:
        """The type of a crash with this title, "" if its title says none."""
        return next((kind for pattern, kind in self._kinds if pattern.match(title)), "") or kind_of(title)


def _title_pattern(entry: CrashFormat) -> Pattern[str]:
    parts = _PLACEHOLDER.split(entry.title)
    return Pattern("".join(".+" if _PLACEHOLDER.fullmatch(part) else re.escape(part) for part in parts) + "$")


_current = KnownFormats(BUILT_IN)


def current() -> KnownFormats:
    """What this process knows now."""
    return _current


def registered(plugins: pluggy.PluginManager) -> KnownFormats:
    """The formats of all plugins, built-in ones last. Raises UsageError for one that cannot be used."""
    return KnownFormats(extensions.entries(plugins, "pytest_kbisect_crash_formats", CrashFormat))


def use(known: KnownFormats) -> None:
    """Know these from now on, for consoles whose reading begins later."""
    global _current  # noqa: PLW0603 - see the docstring of this module
    _current = known
