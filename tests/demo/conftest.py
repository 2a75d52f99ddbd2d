from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from anchors import pack, tree_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree() -> dict[str, bytes]:
    """Contents by path, as the distribution ships them."""
    return tree_files()


@pytest.fixture
def tarball(tree: dict[str, bytes], tmp_path: Path) -> Path:
    return pack(tree, tmp_path / "linux-source-6.1.tar.xz")
