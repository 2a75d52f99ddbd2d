"""The only place that starts and kills programs. No program outlives us.

A child gets its own process group and a parent-death signal, so that nothing keeps running after SIGINT,
SIGTERM or even `kill -9` of one of our processes. A program with children of its own (make) is started by a
shell that passes the signal on to its process group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any

from pytest_kbisect.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h

# The shell is the leader of the group. TERM, which it also gets when our process dies, kills the whole group.
_GROUP_LEADER = 'trap "kill -9 0" TERM; "$@" & wait $!'


def die_with_parent(sig: signal.Signals = signal.SIGKILL) -> None:
    """Arrange that this process is killed when its parent dies (xdist workers, per-commit sessions)."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
    if os.getppid() != parent:  # the parent died before the signal was armed
        os.kill(os.getpid(), sig)


def start(
    command: Sequence[str | Path],
    *,
    group: bool = False,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int | IO[Any] = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = subprocess.DEVNULL,
    stderr: int | IO[Any] | None = subprocess.STDOUT,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program that is killed when the calling *thread* ends.

    Call this from a thread that lives as long as the child should: the parent-death signal refers to a
    thread, see prctl(2). `group`: the program starts other programs, so its process group is killed. Raises
    HostError if the program is not installed.
    """
    argv = [str(word) for word in command]
    if shutil.which(argv[0], path=(os.environ if env is None else env).get("PATH")) is None:
        raise HostError(f"cannot start {argv[0]}: not installed (run: kbisect setup)")
    if group:
        # nohup ignores SIGHUP. make would inherit that, and could then not be stopped cleanly.
        leader = ["env", "--default-signal=HUP", "setpriv", "--pdeathsig", "TERM", "--"]
        argv = [*leader, "sh", "-c", _GROUP_LEADER, "sh", *argv]
    else:
        argv = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            process_group=0,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise
        raise HostError(f"cannot start {argv[0]}: not installed (run: kbisect setup)") from error


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a child and its group, and reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
    check: bool = True,
) -> bytes:
    """Run a short program and return its output (stdout and stderr together).

    Raises HostError if the program is missing, subprocess.CalledProcessError (with .output) if it fails and
    `check` is true, and subprocess.TimeoutExpired after `timeout` seconds.
    """
    child = start(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        output, _ = child.communicate(stdin, timeout)
    except subprocess.TimeoutExpired as error:
        error.cmd = [str(word) for word in command]  # without the words that start() puts before it
        raise
    finally:
        if child.returncode is None:
            kill(child)
        if child.stdout is not None:
            child.stdout.close()
    if check and child.returncode:
        raise subprocess.CalledProcessError(child.returncode, [str(word) for word in command], output)
    return output


def tail(text: bytes | str, lines: int = 30) -> str:
    """The last lines of an output as text, for error messages."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return "\n".join(text.replace("\r", "").rstrip("\n").split("\n")[-lines:])


def bytecode(folder: Path) -> dict[str, str]:
    """Environment variables that make our Python processes store bytecode if this one must not.

    Container images set PYTHONDONTWRITEBYTECODE. Every session would then compile all modules again, which
    takes a second each time. The bytecode is stored in `folder`, not next to the sources.
    """
    if not sys.dont_write_bytecode:
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}
