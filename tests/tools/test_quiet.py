"""Long commands whose output matters only if they fail."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from pytest_kbisect import quiet


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_success_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert quiet.run(shell("echo warning; echo warning >&2")) == 0
    assert capfd.readouterr() == ("", "")


def test_failure_prints_all_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert quiet.run(shell("for i in 1 2 3; do echo line $i; done; echo error >&2; exit 7")) == 7
    assert capfd.readouterr() == ("line 1\nline 2\nline 3\nerror\n", "")


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quiet, "_LINE_EVERY", 0.0)
    monkeypatch.setattr(quiet, "_REFRESH", 0.05)
    quiet.run(shell("echo first; printf '10%%\\r\\033[1m20%%\\n\\n'; sleep 0.5"))
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) > 1
    assert re.fullmatch(r"  \d+ s \[1m20%", lines[-1])  # what a terminal would obey is left out


def test_a_terminal_gets_one_line_that_is_gone_in_the_end() -> None:
    """The command does not share its position in the output with us."""
    code = (
        "from pytest_kbisect import quiet; quiet._REFRESH = 0.05;"
        "quiet.run(['sh', '-c', 'echo unpacking; sleep 0.5; echo more; sleep 0.3; exit 1'])"
    )
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stdout=theirs, check=True)
    os.close(theirs)
    said = os.read(ours, 100_000).decode()
    os.close(ours)
    assert re.search(r"\r\x1b\[K  \d+ s unpacking\r", said)
    assert said.endswith("\r\x1b[Kunpacking\r\nmore\r\n")
