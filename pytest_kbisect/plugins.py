"""Plugins for commands that run outside pytest: `kbisect crash` and `kbisect report`.

Inside pytest, pytest itself loads plugins. Here only plugins that can extend this project are loaded: its
own, installed ones whose distribution requires pytest-kbisect, and modules named in $PYTEST_PLUGINS.
"""

from __future__ import annotations

import os
import re
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    import pytest

_GROUP: Final = "pytest11"
_OWN: Final = "pytest-kbisect"
_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


def load() -> pytest.PytestPluginManager:
    """Load and register the plugins. Raises UsageError for one that cannot be imported."""
    import pytest

    from pytest_kbisect import hookspecs, plugin

    manager = pytest.PytestPluginManager()
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, "kbisect")
    for name in others():
        try:
            manager.register(import_module(name), name)
        except Exception as error:
            raise UsageError(
                f"cannot import the plugin {name} ({type(error).__name__}: {error}): remove it from PYTEST_PLUGINS, or uninstall it"
            ) from error
    return manager


def others() -> tuple[str, ...]:
    """The modules of the other plugins to load, without duplicates."""
    installed = (entry.module for entry in metadata.entry_points(group=_GROUP) if _adds_to_us(entry))
    named = (name.strip() for name in os.environ.get("PYTEST_PLUGINS", "").split(","))
    return tuple(dict.fromkeys([*installed, *filter(None, named)]))


def _adds_to_us(entry: metadata.EntryPoint) -> bool:
    requirements = (entry.dist.requires if entry.dist else None) or ()
    required = (found[0] for requirement in requirements if (found := _REQUIREMENT.match(requirement)))
    return any(re.sub(r"[-_.]+", "-", name).lower() == _OWN for name in required)
