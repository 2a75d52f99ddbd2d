"""The crash formats in use in this process: the built-in ones and those of plugins.

They are global, as codecs are: all consoles of a process use the same formats. They change once, before the
first console is read.
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
    """Crash formats, prepared for reading. If a report matches several, the first one applies."""

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
        """The type of a crash with this title, or "" if no type is known for it."""
        return next((kind for pattern, kind in self._kinds if pattern.match(title)), "") or kind_of(title)


def _title_pattern(entry: CrashFormat) -> Pattern[str]:
    parts = _PLACEHOLDER.split(entry.title)
    return Pattern("".join(".+" if _PLACEHOLDER.fullmatch(part) else re.escape(part) for part in parts) + "$")


_current = KnownFormats(BUILT_IN)


def current() -> KnownFormats:
    """The formats currently in use."""
    return _current


def registered(plugins: pluggy.PluginManager) -> KnownFormats:
    """The formats of all plugins, built-in ones last. Raises UsageError for one that cannot be used."""
    return KnownFormats(extensions.entries(plugins, "pytest_kbisect_crash_formats", CrashFormat))


def use(known: KnownFormats) -> None:
    """Use these formats for all consoles that are opened from now on."""
    global _current  # noqa: PLW0603 - see the docstring of this module
    _current = known
