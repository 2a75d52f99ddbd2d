"""Folders of a process: gone when it has ended, or swept by the next one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from pytest_kbisect.scratch import scratch_folder

HOLD = """
import sys, time
from pathlib import Path
from pytest_kbisect.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "key").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


def hold(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, parent], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    return child, Path(child.stdout.readline().strip())


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    (dead, left), (alive, kept) = hold(tmp_path), hold(tmp_path)
    young = tmp_path / "session-young"  # made just now, and not locked yet
    young.mkdir()
    try:
        dead.kill()
        dead.communicate()
        for folder in (left, kept):
            os.utime(folder, (time.time() - 60,) * 2)
        with scratch_folder(tmp_path) as own:
            assert not left.exists()
            assert (kept / "key").exists()
            assert young.exists()
        assert not own.exists()
    finally:
        alive.kill()
        alive.communicate()


def test_flock_is_called_in_one_place() -> None:
    """Elsewhere filelock does it, or what that place has."""
    package = Path(__file__).parent.parent.parent / "pytest_kbisect"
    callers = [path.name for path in package.rglob("*.py") if "fcntl" in path.read_text().split('"""', 2)[2]]
    assert callers == ["locks.py"]
