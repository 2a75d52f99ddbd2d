"""`--kbisect-shell`, `--pdb` and `--kbisect-gdb` on real guests, at a real terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

ROOT = Path(__file__).parent.parent.parent
DEADLINE = 240.0


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.child, self.tty = pty.fork()
        if self.child == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, {**os.environ, "TERM": "dumb", "COLUMNS": "300"})
        self.said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.tty)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.child, signal.SIGTERM)
            os.waitpid(self.child, 0)

    def expect(self, pattern: str) -> re.Match[str]:
        """Read until this is there; what was read up to it is gone."""
        deadline = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.said}"
            if select.select([self.tty], [], [], 0.2)[0]:
                try:
                    chunk = os.read(self.tty, 65536)
                except OSError:  # the other side is closed
                    chunk = b""
                assert chunk, f"ended without {pattern!r}:\n{self.said}"
                self.said += chunk.decode("utf-8", "replace").replace("\r", "")
        self.said = self.said[found.end() :]
        return found

    def type(self, line: str) -> None:
        os.write(self.tty, line.encode() + b"\n")

    def ended(self) -> int:
        """The exit code."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if select.select([self.tty], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.said += os.read(self.tty, 65536).decode("utf-8", "replace")
            done, status = os.waitpid(self.child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"does not end:\n{self.said}")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    # Without a configuration of its own: the kernel is the one that other tests have built.
    source = (ROOT / "repro" / "tun_napi_frags.c").read_text()
    (tmp_path / "crash.c").write_text(source.replace("kbisect-config:", ""))
    (tmp_path / "test_own.py").write_text(
        "def test_own(vm):\n"
        "    vm.run('echo kept >/tmp/evidence', timeout=10)\n"
        "    assert vm.run('false', timeout=10).exit_status == 0, 'it is not'\n"
    )
    return tmp_path


@pytest.fixture
def at_terminal(linux_clone, buggy, buggy_kernel, configuration, suite):
    def start(*words: str) -> Terminal:
        common = [
            f"--kbisect-kernel={linux_clone.path}",
            f"--kbisect-commit={buggy}",
            f"--kbisect-config={configuration}",
            "--kbisect-runs=1",
        ]
        return Terminal([sys.executable, "-m", "pytest", *common, *words], suite)

    return start


@pytest.mark.guest
def test_the_guest_of_a_failed_run_can_be_entered(at_terminal) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("no ssh here")
    with at_terminal("--kbisect-shell", "crash.c", "test_own.py") as terminal:
        terminal.expect("WARNING in pskb_expand_head")
        command = terminal.expect(r"\n +(ssh .*root@127\.0\.0\.1)\n")[1]
        terminal.expect("press Enter")
        done = subprocess.run(
            f"{command} 'id -un; dmesg | grep -c pskb_expand_head'",
            shell=True,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        user, count = done.stdout.split()
        assert (user, int(count) > 0) == ("root", True), done.stderr
        assert not done.stderr
        terminal.type("")
        terminal.expect("it is not")
        command = terminal.expect(r"\n +(ssh .*root@127\.0\.0\.1)\n")[1]
        subprocess.run(
            f"{command} 'grep kept /tmp/evidence && poweroff -f'", shell=True, check=False, timeout=60
        )
        terminal.expect("the guest has ended")
        assert terminal.ended() == 1


@pytest.mark.guest
def test_a_debugger_starts_where_the_guest_is_at_hand(at_terminal) -> None:
    with at_terminal("--pdb", "crash.c", "test_own.py") as terminal:
        terminal.expect("WARNING in pskb_expand_head")
        terminal.expect(r"\(Pdb\)")
        terminal.type("p vm.run('uname -r', timeout=20).stdout")
        terminal.expect(r"6\.1\.\d+-kbisect")
        terminal.expect(r"\(Pdb\)")
        terminal.type("c")
        terminal.expect("it is not")
        terminal.expect(r"\(Pdb\)")
        terminal.type("p vm.run('cat /tmp/evidence', timeout=20).stdout")
        terminal.expect("kept")
        terminal.type("c")
        assert terminal.ended() == 1


@pytest.mark.guest
def test_gdb_stops_the_guest_and_its_clock(at_terminal) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("no gdb here")
    with at_terminal("--kbisect-gdb", "--kbisect-timeout=8", "crash.c") as terminal:
        command = terminal.expect(r"\n +(gdb .*)\n")[1]
        terminal.expect("press Enter")
        gdb = subprocess.Popen(
            f"{command} -batch -ex 'break tun_get_user' -ex continue -ex bt -ex 'shell sleep 12' -ex detach",
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        time.sleep(2)
        terminal.type("")
        said, _ = gdb.communicate(timeout=90)
        assert re.search(r"#0 .*tun_get_user", said), said
        terminal.expect("WARNING in pskb_expand_head")  # although gdb held it longer than the time limit
        terminal.expect("press Enter")
        terminal.type("")
        assert terminal.ended() == 1
