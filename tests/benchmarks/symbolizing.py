"""What file:line of a trace costs, with a vmlinux of a kernel's size.

    python tests/benchmarks/symbolizing.py [--vmlinux FILE] [--mebibytes 300] [--frames 40] [--keep FOLDER]

Without a vmlinux one is made: as many small C files as it takes, compiled with -g against one large header
(so each has the debug information of thousands of types, as a kernel's files have), and linked where a kernel
is. Then `kbisect crash --vmlinux` symbolizes a report with functions from all over it, by each of the
programs that are installed. Prints seconds, and how many frames have a location.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FUNCTIONS = 60
TYPES = 6000
FLAGS = ["-g", "-O1", "-ffreestanding", "-fno-pic", "-mcmodel=kernel", "-fno-eliminate-unused-debug-types"]
PROGRAMS = ("llvm-symbolizer", "addr2line")


def header() -> str:
    members = "".join(f" unsigned long member_{number};" for number in range(8))
    return "".join(f"struct kbx_type_{number} {{{members} }};\n" for number in range(TYPES))


def source(file: int) -> str:
    """A file of functions, each with something inlined into it."""
    lines = [
        '#include "kbx.h"',
        "static inline __attribute__((always_inline)) long fold(long sum, long a)",
        "{",
        "\tfor (long i = 0; i < sum; i++)",
        "\t\tsum ^= a * i;",
        "\treturn sum;",
        "}",
    ]
    for number in range(FUNCTIONS):
        lines += [
            f"long kbx_{file}_{number}(struct kbx_type_{number} *one)",
            "{",
            "\tlong sum = one->member_0;",
            *(f"\tsum = fold(sum, one->member_{at});" for at in range(8)),
            "\treturn sum;",
            "}",
        ]
    return "\n".join(lines) + "\n"


def make(folder: Path, mebibytes: int) -> Path:
    (folder / "kbx.h").write_text(header())
    objects: list[Path] = []
    size = 0
    while size < mebibytes << 20:
        file = folder / f"kbx_{len(objects)}.c"
        file.write_text(source(len(objects)))
        subprocess.run(["gcc", *FLAGS, "-c", file, "-o", file.with_suffix(".o")], check=True, cwd=folder)
        objects.append(file.with_suffix(".o"))
        size = len(objects) * debug_bytes(objects[-1])
    vmlinux = folder / "vmlinux"
    (folder / "objects").write_text("\n".join(map(str, objects)))
    subprocess.run(
        ["ld", "-e", "0", "-Ttext=0xffffffff81000000", "-o", vmlinux, f"@{folder / 'objects'}"], check=True
    )
    for path in objects:
        path.unlink()
    return vmlinux


def debug_bytes(path: Path) -> int:
    """Bytes that an object's debug information has once it is linked: without relocations."""
    listing = subprocess.run(["size", "-A", path], check=True, capture_output=True, text=True).stdout
    return sum(
        int(size) for size in re.findall(r"(?m)^\.(?:debug_info|debug_line|debug_abbrev)\s+(\d+)", listing)
    )


def report(vmlinux: Path, frames: int) -> str:
    """A warning whose trace goes through functions from all over the image."""
    symbols = []
    listing = subprocess.run(["nm", "-S", vmlinux], check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 4 and words[2] in "tT" and int(words[1], 16) > 32:
            symbols.append((words[3], int(words[1], 16)))
    chosen = random.Random(1).sample(symbols, frames)
    name, size = chosen[0]
    return (
        f"WARNING: CPU: 0 PID: 1 at kbx.c:1 {name}+0x10/{size:#x}\nRIP: 0010:{name}+0x10/{size:#x}\nCall Trace:\n"
        + "".join(f" {name}+{size // 2:#x}/{size:#x}\n" for name, size in chosen)
    )


def measure(vmlinux: Path, console: Path, program: str | None) -> None:
    """Run the command where of PROGRAMS only one is to be found."""
    with tempfile.TemporaryDirectory() as folder:
        for directory in os.environ["PATH"].split(":"):
            for path in Path(directory).glob("*") if Path(directory).is_dir() else ():
                link = Path(folder) / path.name
                if not link.exists() and (path.name not in PROGRAMS or path.name == program):
                    link.symlink_to(path)
        seconds = []
        for _ in range(2):
            begin = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "pytest_kbisect", "crash", "--vmlinux", vmlinux, console],
                env={**os.environ, "PATH": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(f"{time.monotonic() - begin:.2f}")
    located = len(re.findall(r"(?m)^ \S+\+0x\S+ \S+:\d+$", done.stdout))
    inlined = done.stdout.count("[inline]")
    print(
        f"{program or 'pyelftools'}: {' s, again '.join(seconds)} s, {located} frames located, {inlined} inlined"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vmlinux", type=Path)
    parser.add_argument("--mebibytes", type=int, default=300)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        vmlinux = arguments.vmlinux or make(folder, arguments.mebibytes)
        console = folder / "console"
        console.write_text(report(vmlinux, arguments.frames))
        print(f"{vmlinux}: {vmlinux.stat().st_size / 2**20:.0f} MiB; {arguments.frames} frames")
        for program in (*(name for name in PROGRAMS if shutil.which(name)), None):
            measure(vmlinux, console, program)
    return 0


if __name__ == "__main__":
    sys.exit(main())
