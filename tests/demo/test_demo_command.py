from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from anchors import unpack

from pytest_kbisect import host
from pytest_kbisect.commands import demo, main
from pytest_kbisect.demo import key_commits
from pytest_kbisect.errors import ExitCode, KbisectError

SHIPPED = Path(__file__).parents[2] / "repro"


@pytest.fixture(autouse=True)
def _complete_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "missing", lambda *_: ())


@pytest.mark.parametrize("bug", key_commits.BUGS, ids=lambda bug: bug.crash)
def test_the_reproducer_is_the_one_that_is_shipped(tmp_path: Path, bug: key_commits.Bug) -> None:
    laid = demo._lay_out(tmp_path, bug.reproducer)
    assert laid.read_bytes() == (SHIPPED / bug.reproducer).read_bytes()
    assert f"kbisect-crash: {bug.crash}\n" in laid.read_text()


def test_it_makes_the_history(tarball: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    assert main(["demo", "--history-only", f"--cache={cache}", f"--tarball={tarball}"]) == ExitCode.FOUND
    said = capsys.readouterr().out
    assert f"128 commits on Linux 6.1.7 in {cache / 'demo' / 'linux.git'}" in said
    assert "One of them brings this crash back: WARNING in pskb_expand_head" in said


def test_without_a_tarball_it_takes_what_the_distribution_has(
    tarball: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "source_tarball", lambda: tarball)
    assert main(["demo", "--history-only", f"--cache={tmp_path / 'cache'}"]) == ExitCode.FOUND
    assert f"a history on {tarball}," in capsys.readouterr().out


def test_it_takes_a_tree(tree: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = unpack(tree, tmp_path / "linux-6.1.7")
    words = ["demo", "--history-only", f"--cache={tmp_path / 'cache'}", f"--tree={folder}"]
    assert main(words) == ExitCode.FOUND
    assert "128 commits on Linux 6.1.7 in" in capsys.readouterr().out
    assert main([*words, "--tarball=x"]) == ExitCode.USAGE


def test_without_any_source_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "source_tarball", lambda: None)
    assert main(["demo", f"--cache={tmp_path / 'cache'}"]) == ExitCode.USAGE
    assert "run `kbisect setup --demo`, or give --tarball FILE or --tree DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "words"), [("--tarball", "no such file"), ("--tree", "no such directory")]
)
def test_no_source_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, words: str
) -> None:
    cache = tmp_path / "cache"
    assert main(["demo", f"--cache={cache}", f"{option}={tmp_path / 'none'}"]) == ExitCode.USAGE
    assert f"{tmp_path / 'none'}: {words}" in capsys.readouterr().err
    assert not cache.exists()


def test_too_little_disk_is_said_before_anything_is_written(
    tarball: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    assert main(["demo", f"--cache={tmp_path / 'cache'}", f"--tarball={tarball}"]) == ExitCode.USAGE
    assert "needs 6000 MiB, and 1024 MiB are free" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_is_no_folder_is_said_in_one_line(
    tarball: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").touch()
    assert main(["demo", f"--cache={tmp_path / 'cache'}", f"--tarball={tarball}"]) == ExitCode.USAGE
    assert capsys.readouterr().err == f"kbisect: {tmp_path / 'cache' / 'demo'}: Not a directory\n"


def test_a_missing_tool_leads_to_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "missing", lambda *_: host.TOOLS[:1])
    assert main(["demo", f"--cache={tmp_path}"]) == ExitCode.USAGE
    assert "git: run `kbisect setup --demo` first" in capsys.readouterr().err
    assert main(["demo", f"--cache={tmp_path}", f"--tree={tmp_path}"]) == ExitCode.USAGE
    assert "git: run `kbisect setup` first" in capsys.readouterr().err


@pytest.mark.parametrize(("found", "right"), [("a" * 40, True), ("b" * 40, False)])
def test_the_answer_is_compared_with_what_was_planted(tmp_path: Path, found: str, right: bool) -> None:
    result = tmp_path / "result.json"
    result.write_text(json.dumps({"culprit": found}))
    planted = SimpleNamespace(culprit="a" * 40)
    if right:
        demo._check_answer(result, planted)
    else:
        with pytest.raises(KbisectError, match="the culprit is aaaa"):
            demo._check_answer(result, planted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_bisection_and_it_is_waited_for(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "child.py").write_text(
        "import pathlib, signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: (time.sleep(0.3), pathlib.Path('swept').touch(), sys.exit(2)))\n"
        "pathlib.Path('ready').touch()\n"
        "time.sleep(60)\n"
    )
    call = f"demo._in_foreground([sys.executable, 'child.py'], pathlib.Path({str(tmp_path)!r}))"
    code = f"import pathlib, sys; from pytest_kbisect.commands import demo; sys.exit({call})"
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ})
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    parent.send_signal(number)
    assert parent.wait(30) == ExitCode.INTERRUPTED
    assert (tmp_path / "swept").exists()
