"""Environment variables that our first process sets for those it starts. They are not for users to set."""

from __future__ import annotations

from typing import Final

SHARED: Final = "KBISECT_SHARED"
"""Folder of the guests' keys, image and frozen guests."""
HOST: Final = "KBISECT_HOST"
"""Name of the worker on which a session runs."""
