"""Checks for `kbisect doctor`: whether this host has everything that a bisection needs.

Each check returns findings. A problem makes bisections impossible. A warning makes them slower, or affects
only some users.
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
    """The result of one check.

    `remedy` is a command or an instruction; empty if there is none or `text` contains it.
    """

    name: str
    state: Severity
    text: str
    remedy: str = ""
