"""The one place that starts and kills programs: none of them outlives us.

A child gets its own process group and a parent-death signal, so that SIGINT, SIGTERM and even
`kill -9` of any of our processes leave nothing running. A program that has children of its own
(make) is started under a shell that passes the signal on to its group.
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

# The shell is the group's leader: TERM (also sent when our process dies) takes the group with it.
_GROUP_LEADER = 'trap "kill -9 0" TERM; "$@" & wait $!'


def die_with_parent(sig: signal.Signals = signal.SIGKILL) -> None:
    """Have this process killed when its parent dies (xdist workers, per-commit sessions)."""
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

    So call it from a thread that lives as long as the child should (the parent-death signal is that of a
    thread, see prctl(2)). `group`: the program starts others, and its process group is killed. Raises
    HostError when the program is not there.
    """
    argv = [str(word) for word in command]
    if shutil.which(argv[0], path=(os.environ if env is None else env).get("PATH")) is None:
        raise HostError(f"cannot start {argv[0]}: not installed (run: kbisect setup)")
    if group:
        # Under nohup SIGHUP is ignored, make inherits that, and could no longer be stopped in order.
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
    """End a child and its group now, and reap it."""
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
    """Run a short program and return what it printed (stdout and stderr together).

    Raises HostError if it is missing, subprocess.CalledProcessError (with .output) if it fails and
    `check`, subprocess.TimeoutExpired after `timeout` seconds.
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
        error.cmd = [str(word) for word in command]  # without what start() has put before it
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
    """The last lines of some output as text, for an error message."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return "\n".join(text.replace("\r", "").rstrip("\n").split("\n")[-lines:])


def bytecode(folder: Path) -> dict[str, str]:
    """The environment in which Pythons of ours keep their bytecode, where this one keeps none.

    Images of containers set PYTHONDONTWRITEBYTECODE; every session would compile all modules anew,
    a second each time. Nothing is written next to anybody's sources: `folder` takes it.
    """
    if not sys.dont_write_bytecode:
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}
