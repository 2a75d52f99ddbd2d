"""Console messages that affect every crash on the console, wherever they appear."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.pattern import Pattern

# The guest ran out of memory or its programs were broken. Such a crash says nothing about the kernel.
_SUPPRESSED: Final = (
    b"*** stack smashing detected ***",
    b"panic: out of memory",
    b"panic: cannot allocate memory",
    b"panic: Cannot allocate memory",
    b"panic: too many open files",
    b"panic: failed to create temp dir",
    b"fatal error: runtime: out of memory",
    b"fatal error: runtime: cannot allocate",
    b"fatal error: out of memory",
    b"fatal error: unexpected signal during runtime execution",
    b"runtime: out of memory",
    b"signal SIGBUS: bus error",
    b"SYZFAIL: out of memory",
    b"INIT: PANIC: segmentation violation!",
    b"Killed process 1 (",
    b"lowmemorykiller: Killing 'sshd'",
    b"Kernel panic - not syncing: Out of memory",
    b"Kernel panic - not syncing: System is deadlocked on memory",
)
# mm/oom_kill.c: "Kill process" before 5.1. Without these programs the guest can no longer be reached.
_OOM_KILLS: Final = b" process "
_OOM_KILLED: Final = Pattern(rb"\bKill(?:ed)? process \d{1,9} \((?:sshd|dropbear|syz-fuzzer|syz-execprog)\)")
_PANICKED: Final = b"Kernel panic - not syncing"
# Google Compute Engine prints this on the serial port itself. What the guest printed meanwhile is lost.
_DISCONNECTED: Final = b"serialport: VM disconnected."
_EXECUTOR: Final = Pattern(rb" Comm: syz\.(\d{1,6})\.(\d{1,9}) ")


class Circumstances:
    """The circumstances of the crashes on a console.

    `suppressed`: the guest ran out of memory or its programs were broken. `panicked`: the kernel panicked.
    `disconnected`: the console was disconnected. `executor`: which of syzkaller's programs crashed.
    """

    __slots__ = ("disconnected", "executor", "panicked", "suppressed")

    def __init__(self) -> None:
        self.suppressed = False
        self.panicked = False
        self.disconnected = False
        self.executor = ""

    def note(self, data: bytes | bytearray, start: int, end: int) -> None:
        """Look for these messages in a part of the console that consists of whole lines."""
        if not self.panicked:
            self.panicked = data.find(_PANICKED, start, end) >= 0
        if not self.disconnected:
            self.disconnected = data.find(_DISCONNECTED, start, end) >= 0
        if not self.suppressed:
            self.suppressed = any(data.find(word, start, end) >= 0 for word in _SUPPRESSED) or (
                data.find(_OOM_KILLS, start, end) >= 0
                and _OOM_KILLED.compiled.search(data, start, end) is not None
            )
        if not self.executor and data.find(b" Comm: syz.", start, end) >= 0:
            found = _EXECUTOR.compiled.search(data, start, end)
            if found is not None:
                self.executor = f"proc={int(found[1])}, id={int(found[2])}"
