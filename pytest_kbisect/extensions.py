"""Collects and checks the entries that plugins return for a hook of hookspecs.py.

This module imports none of the types that hooks return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    import pluggy

_Entry = TypeVar("_Entry")


def entries(
    plugins: pluggy.PluginManager, hook: str, protocol: type[_Entry], **arguments: object
) -> tuple[_Entry, ...]:
    """The entries that all plugins return for a hook with these arguments; last registered plugin first.

    Raises UsageError for an entry that is not an instance of `protocol`, which is a frozen class or a
    protocol that can be checked at run time.
    """
    found: list[_Entry] = []
    for answer in getattr(plugins.hook, hook)(**arguments):
        if not isinstance(answer, list | tuple):
            raise UsageError(
                f"the hook {hook} returned {answer!r}, which is no list: fix or remove that plugin"
            )
        found += answer
    for entry in found:
        if not isinstance(entry, protocol):
            raise UsageError(
                f"the hook {hook} returned {entry!r}, which is not of type {protocol.__name__}"
                f"{_lacks(entry, protocol)}: fix or remove that plugin"
            )
    return tuple(found)


def _lacks(entry: object, protocol: type) -> str:
    absent = sorted(name for name in _members(protocol) if not hasattr(entry, name))
    return f" (it lacks {', '.join(absent)})" if absent else ""


def _members(protocol: type) -> set[str]:
    own = {*vars(protocol), *getattr(protocol, "__annotations__", {})}
    return {name for name in own if not name.startswith("_")}
