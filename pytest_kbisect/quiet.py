"""Run a long command whose output matters only if it fails.

Standard library only: the checkout runs pip with it, before anything is installed.
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
"""Seconds between two looks at the output."""
_LINE_EVERY = 30.0
"""Seconds between two progress lines where stdout is no terminal."""
_TAIL = 4096
"""Bytes of the output that are searched for its last line."""


def run(command: Sequence[str | Path]) -> int:
    """Run it and return its exit status; print its output if that is not 0.

    Meanwhile a line of progress shows the seconds that have passed and what the command printed last: on a
    terminal always the same line, elsewhere a new one every half a minute. sudo can ask for a password,
    because the command stays in the terminal's foreground.
    """
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            status = _wait(child, output)
        except KeyboardInterrupt:
            child.wait()  # the terminal has sent it the same signal
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
    """What was printed last; the position in the file, which the command shares, stays as it is."""
    size = os.fstat(output.fileno()).st_size
    tail = os.pread(output.fileno(), _TAIL, max(0, size - _TAIL)).decode(errors="replace")
    words = (line.strip() for line in reversed(tail.replace("\r", "\n").split("\n")))
    return "".join(char for char in next(filter(None, words), "") if char.isprintable())
