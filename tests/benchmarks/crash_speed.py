"""How fast consoles are read, whole and in pieces of 80 bytes as a serial port gives them.

    python tests/benchmarks/crash_speed.py [--lines 40000]

Prints MiB per second of processor time, and the ratio to splitting the same console into lines and looking
for one word in each, which is measured in the same run: a machine's speed and load are in both.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect.crash import ConsoleReader, parse_console

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 80
LOG = Path(__file__).parents[1] / "crash" / "logs" / "warn"


def consoles(lines: int) -> dict[str, bytes]:
    """What consoles are full of, by a word for it."""

    def repeat(form: str) -> bytes:
        return "".join(
            form.format(
                time=f"{at // 1000:5}.{at % 1000 * 1000:06}", task=at % 5000, number=at, second=at % 60
            )
            for at in range(lines)
        ).encode()

    crash = LOG.read_bytes().partition(b"\n\n")[2]
    usual = repeat("[{time}][ T{task:4}] usb 1-1: new high-speed USB device number {number} using xhci_hcd\n")
    few = usual[: 1 << 20]
    return {
        "ordinary lines": usual,
        "harmless warnings": repeat(
            "[{time}][ T{task:4}] WARNING: the option foo{number} is deprecated and will be removed\n"
        ),
        "programs' warnings": repeat(
            "Jun 01 10:00:{second:02} host gnome-shell[1900]: WARNING: Lost name {number} on the bus\n"
        ),
        "a crash a MiB": (few + crash) * max(1, len(usual) // len(few)),
        "nothing but crashes": crash * max(1, lines // 200),
    }


def read_in_pieces(console: bytes) -> None:
    """Feed it as it comes from a serial port."""
    reader = ConsoleReader()
    for at in range(0, len(console), PIECE):
        reader.feed(console[at : at + PIECE])
    reader.finish()


def look_at_lines(console: bytes) -> int:
    """What the speeds are compared with."""
    return sum(b"WARNING" in line for line in console.split(b"\n"))


def seconds(read: Callable[[bytes], object], console: bytes) -> float:
    """Processor time of the best of three."""
    best = float("inf")
    for _ in range(3):
        begin = time.process_time()
        read(console)
        best = min(best, time.process_time() - begin)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=40000)
    arguments = parser.parse_args()
    print(f"{'console':<22} {'MiB':>5}  {'whole MiB/s':>12} {'ratio':>6}  {'pieces MiB/s':>12} {'ratio':>6}")
    for name, console in consoles(arguments.lines).items():
        size = len(console) / 2**20
        base, whole, pieces = (
            seconds(read, console) for read in (look_at_lines, parse_console, read_in_pieces)
        )
        print(
            f"{name:<22} {size:>5.1f}  {size / whole:>12.1f} {base / whole:>6.3f}"
            f"  {size / pieces:>12.1f} {base / pieces:>6.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
