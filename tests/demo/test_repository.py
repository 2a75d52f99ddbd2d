from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from anchors import pack

from pytest_kbisect.demo import key_commits, repository
from pytest_kbisect.demo.repository import Demo, prepare
from pytest_kbisect.errors import UsageError


def git(demo: Demo, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", demo.path, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def demo(tarball: Path, tmp_path: Path) -> Demo:
    return prepare(tmp_path / "demo", tarball, lambda _: None)


def test_git_finds_nothing_wrong_with_it(demo: Demo) -> None:
    git(demo, "fsck", "--strict")
    assert git(demo, "rev-list", "--count", f"{repository.GOOD}..{repository.BAD}") == str(key_commits.TOTAL)
    assert git(demo, "rev-parse", "main") == demo.bad
    assert git(demo, "merge-base", repository.GOOD, repository.BAD) == demo.good


def test_the_first_commit_is_the_tarball_but_for_the_preparation(demo: Demo, tree: dict[str, bytes]) -> None:
    tun = "drivers/net/tun.c"
    for path, content in tree.items():
        if path != tun:
            assert git(demo, "show", f"{demo.good}:{path}") == content.decode("latin-1").strip()
    assert "ETH_MAX_MTU" not in git(demo, "show", f"{demo.good}:{tun}")
    modes = dict(line.split()[::3] for line in git(demo, "ls-tree", "-r", demo.good).splitlines())
    assert (modes["100755"], modes["120000"]) == ("scripts/run.sh", "link")


def test_the_culprit_takes_one_flag_away(demo: Demo) -> None:
    assert "-\t\tflags | __GFP_NOMEMALLOC | __GFP_NOWARN," in git(demo, "show", demo.culprit)


def test_hashes_are_the_same_everywhere(
    demo: Demo, tarball: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gitconfig").write_text(
        "[user]\nname=Somebody\n[core]\nautocrlf=true\n[commit]\ngpgSign=true\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    again = prepare(tmp_path / "elsewhere", tarball, lambda _: None)
    assert (again.good, again.bad, again.culprit) == (demo.good, demo.bad, demo.culprit)


def test_it_is_made_once(demo: Demo, tarball: Path) -> None:
    said: list[str] = []
    assert prepare(demo.path.parent, tarball, said.append) == demo
    assert said == [f"The history is already there: {demo.path}"]


def test_another_tarball_replaces_it(demo: Demo, tarball: Path, tree: dict[str, bytes]) -> None:
    pack(tree | {"README": b"new\n"}, tarball)
    assert prepare(demo.path.parent, tarball, lambda _: None).good != demo.good
    assert {entry.name for entry in demo.path.parent.iterdir()} <= {"linux.git", "lock"}


def test_what_an_interruption_left_is_swept_up(tarball: Path, tmp_path: Path) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "demo"
    (folder / "unfinished-killed" / "linux.git").mkdir(parents=True)
    broken = pack({"Makefile": b""}, tmp_path / "broken.tar.xz")
    with pytest.raises(UsageError):
        prepare(folder, broken, interrupt)
    assert {entry.name for entry in folder.iterdir()} <= {"lock"}


@pytest.mark.parametrize("makefile", [b"all:\n", None])
def test_what_is_not_linux_is_refused(tmp_path: Path, makefile: bytes | None) -> None:
    files = {"README": b"", **({} if makefile is None else {"Makefile": makefile})}
    with pytest.raises(UsageError, match="the source of Linux"):
        prepare(tmp_path / "demo", pack(files, tmp_path / "x.tar.xz"), lambda _: None)


@pytest.mark.parametrize("spoil", [lambda whole: whole[: len(whole) // 2], lambda _: b"no archive"])
def test_a_tarball_that_ends_early_is_refused(tarball: Path, tmp_path: Path, spoil) -> None:
    tarball.write_bytes(spoil(tarball.read_bytes()))
    with pytest.raises(UsageError, match=r"damaged|cannot be unpacked"):
        prepare(tmp_path / "demo", tarball, lambda _: None)
    assert not Path(tmp_path, "demo", "linux.git").exists()
