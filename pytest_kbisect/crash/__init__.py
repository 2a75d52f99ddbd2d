"""Turns console text into crash reports.

This package is pure, except for symbolizing: nothing else here reads a file or starts a program. The modules
that read consoles are imported at first use, so that pytest does not start slower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kbisect.crash.crash_report import LOST_CONNECTION, NO_OUTPUT, CrashReport

if TYPE_CHECKING:
    from pytest_kbisect.crash.matching import Match, same_bug
    from pytest_kbisect.crash.reader import ConsoleReader, parse_console

__all__ = [
    "LOST_CONNECTION",
    "NO_OUTPUT",
    "ConsoleReader",
    "CrashReport",
    "Match",
    "parse_console",
    "same_bug",
]

_HOMES = {
    "ConsoleReader": "reader",
    "Match": "matching",
    "parse_console": "reader",
    "same_bug": "matching",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
