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

from pytest_kbisect import host
from pytest_kbisect.commands import demo, main
from pytest_kbisect.errors import ExitCode, KbisectError

REPRODUCER = Path(__file__).parents[2] / "repro" / demo.REPRODUCER


@pytest.fixture(autouse=True)
def _complete_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "missing", lambda *_: ())


def test_the_reproducer_is_the_one_that_is_shipped(tmp_path: Path) -> None:
    assert demo._lay_out(tmp_path).read_bytes() == REPRODUCER.read_bytes()


def test_it_makes_the_history(tarball: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    assert main(["demo", "--history-only", f"--cache={cache}", f"--tarball={tarball}"]) == ExitCode.FOUND
    assert f"128 commits on Linux 6.1.7 in {cache / 'demo' / 'linux.git'}" in capsys.readouterr().out


def test_no_tarball_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    assert main(["demo", f"--cache={cache}", f"--tarball={tmp_path / 'none'}"]) == ExitCode.USAGE
    assert "no such file" in capsys.readouterr().err
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
