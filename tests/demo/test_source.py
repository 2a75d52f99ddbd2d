"""One tree gives the same files, and the same history, in whatever form it comes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess
from pathlib import Path

import pytest
from anchors import archive, pack, unpack

from pytest_kbisect import host
from pytest_kbisect.demo import source
from pytest_kbisect.demo.repository import prepare
from pytest_kbisect.errors import HostError, UsageError

PACKERS = {
    "xz": lzma.compress,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda data: subprocess.run(["zstd", "-cq"], input=data, check=True, capture_output=True).stdout,
    "plain": lambda data: data,
}


def as_git(tree: dict[str, bytes], folder: Path) -> Path:
    unpack(tree, folder)
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.autocrlf=false"]
    for words in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-q", "-m", "Linux"]):
        subprocess.run(["git", "-C", folder, *who, *words], check=True)
    return folder


def contents(place: Path) -> list[source.SourceFile]:
    return sorted(source.read(place), key=lambda file: file.path)


@pytest.mark.parametrize("kind", PACKERS)
def test_a_tarball_is_told_by_its_contents(tree: dict[str, bytes], tmp_path: Path, kind: str) -> None:
    if kind == "zst" and shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    path = tmp_path / "linux.orig"
    path.write_bytes(PACKERS[kind](archive(tree)))
    files = {file.path: file for file in source.read(path)}
    assert {name: files[name].content for name in tree} == tree
    assert files["scripts/run.sh"].mode == "100755"
    assert (files["link"].mode, files["link"].content) == (source.LINK, b"scripts/run.sh")


def test_all_forms_of_a_tree_are_equal(tree: dict[str, bytes], tmp_path: Path) -> None:
    tarball = pack(tree, tmp_path / "linux.tar.xz")
    folder, git = unpack(tree, tmp_path / "folder"), as_git(tree, tmp_path / "git")
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", git, bare], check=True)
    (git / "not-committed").write_text("left out")
    assert contents(tarball) == contents(folder) == contents(git) == contents(bare)
    hashes = {
        prepare(tmp_path / f"demo{number}", place, lambda _: None).bad
        for number, place in enumerate((tarball, folder, git, bare))
    }
    assert len(hashes) == 1


def test_a_folder_that_was_changed_makes_another_history(tree: dict[str, bytes], tmp_path: Path) -> None:
    folder = unpack(tree, tmp_path / "folder")
    made = prepare(tmp_path / "demo", folder, lambda _: None)
    assert prepare(tmp_path / "demo", folder, lambda _: None) == made
    (folder / "README").write_text("new\n")
    assert prepare(tmp_path / "demo", folder, lambda _: None).good != made.good


@pytest.mark.parametrize("left", [".config", "include/config/auto.conf", "arch/x86/include/generated/a.h"])
def test_a_folder_that_was_built_in_is_refused(tree: dict[str, bytes], tmp_path: Path, left: str) -> None:
    folder = unpack(tree, tmp_path / "folder")
    (folder / left).parent.mkdir(parents=True, exist_ok=True)
    (folder / left).touch()
    with pytest.raises(UsageError, match=r"has been built in .*run `make mrproper`"):
        list(source.read(folder))


def test_a_repository_without_commits_is_refused(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "empty"], check=True)
    with pytest.raises(UsageError, match="git finds no HEAD"):
        source.fingerprint(tmp_path / "empty")


def test_a_program_that_is_not_there_is_named(
    tree: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "find", lambda _: None)
    with pytest.raises(HostError, match="gzip is not installed"):
        source.read(pack_as(tree, tmp_path, "gz"))


def pack_as(tree: dict[str, bytes], folder: Path, kind: str) -> Path:
    path = folder / f"linux.tar.{kind}"
    path.write_bytes(PACKERS[kind](archive(tree)))
    return path
