"""For sessions inside tests: guests that only play what the kernel's file says.

A pytest plugin (`-p played_guests`). Everything else is real: the driver, its sessions, the builds of a
miniature Linux, the store, the reports. A kernel that has `plays:WORD` among its data plays: `crash` crashes
in each run, `crash/2` in every other one, `no-boot` does not come up, `console` prints what the file named by
PLAYED_CONSOLE holds. `crash+ARGUMENT` crashes only where the kernel's or QEMU's arguments have that. One
without runs well. Commands print PLAYED_STDERR.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from pytest_kbisect.crash import parse_console
from pytest_kbisect.errors import BootError, KernelCrash
from pytest_kbisect.guest.ssh import CommandResult
from pytest_kbisect.session.shared import Session

CRASH = """\
WARNING: CPU: 1 PID: 61 at init/main.c:5634 start+0x136/0x1a0
Modules linked in:
CPU: 1 PID: 61 Comm: crash Not tainted 6.1.0-kbisect #1
RIP: 0010:start+0x136/0x1a0
Call Trace:
 <TASK>
 begin+0x58/0xf0
 vfs_write+0x172/0x2d0
 </TASK>
---[ end trace 0000000000000000 ]---
"""
TITLE = "WARNING in start"


def plays(word: str, *, configured: str = "") -> str:
    """Lines of C with which a kernel plays; `configured` is the symbol without which it does not."""
    line = f'const char plays[] = "plays:{word}";\n'
    return f"#ifdef {configured}\n{line}#endif\n" if configured else line


class Guest:
    boot_seconds, restore_seconds, boot_number, boot_reports = 0.25, 0.0, None, ()
    unsettled = False

    def __init__(self, folder, word, run):
        self._console, self._word, self._run = folder / "console.log", word, run
        folder.mkdir(parents=True, exist_ok=True)
        self._console.write_text("[    0.000000] Linux version 6.1.0-kbisect\n")

    def put(self, local, remote, *, mode=0o644):
        pass

    def expect(self, ends_run):
        pass

    def crash(self):
        return None

    def run(self, command, *, timeout=30.0, may_time_out=False):
        self.unsettled = True
        words = command if isinstance(command, str) else " ".join(command)
        return CommandResult(words, 0, f"played: {words}\n", os.environ.get("PLAYED_STDERR", ""), 0.01)

    def settle(self):
        self.unsettled = False
        word, _, every = self._word.partition("/")
        printed = Path(os.environ["PLAYED_CONSOLE"]).read_text() if word == "console" else ""
        if word == "crash" and self._run % int(every or 1) == 0:
            printed = CRASH
        with self._console.open("a") as console:
            console.write(printed)
        if reports := parse_console(self._console.read_bytes()):
            raise KernelCrash(reports[0])


@contextlib.contextmanager
def guest(self, kernel, needs, name):
    found = re.search(rb"plays:([^\0]*)\0", kernel.vmlinux.read_bytes())
    word, _, wanted = (found[1].decode() if found else "").partition("+")
    if wanted not in f"{self.cmdline(needs)} {' '.join(self.qemu(needs))}":
        word = ""
    if word == "no-boot":
        raise BootError("hang", "boot failed: no word")
    number = re.search(r"run(\d+)", name)
    yield Guest(self.console_folder(name), word, int(number[1]) if number else 0)


Session.guest = guest
Session.watch = lambda *_: None
