"""How a guest is found to be up: the default image's init says so, or a disk image's ssh server answers."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_kbisect.errors import GuestError
    from pytest_kbisect.guest.disk import DiskImage
    from pytest_kbisect.guest.watch import ConsoleWatch

READY = b"kbisect: guest ready"
"""What the default image's init prints once sshd listens."""
_NO_ROOT = b"kbisect: no root file system on "
"""What find-root.sh prints, before it waits for ever."""
_ASK_AGAIN = 10.0
"""Seconds that one connection may be without an answer: its first packet may have come before the network."""

SERVICES_STARTED = "if [ -d /run/systemd/system ]; then systemctl is-system-running --wait; fi >/dev/null"
"""An ssh server answers while services are being started. systemd says when they all are (since 240)."""


class Sign(Protocol):
    """Finds out whether a guest is up, without waiting."""

    def seen(self) -> bool:
        """Whether the guest is up. Raises BootError where it never will be."""
        ...

    def missing(self, seconds: float) -> GuestError:
        """The error for a guest that is not up after so many seconds."""
        ...


def sign_of(disk: DiskImage | None, port: int, watch: ConsoleWatch) -> AbstractContextManager[Sign]:
    """The sign to wait for in a guest with this disk; `port` leads to its ssh server."""
    return (
        contextlib.nullcontext(_Line(watch))
        if disk is None
        else contextlib.closing(_Server(disk, port, watch))
    )


class _Line:
    def __init__(self, watch: ConsoleWatch) -> None:
        self._watch = watch

    def seen(self) -> bool:
        return READY in self._watch.recent

    def missing(self, seconds: float) -> GuestError:
        return self._watch.host_failure() or self._watch.boot_failure(
            "hang", f"no sign of user space after {seconds:.0f} s"
        )


class _Server:
    """Connects to a port until somebody there says that it is an ssh server."""

    def __init__(self, disk: DiskImage, port: int, watch: ConsoleWatch) -> None:
        self._disk = disk
        self._port = port
        self._watch = watch
        self._connection: socket.socket | None = None
        self._since = 0.0

    def seen(self) -> bool:
        if _NO_ROOT in self._watch.recent:
            raise self._watch.boot_failure(
                "root",
                f"this kernel finds no root file system with an init on {self._disk.path}: give an image that "
                "has one, or --kbisect-config with what its file system needs",
            )
        # QEMU itself takes the connection. It closes it where the guest refuses.
        now = time.monotonic()
        try:
            if self._connection is None:
                self._connection = socket.create_connection(("127.0.0.1", self._port), 1.0)
                self._connection.setblocking(False)
                self._since = now
            said = self._connection.recv(4)
        except BlockingIOError:
            if now - self._since > _ASK_AGAIN:
                self.close()
            return False
        except OSError:
            said = b""
        if said != b"SSH-":
            self.close()
        return said == b"SSH-"

    def missing(self, seconds: float) -> GuestError:
        return self._watch.host_failure() or self._watch.boot_failure(
            "hang",
            f"no ssh server answers in {self._disk.path} after {seconds:.0f} s: have one start there when it "
            "boots, or give it more time with --kbisect-boot-timeout",
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
