"""What all tests share: quick ones know no cache of the user's, and no range or folder from outside."""

from __future__ import annotations

import gc
import itertools
import signal
import sys
from pathlib import Path

import pytest

from pytest_kbisect import variables

CACHE = "KBISECT_CACHE"
_NUMBERS = itertools.count()
_OURS = (variables.SHARED, "PYTEST_ADDOPTS")

sys.path.insert(0, str(Path(__file__).parent / "guest_kernel"))  # bugs.py, for whoever needs a buggy kernel


def pytest_configure() -> None:
    """A shell ignores Ctrl-C for what it starts in the background, and that is inherited."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What was imported and collected stays: pytest, which looks for garbage five times at the end of each
    session inside a test, need not look there."""
    gc.freeze()


@pytest.fixture(scope="session")
def real_cache() -> Path:
    """The user's own cache: kernels that the slow tests build are kept there."""
    from pytest_kbisect.options import default_cache

    return default_cache()


@pytest.fixture(autouse=True)
def _own_environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in _OURS:
        monkeypatch.delenv(name, raising=False)
    if not {"guest", "kernel"} & {mark.name for mark in request.node.iter_markers()}:
        # A folder that is made by who uses it: most tests have no use for one.
        monkeypatch.setenv(CACHE, str(tmp_path_factory.getbasetemp() / f"cache{next(_NUMBERS)}"))


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Its sessions do without hypothesis, which takes longer to import than most of them take, and rewrite
    no asserts: of this package, which is a plugin, they would rewrite each module they import."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest --assert=plain")
    return pytester


@pytest.fixture(scope="session")
def linux_clone(real_cache: Path):
    """The demo's history, cloned, for commits of the tests' own."""
    from linux_commits import clone_of_demo

    return clone_of_demo(real_cache)
