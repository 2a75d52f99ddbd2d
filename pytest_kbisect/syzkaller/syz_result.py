"""Whether a run of syz-execprog has executed the program at all; if not, it says nothing of the kernel.

syz-execprog of some years ends with status 0 though its executor failed, and goes on for ever if it is to
repeat. So its output decides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_kbisect.guest.ssh import CommandResult

_SIGNS: Final = (
    (r"flag provided but not defined: *(?P<what>\S+)", "syz-execprog does not know the flag {what}"),
    (r"unknown feature specified: *(?P<what>\S+)", "syz-execprog does not know the feature {what}"),
    (r"SYZFAIL: *(?P<what>.*)", "syz-executor failed: {what}"),
    (
        r"(?:fork/exec|exec) \S*syz-executor\S*: no such file or directory",
        "syz-executor needs a C library that the guest does not have",
    ),
    (r"(?P<what>error while loading shared libraries: .*)", "the guest lacks a library: {what}"),
    (r"exec format error", "the programs are of another architecture"),
    (r"(?P<what>execution of simple program fails: .*)", "syzkaller's check of the machine failed: {what}"),
    (r"(?P<what>failed to (?:start executor|create ipc env|setup features?): .*)", "{what}"),
    (r"(?P<what>executor process exited: .*)", "{what}"),
    (r"result: .*err=(?!<nil>)(?P<what>[^\n]+)", "syz-executor failed: {what}"),
    (r"parsed 0 programs", "this revision of syzkaller knows none of the program's calls"),
    (r"^(?:panic|fatal error): (?P<what>.*)", "syz-execprog failed: {what}"),
)
"""What the programs print where they cannot work, the most telling first; since 2016."""
_PATTERNS: Final = tuple((re.compile(sign, re.MULTILINE), words) for sign, words in _SIGNS)
_STARTED: Final = re.compile(r"\bexecuted programs: \d+")
"""Printed before the first program is executed (tools/syz-execprog/execprog.go)."""
_LONGEST: Final = 200


def untestable(result: CommandResult) -> str:
    """Why a run that showed no crash does not say that the kernel is good; "" if the program was executed."""
    output = f"{result.stderr}\n{result.stdout}"
    for pattern, words in _PATTERNS:
        if found := pattern.search(output):
            what = (found.groupdict().get("what") or "").strip()
            return words.format(what=what[:_LONGEST])
    if result.exit_status:
        last = output.strip().rpartition("\n")[2][:_LONGEST]
        return f"syz-execprog ended with status {result.exit_status}: {last}"
    if not _STARTED.search(output):
        late = f" in {result.seconds:.0f} s: raise the time limit of a run" if result.timed_out else ""
        return f"syz-execprog did not begin to execute the program{late}"
    return ""
