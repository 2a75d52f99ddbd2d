"""What control groups leave: their own limits and those of the groups above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import cgroup

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """The group of this process, two below the root; files of /sys/fs/cgroup are written by the tests."""
    folder = tmp_path / "fs" / "ci" / "job"
    folder.mkdir(parents=True)
    (tmp_path / "membership").write_text("4:cpu:/elsewhere\n0::/ci/job\n")
    return folder


def processors(group: Path) -> int | None:
    root = group.parent.parent
    return cgroup.processors(root, root.parent / "membership")


def memory(group: Path) -> int | None:
    root = group.parent.parent
    return cgroup.memory(root, root.parent / "membership")


def put(group: Path, limit: str, current: int, inactive_file: int) -> None:
    (group / "memory.max").write_text(f"{limit}\n")
    (group / "memory.current").write_text(f"{current}\n")
    (group / "memory.stat").write_text(f"anon 1\ninactive_file {inactive_file}\n")


def test_without_files_there_is_no_limit(group: Path) -> None:
    assert processors(group) is None
    assert memory(group) is None


@pytest.mark.parametrize(
    ("quota", "allowed"), [("max 100000", None), ("250000 100000", 2), ("5000 100000", 1)]
)
def test_a_quota_is_told_in_whole_cpus_and_never_none(group: Path, quota: str, allowed: int | None) -> None:
    (group / "cpu.max").write_text(f"{quota}\n")
    assert processors(group) == allowed


def test_the_quota_of_a_group_above_holds_too(group: Path) -> None:
    (group / "cpu.max").write_text("800000 100000\n")
    (group.parent / "cpu.max").write_text("400000 100000\n")
    (group.parent.parent / "cpu.max").write_text("max 100000\n")
    assert processors(group) == 4


def test_page_cache_that_a_build_has_left_counts_as_free(group: Path) -> None:
    put(group, str(8 * GIB), current=8 * GIB, inactive_file=5 * GIB)
    assert memory(group) == 5 * GIB


def test_the_smallest_limit_of_all_groups_decides(group: Path) -> None:
    put(group, "max", current=GIB, inactive_file=0)
    put(group.parent, str(4 * GIB), current=3 * GIB, inactive_file=0)
    put(group.parent.parent, str(16 * GIB), current=3 * GIB, inactive_file=0)
    assert memory(group) == GIB
