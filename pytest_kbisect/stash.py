"""What the plugin keeps with pytest: of the configuration its session, of a test its guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.parallel import Workers
    from pytest_kbisect.session.shared import Session

    SESSION: pytest.StashKey[Session]
    GUEST: pytest.StashKey[Guest]
    WORKERS: pytest.StashKey[Workers]

SESSION = pytest.StashKey()
GUEST = pytest.StashKey()
"""Of a test: its guest, while it runs."""
WORKERS = pytest.StashKey()
"""Of the configuration: what `-n auto` came to, where it was asked for."""
USAGE = pytest.StashKey[str]()
"""Of the configuration: the first usage or host error that a test met."""


def session_of(config: pytest.Config) -> Session:
    """The one session of this pytest process, made when first asked for."""
    if SESSION not in config.stash:
        from pytest_kbisect.session.shared import Session

        config.stash[SESSION] = Session(config)
        config.add_cleanup(config.stash[SESSION].close)
    return config.stash[SESSION]
