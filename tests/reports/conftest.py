"""Whether this host has a browser to look with."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this host")
    return found
