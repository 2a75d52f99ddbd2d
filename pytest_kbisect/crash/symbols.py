"""Addresses of a report to file:line and inlined functions, by the kernel that crashed.

The one module of this room that starts programs: nm for the symbols, and llvm-symbolizer or addr2line,
one process for all addresses of a file; pyelftools where neither is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Symbolized:
    """A report after symbolizing: `report` is unchanged where `done` is False, and `note` says why."""

    report: str
    done: bool
    note: str = ""


def symbolize(report_text: str, vmlinux: Path, source: Path | None = None) -> Symbolized:
    """Give the functions of a report's traces their file:line."""
    del vmlinux, source
    return Symbolized(report_text, done=False, note="not symbolized")
