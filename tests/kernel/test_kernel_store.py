"""What is in the store is complete, in use or the first to go, and built by one process only."""

from __future__ import annotations

import os
import time

import pytest

from pytest_kbisect.kernel.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "kernels", limit=1 << 20)


@pytest.fixture
def add(store, tmp_path):
    def add(key, size=10, age=0.0, **facts):
        path = tmp_path / "bzImage"
        path.write_bytes(b"x" * size)
        store.add(key, {"bzImage": path}, facts).close()
        then = time.time() - age
        os.utime(store.folder / key / "kernel.json", (then, then))

    return add


def keys(store):
    return {path.name for path in store.folder.iterdir()} - {"locks", "incoming"}


def test_what_was_added_is_found_by_key_and_by_signature(store, add):
    assert store.lookup("k1") is None
    add("k1", signature="s1")
    with store.lookup("k1") as entry:
        assert entry.facts["signature"] == "s1"
        assert (entry.folder / "bzImage").read_bytes() == b"x" * 10
    with store.find("s1") as entry:
        assert entry.folder.name == "k1"
    assert store.find("s2") is None


@pytest.mark.parametrize("damage", ["shorter", "gone", "a bit", "facts", "another fact", "no facts"])
def test_a_damaged_entry_counts_as_none_and_is_replaced(store, add, damage):
    add("k1", signature="s1")
    folder = store.folder / "k1"
    match damage:
        case "shorter":
            (folder / "bzImage").write_bytes(b"x")
        case "gone":
            (folder / "bzImage").unlink()
        case "a bit":
            (folder / "bzImage").write_bytes(b"x" * 9 + b"y")
        case "another fact":
            text = (folder / "kernel.json").read_text()
            (folder / "kernel.json").write_text(text.replace('"signature": "', '"signature": "0'))
        case "facts":
            (folder / "kernel.json").write_text('{"sizes":')
        case "no facts":
            (folder / "kernel.json").unlink()
    assert store.lookup("k1") is None
    add("k1")
    with store.lookup("k1") as entry:
        assert entry is not None


def test_interrupted_while_being_filled(store, tmp_path):
    whole = tmp_path / "bzImage"
    whole.write_text("x")
    with pytest.raises(FileNotFoundError):
        store.add("k1", {"bzImage": whole, "vmlinux": tmp_path / "missing"}, {})
    assert store.lookup("k1") is None
    assert keys(store) == set()


def test_a_shared_entry_takes_no_room_and_outlives_the_one_it_shares_with(store, add, tmp_path):
    add("a", 900_000, age=10)
    with store.lookup("a") as entry:
        files = {"bzImage": entry.folder / "bzImage"}
        store.add("b", files, {"commit": "two"}, link=True).close()
    assert keys(store) == {"a", "b"}
    store._discard("a")
    with store.lookup("b") as entry:
        assert entry.facts["commit"] == "two"
        assert (entry.folder / "bzImage").stat().st_size == 900_000


class TestLimit:
    def test_least_recently_used_goes_first(self, store, add):
        for key, age in (("a", 30), ("b", 20), ("c", 10)):
            add(key, 400_000, age)
        assert keys(store) == {"b", "c"}

    def test_using_is_what_counts(self, store, add):
        add("a", 400_000, 30)
        add("b", 400_000, 20)
        store.lookup("a").close()
        add("c", 400_000)
        assert keys(store) == {"a", "c"}

    def test_what_is_in_use_stays(self, store, add):
        add("a", 400_000, 30)
        add("b", 400_000, 20)
        with store.lookup("a") as entry:
            os.utime(entry.folder / "kernel.json", (1, 1))
            add("c", 400_000)
            assert keys(store) == {"a", "c"}
            assert (entry.folder / "bzImage").exists()

    def test_what_was_just_added_stays_though_it_does_not_fit(self, store, add, tmp_path):
        (tmp_path / "huge").write_bytes(b"x" * 2_000_000)
        add("a")
        with store.add("b", {"bzImage": tmp_path / "huge"}, {}) as entry:
            assert keys(store) == {"b"}
            assert (entry.folder / "bzImage").exists()
        store.trim()
        assert keys(store) == set()

    def test_what_dead_builds_left_is_swept_what_living_ones_have_is_not(self, store, add):
        for name in ("dead", "dead.trash", "alive"):
            (store.folder / "incoming" / name).mkdir(parents=True)
        with store.building("alive", lambda _: None):
            store.trim()
        assert [path.name for path in (store.folder / "incoming").iterdir()] == ["alive"]


def build(folder, source, started, waiting, turns):
    store = Store(folder)
    with store.building("k", lambda _: waiting.release()):
        if (entry := store.lookup("k")) is None:
            started.set()
            assert all(waiting.acquire(timeout=30) for _ in range(2))
            store.add("k", {"bzImage": source}, {}).close()
            turns.put("built")
        else:
            entry.close()
            turns.put("taken")


def test_one_builds_the_others_wait_and_take_it(tmp_path, processes):
    source = tmp_path / "bzImage"
    source.write_text("x")
    turns, started, waiting = processes.Queue(), processes.Event(), processes.Semaphore(0)
    arguments = (tmp_path / "kernels", source, started, waiting, turns)
    three = [processes.Process(target=build, args=arguments) for _ in range(3)]
    three[0].start()
    assert started.wait(30)
    for process in three[1:]:
        process.start()
    for process in three:
        process.join()
    assert sorted(turns.get() for _ in range(3)) == ["built", "taken", "taken"]
