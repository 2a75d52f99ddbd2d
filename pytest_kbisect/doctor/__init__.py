"""Checks of what a bisection needs from this host, for `kbisect doctor`.

Each check gives findings. A problem is what a bisection cannot run without; a warning makes it slower,
or hits some people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    `remedy` is a line to type or what to do in words; empty where there is none, or `text` says it.
    """

    name: str
    state: Severity
    text: str
    remedy: str = ""
