"""Environment variables that a bisection sets for the pytest sessions it starts. None is for users to set."""

from __future__ import annotations

from typing import Final

LAB: Final = "KBISECT_LAB"
"""Folder of the session's consoles and events. Where it is set, the session is part of a bisection."""
SHARED: Final = "KBISECT_SHARED"
"""Folder of the guests' keys, image and frozen guests; set by our first process for those it starts."""
KNOWN: Final = "KBISECT_KNOWN"
"""Signatures of kernels that need not be run again, separated by blanks."""
STOP: Final = "KBISECT_STOP_AT_CRASH"
"""A JSON list of titles, or empty.

The first crash with one of them (any, if the list is empty) ends the session.
"""
EXPECT: Final = "KBISECT_EXPECT"
"""A JSON list of titles of the crash that is looked for; empty while nothing is known of it.

A run ends as soon as it has shown one of them. What else the kernel reports and survives does not end it.
"""
WATCH: Final = "KBISECT_WATCH"
"""A JSON object: `functions` of the crash, of which each run tells whether it executes them; `idle`: and
which of them a guest executes before its reproducer starts."""
STRICT: Final = "KBISECT_STRICT"
"""Not empty: a configuration that the commit cannot have is a usage error, not a reason to skip it."""
PREFLIGHT: Final = "KBISECT_PREFLIGHT"
"""File to which a session that only collects writes what it has selected."""
