"""Whether the host has the disk and memory that a build needs, and a cache folder that kbuild accepts."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import cgroup
from pytest_kbisect.errors import HostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
DISK_FOR_TREE = 1600 * MIB
"""A worktree of 6.1 takes 1.3 GiB, one of 6.12 1.5 GiB."""
DISK_FOR_BUILD = 600 * MIB
"""O= folder of a small configuration without debug information, and the store's copy."""
MEMORY_FOR_BUILD = 600 * MIB
"""Linking vmlinux and one compiler at the same time."""
MEMORY_PER_JOB = 150 * MIB


def memory_available() -> int:
    """Bytes that can be used without swapping: the host's, or what is left in our control group."""
    available = 0
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    left = cgroup.memory()
    return available if left is None else min(available, left)


def jobs_that_fit(jobs: int) -> int:
    """As many of `jobs` as memory allows. Raises HostError if there is too little for one."""
    available = memory_available()
    if available < MEMORY_FOR_BUILD:
        raise HostError(
            f"too little memory to build a kernel: needs {MEMORY_FOR_BUILD // MIB} MiB, "
            f"{available // MIB} MiB free: stop something, or run fewer guests (-n)"
        )
    return max(1, min(jobs, (available - MEMORY_FOR_BUILD) // MEMORY_PER_JOB + 1))


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists and may be looked into."""
    return next(place for place in (folder, *folder.parents) if os.path.exists(place))


def require_disk(folder: Path, needed: int) -> None:
    """Raise HostError if the file system of `folder` (which need not exist) has less than `needed` bytes."""
    free = shutil.disk_usage(existing(folder)).free
    if free < needed:
        raise HostError(
            f"too little disk to build a kernel: {folder} needs {needed // MIB} MiB, {free // MIB} MiB free: "
            "free some, or choose another cache folder"
        )


def require_path(cache: Path) -> None:
    """Raise UsageError where kernels cannot be built in a folder because of where it is."""
    for path in (cache, cache.resolve()):
        if re.search(r"[\s:]", str(path)):  # kbuild refuses it
            raise UsageError(
                f"kernels cannot be built in {path}, because of the space or colon in its path: "
                "give another --kbisect-cache, or KBISECT_CACHE"
            )
    if os.statvfs(existing(cache)).f_flag & os.ST_NOEXEC:
        raise UsageError(
            f"kernels cannot be built in {cache}: it is mounted noexec, and builds run what they have compiled: "
            "give another --kbisect-cache, or KBISECT_CACHE"
        )


@contextlib.contextmanager
def writing(cache: Path) -> Iterator[None]:
    """Turn an OSError in the block into a HostError that names the cache folder."""
    try:
        yield
    except OSError as error:
        raise HostError(
            f"cannot write to the cache folder {cache}: {error.strerror}: "
            "free some room, or choose another cache folder"
        ) from error
