"""A built kernel: the fact that travels from the build to guests, verdicts and reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds that this process spent to get a kernel; all 0 where the store had it.

    `waiting` is for another process that built the same kernel, or held all slots.
    """

    checkout: float = 0.0
    configure: float = 0.0
    make: float = 0.0
    waiting: float = 0.0


@dataclass(frozen=True, slots=True)
class KernelImage:
    """A kernel in the store. Paths stay valid while its lease is held (see store).

    `signature` is the hash of what the image loads (64 hex digits): equal signature, same kernel.
    `seconds` is what the build took when it was made; `cached` says that this time it was not made,
    `spent` what having it took this time. `same_as` is the commit whose kernel it is, where no file
    that was read for that one differs in this one; empty where it was built at this commit.
    `ccache_hits` and `ccache_misses` count compilations of the build that made it. `sources` lists
    the files which that build read (see sources.read); None where that is not known. `source` is the commit
    whose files are in it: `commit`, or that with patches; empty where somebody else built it. `modules` is an
    archive for guests, and `module_functions` the list of the functions in them (see modules); None without
    modules.
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
    same_as: str = ""
    ccache_hits: int = 0
    ccache_misses: int = 0
    spent: Spent = field(default_factory=Spent)
    sources: Path | None = None
    source: str = ""
    modules: Path | None = None
    module_functions: Path | None = None
