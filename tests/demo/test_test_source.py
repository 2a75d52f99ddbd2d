"""What kernel source the slow tests take."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from anchors import pack, unpack
from linux_commits import SOURCE, clone_of_demo

from pytest_kbisect import host
from pytest_kbisect.demo import key_commits


@pytest.fixture
def installed(tarball: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host, "source_tarball", lambda: tarball)
    monkeypatch.delenv(SOURCE, raising=False)
    return tarball


def test_it_is_the_distributions(installed: Path, tmp_path: Path) -> None:
    linux = clone_of_demo(tmp_path / "cache")
    assert linux.demo.version == "6.1.7"
    assert linux.demo.path == tmp_path / "cache" / "demo" / "linux.git"
    assert linux.git("log", "--format=%H", "main").split()[0] == linux.demo.bad


def test_or_what_a_variable_names_which_leaves_the_demo_alone(
    installed: Path, tree: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = clone_of_demo(cache)
    other = tree | {"Makefile": b"VERSION = 7\nPATCHLEVEL = 1\nSUBLEVEL = 8\n"}
    for source in (pack(other, tmp_path / "linux-7.1.8.tar.xz"), unpack(other, tmp_path / "linux-7.1.8")):
        monkeypatch.setenv(SOURCE, str(source))
        named = clone_of_demo(cache)
        assert named.demo.version == "7.1.8"
        assert named.path != first.path
    monkeypatch.delenv(SOURCE)
    assert clone_of_demo(cache).demo == first.demo
    subprocess.run(["git", "-C", first.path, "fsck", "--connectivity-only"], check=True, capture_output=True)


def test_commits_are_made_from_changes(installed: Path, tmp_path: Path) -> None:
    linux = clone_of_demo(tmp_path / "cache")
    bug = key_commits.BUGS[0]
    made = linux.edited("Again", [bug.culprit], tmp_path / "index", linux.demo.good)
    assert "__GFP_NOWARN" in linux.read("net/core/skbuff.c", linux.demo.good)
    assert "__GFP_NOWARN" not in linux.read("net/core/skbuff.c", made)


def test_without_any_the_tests_are_skipped(installed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(host, "source_tarball", lambda: None)
    with pytest.raises(pytest.skip.Exception, match=r"KBISECT_TEST_SOURCE"):
        clone_of_demo(tmp_path / "cache")
