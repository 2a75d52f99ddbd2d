"""For sessions inside tests: guests that only play what the kernel's file says.

A pytest plugin (`-p played_guests`). Everything else is real: the driver, its sessions, the builds of a
miniature Linux, the store, the reports. A kernel that has `plays:WORD` among its data plays: `crash`
crashes in each run, `crash/2` in every other one, `no-boot` does not come up, `console` prints what the
file named by PLAYED_CONSOLE holds. `exit 3` ends the reproducer with that status, `print ok 1 a|not ok 2 b`
prints these lines, `measure 100 2` values of the metric ms around 100, `log TEXT` has the kernel print them
when it boots, `slow` does not let the reproducer end, `panic` panics at boot, and any of these with `/2` in
every other run. `crash+ARGUMENT` crashes only if the kernel's or QEMU's arguments have that. One without
runs well. `plays@NAME:WORD` is for the reproducer NAME alone. Commands print PLAYED_STDERR.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from types import SimpleNamespace

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
PANIC = """\
BUG: kernel NULL pointer dereference, address: 0000000000000008
Oops: 0000 [#1] PREEMPT SMP
CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0-kbisect #1
RIP: 0010:start_it+0x12/0x40
Call Trace:
 <TASK>
 do_one_initcall+0x58/0xf0
 kernel_init_freeable+0x172/0x2d0
 </TASK>
---[ end trace 0000000000000000 ]---
Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009
"""


def plays(word: str, *, configured: str = "", to: str = "") -> str:
    """Lines of C with which a kernel plays; `configured` is the symbol without which it does not.

    `to` is the reproducer to which it does.
    """
    line = (
        f'const char plays_{to}[] = "plays@{to}:{word}";\n'
        if to
        else f'const char plays[] = "plays:{word}";\n'
    )
    return f"#ifdef {configured}\n{line}#endif\n" if configured else line


class Guest:
    boot_seconds, restore_seconds, boot_number, boot_reports = 0.25, 0.0, None, ()
    unsettled = False
    printed = ""

    def __init__(self, folder, word, run):
        self._console, self._word, self._run = folder / "console.log", word, run
        self.console = SimpleNamespace(bytes=self._console.read_bytes)
        plays, _, self._what = word.partition("/")[0].partition(" ")
        self._plays = plays if run % int(word.partition("/")[2] or 1) == 0 else ""
        folder.mkdir(parents=True, exist_ok=True)
        self._console.write_text("[    0.000000] Linux version 6.1.0-kbisect\n")
        if self._plays == "log":
            self._log(*self._what.split("|"))

    def _log(self, *lines):
        with self._console.open("a") as console:
            console.writelines(f"[    1.234567] {line}\n" for line in lines)

    def put(self, local, remote, *, mode=0o644):
        pass

    def expect(self, ends_run):
        pass

    def crash(self):
        return None

    def run(self, command, *, timeout=30.0, may_time_out=False):
        self.unsettled = True
        words = command if isinstance(command, str) else " ".join(command)
        status = int(self._what) if self._plays == "exit" else None if self._plays == "slow" else 0
        said = self._what.replace("|", "\n") if self._plays == "print" else f"played: {words}"
        if self._plays == "measure":
            said = self._measured(*map(float, self._what.split()))
        self.printed += f"{said}\n"
        return CommandResult(words, status, f"{said}\n", os.environ.get("PLAYED_STDERR", ""), 0.01)

    def _measured(self, usual, spread):
        """The values of a run: the usual one, and this run's deviation in units of the spread."""
        off = [0.0, -1.0, 1.0, 0.4, -0.5, 1.4, -1.3, 0.2][self._run % 8]
        return "".join(f"kbisect-metric: ms {usual + spread * (off + more)}\n" for more in (0, 0.1, -0.1))

    def settle(self):
        self.unsettled = False
        printed = Path(os.environ["PLAYED_CONSOLE"]).read_text() if self._plays == "console" else ""
        if self._plays == "crash":
            printed = CRASH
        with self._console.open("a") as console:
            console.write(printed)
        if reports := parse_console(self._console.read_bytes()):
            raise KernelCrash(reports[0])


@contextlib.contextmanager
def guest(self, kernel, needs, name, *, own_boot=False):
    stem = Path(name.partition("::")[0]).stem
    found = re.search(rb"plays(?:@%b)?:([^\0]*)\0" % stem.encode(), kernel.vmlinux.read_bytes())
    word, _, wanted = (found[1].decode() if found else "").partition("+")
    if wanted not in f"{self.cmdline(needs)} {' '.join(self.qemu(needs))}":
        word = ""
    if word == "no-boot":
        raise BootError("hang", "boot failed: no word")
    number = re.search(r"run(\d+)", name)
    played = Guest(self.console_folder(name), word, int(number[1]) if number else 0)
    if played._plays == "panic":
        with played._console.open("a") as console:
            console.write(PANIC)
        raise BootError("panic", "boot failed: BUG: kernel NULL pointer dereference in start_it")
    yield played


Session.guest = guest
Session.watch = lambda *_: None
Session.record = lambda *_: None
