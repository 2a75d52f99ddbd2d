"""Clusters on loopback: a scheduler and workers in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "plugin"))  # whole.py and played_guests.py

from loopback import Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory):
    """A scheduler with the workers a and b; tests that end one start another."""
    pytest.importorskip("distributed")
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start("a")
        cluster.start("b")
        yield cluster
