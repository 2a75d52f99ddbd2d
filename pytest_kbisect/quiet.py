"""Runs long commands whose output matters only if they fail.

It uses only the standard library: the checkout runs pip with it, before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_REFRESH = 0.5
"""Seconds between two reads of the output."""
_LINE_EVERY = 30.0
"""Seconds between two progress lines if stdout is not a terminal."""
_TAIL = 4096
"""Bytes at the end of the output that are searched for the last line."""


def run(command: Sequence[str | Path]) -> int:
    """Run a command and return its exit status. Print its output if the status is not 0.

    Meanwhile a progress line shows the elapsed seconds and the last line that the command printed. A terminal
    always shows it on the same line; otherwise a new line is printed every half a minute. sudo can ask for a
    password, because the command stays in the foreground of the terminal.
    """
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            status = _wait(child, output)
        except KeyboardInterrupt:
            child.wait()  # the terminal has sent the same signal to it
            raise
        if status:
            output.seek(0)
            sys.stdout.write(output.read().decode(errors="replace"))
            sys.stdout.flush()
        return status


def _wait(child: subprocess.Popen[bytes], output: IO[bytes]) -> int:
    started = time.monotonic()
    terminal = sys.stdout.isatty()
    due = started + (0 if terminal else _LINE_EVERY)
    try:
        while True:
            try:
                return child.wait(_REFRESH)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            if now >= due:
                due = now + (0 if terminal else _LINE_EVERY)
                _show(f"  {now - started:.0f} s {_last_line(output)}", terminal=terminal)
    finally:
        if terminal:
            print("\r\x1b[K", end="", flush=True)


def _show(text: str, *, terminal: bool) -> None:
    text = text[: shutil.get_terminal_size().columns - 1]
    print(f"\r\x1b[K{text}" if terminal else text, end="" if terminal else "\n", flush=True)


def _last_line(output: IO[bytes]) -> str:
    """The last line printed. Does not move the file position, which the command shares."""
    size = os.fstat(output.fileno()).st_size
    tail = os.pread(output.fileno(), _TAIL, max(0, size - _TAIL)).decode(errors="replace")
    words = (line.strip() for line in reversed(tail.replace("\r", "\n").split("\n")))
    return "".join(char for char in next(filter(None, words), "") if char.isprintable())
