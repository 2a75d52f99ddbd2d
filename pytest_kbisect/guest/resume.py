"""What a restored guest is given first: the time of day, and randomness of its own. See resume.c.

The kernel's own way to new random numbers (the generation id) is there since 5.18; before it, this is
all there is. The program waits at a second serial line while the guest is frozen: so it has what it
needs before anything else runs, and costs no ssh command. A kernel without that line runs it by ssh;
where it could not be compiled, or user space lets nothing run in /tmp, the guest's shell does what a
shell can.
"""

from __future__ import annotations

import secrets
import struct
import time
from typing import TYPE_CHECKING

from pytest_kbisect.errors import InfraError
from pytest_kbisect.guest.ssh import no_test

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from pytest_kbisect.guest.vm import Guest

_PROGRAM = "/tmp/kbisect-resume"  # where programs can be run, as reproducers are
_READY, _DONE = b"R", b"."
_LIMIT = 5.0
"""Seconds until the program answers on the line; a busy TCG guest needs 0.1."""


def message() -> bytes:
    """What the program reads: nanoseconds since 1970 in 8 bytes, and 32 random ones."""
    return struct.pack("<Q", time.time_ns()) + secrets.token_bytes(32)


def install(guest: Guest, program: Path, line: socket.socket) -> bool:
    """Put the program into a guest that will be frozen. True if it waits at the line."""
    guest.put(program, _PROGRAM, mode=0o755)
    with no_test():
        started = guest.run(f"{_PROGRAM} {guest.machine.architecture.second_serial}")
        if started.exit_status == 0 and _heard(line) == _READY:
            return True
        guest.run(f"kill $(pidof {_PROGRAM}); true")
    guest.put(program, _PROGRAM, mode=0o755)  # it removes itself when it starts
    return False


def send(line: socket.socket) -> None:
    """Send the message to the program that waits at the line."""
    line.sendall(message())


def wait_until_done(line: socket.socket) -> None:
    """Wait for the program's answer. Raises InfraError if there is none."""
    if (answer := _heard(line)) != _DONE:
        raise InfraError(
            "resume", f"a restored guest did not take the time of day and a random seed: {answer!r}"
        )


def run(guest: Guest) -> None:
    """Run the program by ssh, where none waits at the line. Raises InfraError if it fails."""
    by_shell = f"{{ rm -f {_PROGRAM}; date -s @{int(time.time())} && cat >/dev/urandom; }}"
    with no_test():
        answer = guest.run(f"[ -x {_PROGRAM} ] && {_PROGRAM} || {by_shell}", stdin=message())
    if answer.exit_status != 0:
        raise InfraError(
            "resume", f"a restored guest did not take the time of day and a random seed: {answer.stderr}"
        )


def _heard(line: socket.socket) -> bytes:
    """The next byte on the line; empty if none comes."""
    line.settimeout(_LIMIT)
    try:
        return line.recv(1)
    except OSError:
        return b""
