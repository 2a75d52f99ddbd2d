"""A session whose tests belong to several bisections: which are run, how often, and what each is asked.

Only `--kbisect-each` starts such sessions. All selected tests are collected, because the kernel is theirs
together; those that the request does not name are deselected, and so are runs beyond what it asks for.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kbisect import properties
from pytest_kbisect.session.session_request import request_of

if TYPE_CHECKING:
    import pytest

    from pytest_kbisect.session.session_request import AskedOfTest, SessionRequest

_ENDED: Final = "ended-"
"""Beginning of a file's name in the session's folder: a test needs no more runs. xdist's workers see it."""


def test_id(item: pytest.Item) -> str:
    """The id of a test without our own parameters: `repro/crash.c::crash`."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return item.nodeid
    name, _, words = item.nodeid.rpartition("[")
    own = []
    if configuration := str(callspec.params.get("kbisect_configuration", "")):
        own.append(configuration)
    if "kbisect_run" in callspec.params:
        own.append(f"run{callspec.params['kbisect_run']}")
    # Both are made by one hook, one after the other, so they are next to each other.
    parts = f"-{words.removesuffix(']')}-".replace(f"-{'-'.join(own)}-", "-", 1).strip("-") if own else ""
    if not own:
        return item.nodeid
    return f"{name}[{parts}]" if parts else name


def asked_of(item: pytest.Item) -> SessionRequest:
    """What the session is asked about this test."""
    request = request_of(item.config)
    own = _own(item, request)
    if own is None:
        return request
    return replace(request, known=own.known, expect=own.expect, stop=own.stop, watch=own.watch, idle=own.idle)


def _own(item: pytest.Item, request: SessionRequest) -> AskedOfTest | None:
    if not request.each:
        return None
    name = test_id(item)
    return next((one for one in request.each if one.test == name), None)


def narrow(items: list[pytest.Item], config: pytest.Config) -> None:
    """Deselect what the request does not ask for."""
    request = request_of(config)
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        own = _own(item, request)
        run = getattr(item, "callspec", None) and item.callspec.params.get("kbisect_run", 0)  # type: ignore[attr-defined]
        (kept if own is not None and (run or 0) < own.runs else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


def note(item: pytest.Item) -> None:
    """State in the XML which test a run is of."""
    if request_of(item.config).each:
        item.user_properties.append((properties.TEST, test_id(item)))


def end(item: pytest.Item) -> bool:
    """Note that a test needs no more runs; False if the session is of one bisection, and ends as a whole."""
    request = request_of(item.config)
    if not request.each:
        return False
    _file(item, request).touch()
    return True


def has_ended(item: pytest.Item) -> bool:
    """Whether a test needs no more runs."""
    request = request_of(item.config)
    return bool(request.each) and _file(item, request).exists()


def _file(item: pytest.Item, request: SessionRequest) -> Path:
    digest = hashlib.sha256(test_id(item).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Path(request.folder) / f"{_ENDED}{digest}"
