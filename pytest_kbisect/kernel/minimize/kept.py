"""What earlier bugs of a configuration needed of it, kept for the next one: in CACHE/configurations."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING

from pytest_kbisect import atomic
from pytest_kbisect.kernel import config

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from pytest_kbisect.kernel.config import ConfigRequest

_FORMAT = 1


def _file(cache: Path, request: ConfigRequest) -> Path:
    """By what the configuration sets, not by its comments, and the architecture."""
    text = json.dumps([request.architecture.name, sorted(config.values(request.base).items())])
    return cache / "configurations" / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"


def load(cache: Path, request: ConfigRequest) -> frozenset[str]:
    """The symbols that the last bug of this configuration needed; empty where none is kept."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        known = json.loads(_file(cache, request).read_bytes())
        if known["format"] == _FORMAT:
            return frozenset(map(str, known["wanted"]))
    return frozenset()


def save(cache: Path, request: ConfigRequest, wanted: Collection[str]) -> None:
    """Keep the symbols that a bug needed. Raises OSError."""
    path = _file(cache, request)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, json.dumps({"format": _FORMAT, "wanted": sorted(wanted)}, indent=0) + "\n")
