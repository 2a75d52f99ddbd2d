"""Whether edits that only move lines keep the kernel signature, and edits of code change it.

    python tests/benchmarks/equal_kernels.py --kernel DIR [--config FILE] [--cases 40] [--seed 1] [--jobs 2]

DIR is a source tree of Linux. Its files are edited one at a time and restored; the build is in a folder
.obj-equal-* there, which is kept. The configuration is the one of guests, with the fragment FILE.

Two series of --cases edits, each in another file that is compiled into the kernel, drawn at random:

    lines   by turns a comment of one to three lines before everything else in the file, and a comment
            line above a WARN, BUG, might_sleep or the like. Nothing is compiled but what was.
    code    one constant, comparison, or logical operator in a function is another one, in place: no line
            moves. An edit counts if the compiler makes another object file of it (without debug information).

The signature is wanted equal to the one of the unedited tree for lines, and unequal for code. `raw` is
the same hash without anything cleared. For lines with an unequal signature the sections that differ are
printed, after clearing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect.kernel import config, configure, lines, toolchain
from pytest_kbisect.kernel.loaded import Loaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

OTHER_PROGRAMS = (
    "scripts/",
    "tools/",
    "usr/",
    "certs/",
    "arch/x86/boot/",
    "arch/x86/realmode/",
    "drivers/firmware/efi/libstub/",
)
SOURCE = re.compile(r"^source_(\S+\.o) := \.\./(\S+\.c)$", re.MULTILINE)
REPORT = re.compile(
    r"^(\t+)(?:(?:if|return) ?\(?|[\w>.\-]+ = )?!?(?:WARN|BUG|VM_BUG|VM_WARN|might_|lockdep_assert|pr_debug)\w*\("
)
CODE = (
    # One more.
    re.compile(r"(?:[=!<>]=?|[-+&|]|<<|>>|return|,) (\d+)(?=[;),\s])"),
    re.compile(r" (==|!=|<=|>=|<|>|&&|\|\|) "),
)
OPPOSITE = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "&&": "||", "||": "&&"}


@dataclass
class Tree:
    """A source tree with one O= folder."""

    path: Path
    name: str
    jobs: int
    tools: toolchain.Toolchain = field(default_factory=toolchain.find)

    @property
    def output(self) -> Path:
        return self.path / self.name

    def make(self, targets: Sequence[str]) -> None:
        arguments = [f"-j{self.jobs}", *self.tools.arguments(self.name), *targets]
        self._run(["make", *arguments], self.path)

    def merge(self, arguments: Sequence[str]) -> None:
        self._run(["sh", "../scripts/kconfig/merge_config.sh", *arguments], self.output)

    def _run(self, command: Sequence[str], cwd: Path) -> None:
        environment = self.tools.environment(self.path / ".ccache-equal")
        subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)

    def objects(self) -> dict[str, Path]:
        """The C files of the kernel, each with its object."""
        found = {}
        for command in self.output.rglob(".*.o.cmd"):
            match = SOURCE.search(command.read_text("utf-8", "replace"))
            if match and not match[1].startswith(OTHER_PROGRAMS) and "vdso" not in match[1]:
                found[match[2]] = self.output / match[1]
        return found


@contextlib.contextmanager
def edited(path: Path, text: str) -> Iterator[None]:
    """The file has this text for the block."""
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def comment_on_top(text: str, draw: random.Random) -> tuple[str, str] | None:
    count = draw.randint(1, 3)
    return "/* another line */\n" * count + text, f"{count} on top"


def comment_above(text: str, draw: random.Random) -> tuple[str, str] | None:
    rows = text.split("\n")
    places = [
        (number, match[1])
        for number, row in enumerate(rows)
        if (match := REPORT.match(row)) and not rows[number - 1].endswith("\\")
    ]
    if not places:
        return None
    number, indent = draw.choice(places)
    return "\n".join(
        [*rows[:number], f"{indent}/* another line */", *rows[number:]]
    ), f"above line {number + 1}"


def other_code(text: str, draw: random.Random) -> tuple[str, str] | None:
    rows = text.split("\n")
    places = [
        (number, match)
        for number, row in enumerate(rows)
        if row.startswith("\t") and not row.endswith("\\") and not re.search(r'["\']|/\*|^\t *\*|\*/', row)
        for pattern in CODE
        for match in pattern.finditer(row)
    ]
    if not places:
        return None
    number, match = draw.choice(places)
    row, old = rows[number], match[1]
    new = OPPOSITE[old] if old in OPPOSITE else str(int(old) + 1)
    rows[number] = f"{row[: match.start(1)]}{new}{row[match.end(1) :]}"
    return "\n".join(rows), f"line {number + 1}: {old} is {new}"


@dataclass(frozen=True)
class Kernel:
    """Hashes of a vmlinux: of its sections as they are, and with line numbers cleared."""

    raw: str
    sections: dict[str, bytes]

    @classmethod
    def of(cls, vmlinux: Path) -> Kernel:
        loaded = Loaded.of(vmlinux)
        raw = _sections(loaded)
        lines.clear(loaded)
        return cls(_whole(raw), _sections(loaded))

    @property
    def signature(self) -> str:
        return _whole(self.sections)


def _sections(loaded: Loaded) -> dict[str, bytes]:
    return {section.name: hashlib.sha256(section.data).digest() for section in loaded.sections}


def _whole(sections: dict[str, bytes]) -> str:
    return hashlib.sha256(b"".join(sections.values())).hexdigest()


def series(
    tree: Tree,
    edits: Sequence[Callable[[str, random.Random], tuple[str, str] | None]],
    wanted: int,
    draw: random.Random,
    *,
    equal: bool,
) -> Counter[str]:
    """Make the edits and print a line for each; counts by outcome."""
    objects = tree.objects()
    files = sorted(objects)
    draw.shuffle(files)
    tree.make(["vmlinux"])
    base = Kernel.of(tree.output / "vmlinux")
    counted: Counter[str] = Counter()
    while files and counted["cases"] < wanted:
        file = files.pop()
        path = tree.path / file
        edit = edits[counted["cases"] % len(edits)](path.read_text(), draw)
        if edit is None:
            continue
        text, what = edit
        before, began = objects[file].read_bytes(), time.monotonic()
        with edited(path, text):
            try:
                tree.make(["vmlinux"])
            except subprocess.CalledProcessError:
                counted["does not build"] += 1
                continue
            if not equal and objects[file].read_bytes() == before:
                counted["same object"] += 1
                continue
            kernel = Kernel.of(tree.output / "vmlinux")
        counted["cases"] += 1
        counted["raw equal"] += kernel.raw == base.raw
        counted["signature equal"] += kernel.signature == base.signature
        differing = [name for name in base.sections if kernel.sections.get(name) != base.sections[name]]
        print(
            f"{'as wanted' if (not differing) is equal else 'WRONG':9s}  {file}  {what}"
            f"  raw {'equal' if kernel.raw == base.raw else 'unequal'}"
            f"  {time.monotonic() - began:.0f} s  {' '.join(differing)}",
            flush=True,
        )
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kernel", type=Path, required=True, metavar="DIR")
    parser.add_argument("--config", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    request = config.request(arguments.config)
    tree = Tree(arguments.kernel.resolve(), f".obj-equal-{request.fingerprint[:12]}", arguments.jobs)
    tree.output.mkdir(exist_ok=True)
    configure.write(request, tree.path, tree.output, tree.make, tree.merge)
    tree.make(["vmlinux"])
    began = time.monotonic()
    Kernel.of(tree.output / "vmlinux")
    size = (tree.output / "vmlinux").stat().st_size
    print(f"vmlinux: {size >> 20} MiB, hashed twice in {time.monotonic() - began:.1f} s")
    draw = random.Random(arguments.seed)
    for name, edits, equal in (
        ("lines", (comment_on_top, comment_above), True),
        ("code", (other_code,), False),
    ):
        print(f"== {name}", flush=True)
        counted = series(tree, edits, arguments.cases, draw, equal=equal)
        print(f"== {name}: {', '.join(f'{key} {count}' for key, count in sorted(counted.items()))}")


if __name__ == "__main__":
    main()
