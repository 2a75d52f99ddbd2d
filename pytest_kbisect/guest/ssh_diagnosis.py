"""Why a guest does not answer: a crash that is still being printed, a hang, a QEMU that is gone, the host."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import TYPE_CHECKING

from pytest_kbisect.errors import BootError, InfraError
from pytest_kbisect.guest.ssh import Ssh

if TYPE_CHECKING:
    from pytest_kbisect.errors import KernelCrash
    from pytest_kbisect.guest.initramfs import GuestImage
    from pytest_kbisect.guest.qemu import Qemu
    from pytest_kbisect.guest.watch import ConsoleWatch

ALIVE = 10.0
"""A guest that does not run `true` within so many seconds hangs (a busy TCG guest needs 1)."""
_REPORT = 2.0
"""Seconds for a crash report to be complete that was begun when ssh failed."""


class SshDiagnosis:
    """Finds out why one guest does not answer. What it returns is an error to raise."""

    def __init__(self, qemu: Qemu, image: GuestImage, watch: ConsoleWatch) -> None:
        self._qemu = qemu
        self._image = image
        self._watch = watch
        self.watched = False
        """Whether breakpoints of ours are set in the guest."""

    def hang(self) -> KernelCrash | InfraError:
        """The guest runs no command any more, and nothing on its console says why."""
        if self.watched and self._qemu.held():
            return InfraError("qemu", "the guest was stopped at a breakpoint of ours, and did not go on")
        if failure := self._watch.host_failure():
            return failure
        return self._watch.silent("no response from the guest", "HANG")

    def explain(self, error: InfraError) -> Exception:
        """Why ssh failed with this error, which is returned where it was not ssh that failed."""
        if error.kind != "ssh":
            return error
        deadline = time.monotonic() + _REPORT
        while time.monotonic() < deadline:
            if ended := self._watch.reason():
                return ended
            if not self._watch.pending:
                break
            time.sleep(0.05)
        found = self._connect_again(error)
        # Whatever cut the connection, a guest that has reported something is no fault of the host's.
        return (self._watch.crash() or found) if isinstance(found, InfraError) else found

    def _connect_again(self, error: InfraError) -> Exception:
        """What a second connection says of a first one that failed: silence is a hang, a refusal is not."""
        import paramiko

        asked = time.monotonic()
        try:
            Ssh(self._qemu.ssh_port(), self._image, timeout=ALIVE).close()
        except InfraError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._qemu.process.wait(2.0)  # the monitor knows a moment before the process is gone
            return self._watch.reason() or InfraError(
                "qemu", "QEMU does not answer", console=self._watch.console.tail()
            )
        except (OSError, EOFError, paramiko.SSHException):
            if time.monotonic() - asked >= ALIVE:
                return self.hang()
            return self._watch.host_failure() or self._watch.silent(
                "lost connection to the guest", "LOST_CONNECTION"
            )
        except BootError:
            pass  # it has become a guest that lets nobody in, and answers
        words = f"{error.args[0]} (the guest still answers)"
        return InfraError("ssh", words, console=self._watch.console.tail())
