"""`kbisect crash` as people call it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_kbisect.commands import crash
from pytest_kbisect.errors import UsageError

LOGS = Path(__file__).parent / "logs"


def run(*words):
    parser = argparse.ArgumentParser()
    crash.add_parser(parser.add_subparsers())
    return crash.run(parser.parse_args(["crash", *map(str, words)]))


@pytest.fixture
def console(tmp_path):
    """The consoles alone, without what is expected of them."""

    def cut(name):
        path = tmp_path / name
        path.write_bytes((LOGS / name).read_bytes().partition(b"\n\n")[2])
        return path

    return cut


def test_a_terminal_that_has_not_every_letter(tmp_path, console):
    log = tmp_path / "log"
    log.write_bytes(console("warn").read_bytes().replace(b"Comm: ", b"Comm: \xff\xc3\xa9"))
    code = "import sys; from pytest_kbisect.commands import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "crash", log]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1:strict"}
    done = subprocess.run(words, env=environment, capture_output=True, check=True)
    assert done.stdout.startswith(b"WARNING in kbx_warn\n")
    assert b"Comm: ?\xe9" in done.stdout


def test_json_is_an_object_a_file(capsys, console):
    assert run("--json", console("warn"), console("no_crash")) == 0
    first, second = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert first["file"].endswith("warn")
    assert [report["title"] for report in first["reports"]] == ["WARNING in kbx_warn"]
    assert set(first["reports"][0]) == {
        "title",
        "alt_titles",
        "type",
        "frame",
        "corrupted",
        "corrupted_reason",
        "suppressed",
        "panicked",
        "executor",
        "report",
        "start",
        "end",
    }
    assert second["reports"] == []


def test_text(capsys, console):
    run(console("gpf"))
    out = capsys.readouterr().out
    assert out.startswith("general protection fault in kbx_lookup\n")
    assert "key frame: kbx_lookup" in out


def test_standard_input(capsys, monkeypatch, console):
    with console("bug").open("rb") as file:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=file))
        run()
    assert "kernel BUG in kbx_bug" in capsys.readouterr().out


def test_no_such_file():
    with pytest.raises(UsageError, match="cannot read"):
        run("/nonexistent/console")
    with pytest.raises(UsageError, match="vmlinux"):
        run("--vmlinux", "/nonexistent/vmlinux", LOGS / "warn")
