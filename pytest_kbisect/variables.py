"""The environment variable that our first process sets for those it starts. It is not for users to set."""

from __future__ import annotations

from typing import Final

SHARED: Final = "KBISECT_SHARED"
"""Folder of the guests' keys, image and frozen guests."""
