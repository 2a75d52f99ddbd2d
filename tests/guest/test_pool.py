"""Places for frozen guests, without a guest: who fills one, who waits, what is trusted, what left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_kbisect.errors import HostError
from pytest_kbisect.guest.migration import Frozen
from pytest_kbisect.guest.pool import BOOTS, PLACES, Pool

MIB = 1 << 20
PLENTY = 1 << 40


@pytest.fixture
def folder(tmp_path: Path):
    with Pool.create(tmp_path / "frozen"):
        yield tmp_path / "frozen"


@pytest.fixture
def pool(folder: Path) -> Pool:
    return Pool(folder, lambda: PLENTY)


def fill(lease, size: int = MIB, state: bytes = b"state", console: bytes = b"console") -> None:
    os.truncate(lease.memory_file(size), size)
    lease.keep(Frozen(state, console, waits=True))


def filled(pool: Pool, key: str, **what) -> None:
    """Every boot of a kind of guest is there."""
    for _ in range(BOOTS):
        with pool.lease(key) as lease:
            assert not lease.filled
            fill(lease, **what)


def used_memory(folder: Path) -> int:
    """Bytes that all places take, in memory and on disk."""
    return sum(os.stat(path).st_blocks * 512 for path in folder.glob("*/memory"))


def test_uses_are_spread_over_boots_by_all_who_ask(pool: Pool, folder: Path) -> None:
    filled(pool, "kernel")
    other = Pool(folder, lambda: PLENTY)  # another process' view
    numbers = []
    for taking in (pool, other, other, pool, other, pool):
        with taking.lease("kernel") as lease:
            assert lease.filled
            numbers.append(lease.boot_number)
    assert sorted(numbers) == [0, 0, 0, 1, 1, 1]


def test_what_was_put_in_comes_out(pool: Pool) -> None:
    filled(pool, "kernel", state=b"s" * 1000, console=b"Linux version 6.1\n")
    with pool.lease("kernel") as lease:
        snapshot = lease.snapshot()
        assert (snapshot.frozen.state, snapshot.frozen.console) == (b"s" * 1000, b"Linux version 6.1\n")
        assert os.fstat(snapshot.ram).st_size == MIB


@pytest.mark.parametrize("name", ["state", "console", "ram", "manifest.json"])
@pytest.mark.parametrize("harm", ["cut", "emptied", "gone"])
def test_what_is_not_whole_is_not_trusted(pool: Pool, folder: Path, name: str, harm: str) -> None:
    filled(pool, "kernel")
    for place in range(BOOTS):
        path = folder / str(place) / name
        if harm == "gone":
            path.unlink()
        else:
            os.truncate(path, path.stat().st_size // 2 if harm == "cut" else 0)
    for _ in range(BOOTS):
        with pool.lease("kernel") as lease:
            assert lease.snapshot() is None
            pool.forget("kernel", lease.boot_number)
    filled(pool, "kernel")  # made again
    with pool.lease("kernel") as lease:
        assert lease.snapshot() is not None


def test_one_fills_and_the_others_wait(pool: Pool, folder: Path) -> None:
    seen: list[bool] = []

    def ask() -> None:
        with Pool(folder, lambda: PLENTY).lease("kernel") as lease:
            seen.append(lease.filled)

    first, second = pool.lease("kernel"), pool.lease("kernel")
    others = [threading.Thread(target=ask) for _ in range(4)]
    for other in others:
        other.start()
    time.sleep(0.2)
    assert seen == []
    fill(first)
    fill(second)
    for other in others:
        other.join(5)
    assert seen == [True] * 4


def test_who_gives_up_filling_leaves_it_to_the_next(pool: Pool, folder: Path) -> None:
    for _ in range(BOOTS):
        with pool.lease("kernel") as lease:
            os.write(lease.memory_file(MIB), b"x" * 4096)
    assert used_memory(folder) == 0
    with pool.lease("kernel") as lease:
        assert not lease.filled
        fill(lease)


def test_a_disk_that_is_full_leaves_nothing(
    pool: Pool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.name.startswith("console"):
            raise OSError(28, "No space left on device")
        with path.open("wb") as file:
            file.write(data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pool.lease("kernel") as lease, pytest.raises(OSError, match="No space left"):
        os.write(lease.memory_file(MIB), b"x" * 4096)
        lease.keep(Frozen(b"state", b"console", waits=False))
    lease.close()
    monkeypatch.undo()
    assert used_memory(folder) == 0
    assert {path.name for path in (folder / "0").iterdir()} == {"memory", "lock"}


def test_the_longest_unused_makes_room_and_never_one_in_use(pool: Pool) -> None:
    kept = pool.lease("kept")
    fill(kept)
    for number in range(PLACES + 3):
        with pool.lease(f"kernel {number}") as lease:
            fill(lease)
    pool.lease("kept").close()  # its other boot
    with pool.lease("kept") as again:
        assert again.filled
        assert again.snapshot() is not None
    kept.close()
    with pool.lease("kernel 0") as lease:
        assert not lease.filled


def test_no_place_left(pool: Pool) -> None:
    leases = [pool.lease(f"kernel {number}") for number in range(PLACES)]
    assert pool.lease("one more") is None
    leases[3].close()
    with pool.lease("one more") as lease:
        assert not lease.filled


def test_little_memory_first_takes_what_nobody_uses_then_the_disk(folder: Path) -> None:
    free = [PLENTY]
    pool = Pool(folder, lambda: free[0])
    filled(pool, "old")
    with pool.lease("in use") as used:
        fill(used)
        free[0] = 100 * MIB
        with pool.lease("new") as lease:
            os.write(lease.memory_file(MIB), b"x" * 4096)
            assert not (folder / lease._folder.name / "ram").is_symlink()
            lease.keep(Frozen(b"", b"", waits=False))
            assert lease.snapshot() is not None
        assert used.snapshot() is not None
    with pool.lease("old") as lease:
        assert not lease.filled


def test_neither_memory_nor_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = os.statvfs(folder)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*facts[:4], 1, *facts[5:])))
    with (
        Pool(folder, lambda: 0).lease("kernel") as lease,
        pytest.raises(HostError, match="no room for a frozen guest of 512 MiB"),
    ):
        lease.memory_file(512 * MIB)


def test_a_kind_of_guest_that_cannot_be_frozen_is_found_out_once(pool: Pool, folder: Path) -> None:
    assert not pool.refused("kernel")
    assert not pool.refuse("kernel", failures=2)
    assert not pool.refused("kernel")
    assert pool.refuse("kernel", failures=2)
    assert not pool.refuse("kernel", failures=2)
    assert Pool(folder, lambda: PLENTY).refused("kernel")
    assert not pool.refused("another")


def test_the_memory_goes_with_its_process(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from pytest_kbisect.guest.pool import Pool\n"
        "with Pool.create(Path(sys.argv[1])):\n"
        "    print('made', flush=True)\n"
        "    time.sleep(60)\n"
    )
    folder = tmp_path / "frozen"
    owner = subprocess.Popen([sys.executable, "-c", script, folder], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"made\n"
    pool = Pool(folder, lambda: PLENTY)
    filled(pool, "kernel")
    assert used_memory(folder) == 0  # sparse: nothing was written
    assert (folder / "0" / "memory").exists()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert not (folder / "0" / "memory").exists()
    with pool.lease("kernel") as lease:
        assert lease.snapshot() is None
