"""Shell scripts that builds call, in the cache folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kbisect.atomic import replacing

if TYPE_CHECKING:
    from pathlib import Path


def folder(cache: Path) -> Path:
    """The folder of these scripts."""
    return cache / "bin"


def write(cache: Path, name: str, text: str) -> Path:
    """Write a script, unless it is there already, and return its path."""
    path = folder(cache) / name
    if path.exists() and path.read_text() == text:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_text(text)
        unfinished.chmod(0o755)
    return path
