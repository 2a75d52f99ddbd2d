"""Files that are replaced atomically: written under another name in the same folder, then renamed."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end of the block; on an error nothing is left of it.

    Processes that replace the same file at the same time do not disturb each other: the last one wins.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write(path: Path, content: bytes | str) -> None:
    """Replace a file by one with this content; text is written as UTF-8 with surrogateescape."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(
            content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        )
