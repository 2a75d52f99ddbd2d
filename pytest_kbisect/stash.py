"""Keys under which the plugin keeps its state with pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.session import Session

SESSION: pytest.StashKey[Callable[[], Session]] = pytest.StashKey()
"""Of the configuration: gives the session, made at the first call."""
GUEST: pytest.StashKey[Guest] = pytest.StashKey()
"""Of a test: its guest, while it runs."""
USAGE: pytest.StashKey[str] = pytest.StashKey()
"""Of the configuration: the first thing a test met that the user can mend."""
