"""A built kernel: the fact that travels from the build to guests, verdicts and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class KernelImage:
    """A kernel in the store. Paths stay valid while its lease is held (see store).

    `signature` is the hash of what the image loads (64 hex digits): equal signature, same kernel.
    `seconds` is what the build took when it was made; `cached` says that this time it was not made.
    """

    commit: str
    signature: str
    config: Path
    image: Path
    vmlinux: Path
    compiler: str
    release: str
    seconds: float
    cached: bool
