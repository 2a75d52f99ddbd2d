"""CPUs and memory that control groups leave to this process (cgroup v2, as used by containers and CI)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def processors(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int | None:
    """The number of CPUs that the quotas allow, at least 1; None without a quota."""
    allowed = []
    for group in _groups(root, membership):
        try:
            quota, period = (group / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            allowed.append(max(1, int(quota) // int(period)))
    return min(allowed, default=None)


def memory(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int | None:
    """The number of bytes that the limits leave; None without a limit.

    The page cache that the kernel would reclaim first (inactive_file) counts as free, because a build fills
    it up to any limit.
    """
    left = []
    for group in _groups(root, membership):
        try:
            limit = (group / "memory.max").read_text().strip()
            used = int((group / "memory.current").read_text())
            facts = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        if limit != "max":
            left.append(max(0, int(limit) - used + int(facts.get("inactive_file", 0))))
    return min(left, default=None)


def _groups(root: Path, membership: Path) -> Iterator[Path]:
    """The folder of this process's group, and the folders above it, whose limits apply as well."""
    for line in membership.read_text().splitlines():
        hierarchy, _, path = line.partition("::")
        if hierarchy == "0":  # the others are cgroup v1
            folder = root / path.lstrip("/")
            yield folder
            yield from (above for above in folder.parents if above.is_relative_to(root))
