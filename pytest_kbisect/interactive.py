"""Interactive access to a guest: its ssh command, the gdb command line, and the wait for Enter."""

from __future__ import annotations

import contextlib
import select
import shlex
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import options
from pytest_kbisect.guest.login import ssh_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import NoReturn

    from pytest_kbisect.guest.vm import Guest

SHELL, GDB = "shell", "gdb"
_POLL = 0.2
"""Seconds between two checks whether the guest still runs, while waiting for Enter."""


def check(config: pytest.Config) -> None:
    """Raise UsageError if interactive access is requested but there is no terminal."""
    wanted = [f"--kbisect-{name}" for name in (SHELL, GDB) if options.value(config, name)]
    if wanted and (getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput")):
        raise pytest.UsageError(f"{wanted[0]} needs a terminal and cannot be combined with -n: remove -n")
    wanted += ["--pdb"] if options.debugs(config) else []
    if options.value(config, "ask") and wanted == [f"--kbisect-{SHELL}"]:
        return  # a guest of each kernel for the person who tests it
    if wanted and options.value(config, "range"):
        raise pytest.UsageError(
            f"{wanted[0]} is for one kernel: use --kbisect-commit instead of --kbisect-range"
        )


def in_sight(error: BaseException, guest: Guest) -> BaseException:
    """The same error, its traceback cut after the frame that has `vm`, so that a debugger starts there."""
    last, tb = None, error.__traceback__
    while tb is not None:
        if tb.tb_frame.f_locals.get("vm") is guest:
            last = tb
        tb = tb.tb_next
    if last is None:
        return _raised_beside(error, guest)
    _cut(last)
    return error


def _cut(tb: TracebackType) -> None:
    tb.tb_next = None


def _raised_beside(error: BaseException, vm: Guest) -> BaseException:
    """Raise the error again in a frame of ours that has `vm`: the frame of the finished test is gone."""
    try:
        _raise(error, vm)
    except BaseException as again:  # noqa: BLE001 - it is returned
        return again


def _raise(error: BaseException, vm: Guest) -> NoReturn:  # noqa: ARG001 - visible in the debugger
    raise error.with_traceback(None)


def before_run(config: pytest.Config, guest: Guest, socket: Path) -> None:
    """Accept gdb at `socket`, print the gdb command, and start the run when Enter is pressed."""
    socket.unlink(missing_ok=True)
    guest.debug(socket)
    with _terminal(config) as say:
        say("")
        say("kbisect: a run is about to start; attach gdb, set breakpoints, continue:")
        say(f"    {gdb_command(guest, socket)}")
        say("kbisect: then press Enter (time limits stop while gdb has stopped the guest)")
        _wait(guest)


def after_failure(
    config: pytest.Config, guest: Guest, report: pytest.CollectReport | pytest.TestReport
) -> None:
    """Print the failure and how to log in to the guest. Wait for Enter or the end of the guest."""
    with _terminal(config) as say:
        say("")
        say(report.longreprtext)
        if not guest.running():
            say(f"kbisect: the guest has ended, so you cannot log in; its console: {guest.console.path}")
            return
        if options.value(config, GDB):
            say("kbisect: gdb can still debug the guest")
        if options.value(config, SHELL):
            say("kbisect: the guest of this run is still running:")
            say(f"    {shlex.join(ssh_command(guest))}")
            if shutil.which("ssh") is None:
                say(
                    "kbisect: ssh is not installed: install openssh-client (openssh-clients or openssh elsewhere)"
                )
        say("kbisect: press Enter to stop it and go on")
        _wait(guest)
        if not guest.running():
            say("kbisect: the guest has ended")


def gdb_command(guest: Guest, socket: Path) -> str:
    """The command that debugs the guest's kernel."""
    vmlinux = guest.machine.kernel.with_name("vmlinux")  # in the same folder of the store
    return shlex.join(["gdb", str(vmlinux), "-ex", f"target remote {socket}"])


@contextlib.contextmanager
def _terminal(config: pytest.Config) -> Iterator[Callable[[str], None]]:
    """Write to the terminal and read from it, bypassing pytest's capture."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture:
        capture.suspend(in_=True)
    try:
        yield lambda text: print(text, flush=True)
    finally:
        if capture:
            capture.resume()


def _wait(guest: Guest) -> None:
    """Wait for a line or the end of standard input, or for the end of the guest."""
    while guest.running():
        try:
            ready, _, _ = select.select([sys.stdin], [], [], _POLL)
        except (OSError, ValueError):  # stdin is closed or not a file
            return
        if ready:
            sys.stdin.readline()
            return
