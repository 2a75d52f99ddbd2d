"""Sessions on this machine: their exit status, what they print, and that nothing outlives them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from pytest_kbisect.bisection.executor import LocalExecutor, SessionCommand
from pytest_kbisect.errors import HostError


def session(path: Path, program: str, *, python: str = sys.executable) -> SessionCommand:
    environment = {**os.environ, "WORD": "hello"}
    return SessionCommand((python, "-c", program), path, environment, folder=path, log=path / "log")


def gone(pid: int) -> bool:
    """Whether a process has ended; it may be a zombie that init has not reaped yet."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_a_session_prints_into_its_log(tmp_path):
    program = "import os, sys; print(os.environ['WORD'], os.getcwd(), flush=True); sys.exit('no')"
    running = LocalExecutor().start(session(tmp_path, program))
    assert running.wait(60) == 1
    assert (tmp_path / "log").read_text() == f"hello {tmp_path}\nno\n"
    running.cancel()  # harmless


@pytest.mark.parametrize("cancelled", [True, False])
def test_what_a_session_has_started_ends_with_it(tmp_path, cancelled):
    """However it ends: cancelled, or on its own."""
    rest = "time.sleep(600)" if cancelled else ""
    running = LocalExecutor().start(
        session(
            tmp_path,
            "import subprocess, time\n"
            "child = subprocess.Popen(['sleep', '600'])\n"
            "print(child.pid, flush=True)\n" + rest,
        )
    )
    deadline = time.monotonic() + 60
    while not (text := (tmp_path / "log").read_text()).endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if cancelled:
        assert running.wait(0.01) is None
        running.cancel()
    else:
        assert running.wait(60) == 0
    assert gone(int(text))


def test_a_session_that_cannot_be_started(tmp_path):
    with pytest.raises(HostError, match="cannot start no-such-python: not installed"):
        LocalExecutor().start(session(tmp_path, "", python="no-such-python"))
