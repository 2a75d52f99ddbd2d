"""Whether edits that only move lines keep the kernel signature, and edits of code change it.

    python tests/benchmarks/equal_kernels.py --kernel DIR [--config FILE] [--other DIR] [--cases 40]

DIR is a source tree of Linux. Its files are edited one at a time and restored; the build is in a folder
.obj-equal-* there, which is kept. The configuration is the one of guests, with the fragment FILE.

Series of --cases edits, each in another file that is compiled into the kernel, drawn at random:

    lines   by turns a comment of one to three lines before everything else in the file, and a comment
            line above a WARN, BUG, might_sleep or the like. Nothing is compiled but what was.
    code    one constant, comparison, or logical operator in a function is another one, in place: no line
            moves. An edit counts if the compiler makes another object file of it (without debug information).

    real    with --other, a tree of a near version: its files that differ from those of DIR in comments alone
            (and in blank lines and the space between words), headers of few objects included. So what
            the kernel's developers changed between the two.

The signature is wanted equal to the one of the unedited tree for lines and real, and unequal for code.
Edits that are wanted to change nothing are built together, by halves where something changes. `raw` is the
same hash without anything cleared. The sections that differ are printed, after clearing.
`--lock FILE`: hold this file's lock during each make.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import itertools
import os
import random
import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import locks
from pytest_kbisect.kernel import config, configure, lines, signature, sources, toolchain
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
TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
"""A string, a character or a comment."""
FEW = 40
"""Objects that a header may be read for: else most of the kernel would be compiled again."""
OPPOSITE = {"==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "&&": "||", "||": "&&"}


@dataclass
class Tree:
    """A source tree with one O= folder."""

    path: Path
    name: str
    jobs: int
    lock: str = ""
    tools: toolchain.Toolchain = field(default_factory=toolchain.find)

    @property
    def output(self) -> Path:
        return self.path / self.name

    def make(self, targets: Sequence[str]) -> None:
        arguments = [f"-j{self.jobs}", *self.tools.arguments(self.name), *targets]
        with locks.held(Path(self.lock)) if self.lock else contextlib.nullcontext():
            self._run(["make", *arguments], self.path)

    def merge(self, arguments: Sequence[str]) -> None:
        self._run(["sh", "../scripts/kconfig/merge_config.sh", *arguments], self.output)

    def _run(self, command: Sequence[str], cwd: Path) -> None:
        environment = self.tools.environment(self.path / ".ccache-equal")
        subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)

    @functools.cached_property
    def objects(self) -> dict[str, Path]:
        """The C files of the kernel, each with its object; once it is built."""
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


def words(text: str) -> list[list[str]]:
    """What is in each line but comments."""
    plain = TOKEN.sub(lambda match: " " if match[0][0] == "/" else match[0], text)
    return [words for line in plain.split("\n") if (words := line.split())]


def changed_in_comments(tree: Tree, other: Path) -> dict[str, str]:
    """The files that another version has with other comments, and their texts there."""
    read = sources.collect(
        tree.path, tree.output, tree.tools.architecture.source_folder, tree.output / "sources"
    )
    found = {}
    for file, targets in read.targets.items():
        ours, theirs = tree.path / file, other / file
        if file.endswith((".c", ".h")) and targets <= FEW and theirs.exists():
            text = theirs.read_text("utf-8", "replace")
            own = ours.read_text("utf-8", "replace")
            if text != own and words(text) == words(own):
                found[file] = text
    return found


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


def base(tree: Tree) -> Kernel:
    """The kernel of the unedited tree."""
    tree.make(["vmlinux"])
    return Kernel.of(tree.output / "vmlinux")


@dataclass(frozen=True)
class Edit:
    """Another text for a file, and what is other in it."""

    file: str
    text: str
    what: str


def built(tree: Tree, edits: Sequence[Edit]) -> Kernel | None:
    """The kernel with these edits; None if it does not build."""
    with contextlib.ExitStack() as stack:
        for edit in edits:
            stack.enter_context(edited(tree.path / edit.file, edit.text))
        try:
            tree.make(["vmlinux"])
        except subprocess.CalledProcessError:
            return None
        return Kernel.of(tree.output / "vmlinux")


def report(edit: Edit, base: Kernel, kernel: Kernel | None, began: float, *, equal: bool) -> Counter[str]:
    """Say what came of one edit, and count it."""
    if kernel is None:
        return Counter({"does not build": 1})
    differing = [name for name in base.sections if kernel.sections.get(name) != base.sections[name]]
    print(
        f"{'as wanted' if (not differing) is equal else 'WRONG':9s}  {edit.file}  {edit.what}"
        f"  raw {'equal' if kernel.raw == base.raw else 'unequal'}"
        f"  {time.monotonic() - began:.0f} s  {' '.join(differing)}",
        flush=True,
    )
    return Counter({"cases": 1, "signature equal": int(kernel.signature == base.signature)})


def together(tree: Tree, base: Kernel, edits: Sequence[Edit]) -> Counter[str]:
    """Edits that are wanted to change nothing: all in one build, or by halves if one does."""
    began = time.monotonic()
    kernel = built(tree, edits)
    if len(edits) == 1:
        return report(edits[0], base, kernel, began, equal=True)
    if kernel is not None and kernel.signature == base.signature:
        counted: Counter[str] = Counter()
        for edit in edits:
            counted += report(edit, base, kernel, began, equal=True)
        return counted
    middle = len(edits) // 2
    return together(tree, base, edits[:middle]) + together(tree, base, edits[middle:])


def alone(tree: Tree, base: Kernel, edit: Edit) -> Counter[str]:
    """An edit that is wanted to change the kernel, if it changes the object."""
    began = time.monotonic()
    made = tree.objects[edit.file]
    before = made.read_bytes()
    kernel = built(tree, [edit])
    if kernel is not None and made.read_bytes() == before:
        return Counter({"same object": 1})
    return report(edit, base, kernel, began, equal=False)


def drawn(
    tree: Tree,
    edits: Sequence[Callable[[str, random.Random], tuple[str, str] | None]],
    draw: random.Random,
) -> Iterator[Edit]:
    """Edits by turns, in files drawn at random."""
    files = sorted(tree.objects)
    draw.shuffle(files)
    turns = itertools.cycle(edits)
    edit = next(turns)
    for file in files:
        made = edit((tree.path / file).read_text(), draw)
        if made is not None:
            yield Edit(file, *made)
            edit = next(turns)


def moved_lines(tree: Tree, wanted: int, draw: random.Random) -> Counter[str]:
    """Comments, as many as are wanted; counts by outcome."""
    edits = drawn(tree, (comment_on_top, comment_above), draw)
    return together(tree, base(tree), list(itertools.islice(edits, wanted)))


def changed_code(tree: Tree, wanted: int, draw: random.Random) -> Counter[str]:
    """Other code, until as many as are wanted have made another object; counts by outcome."""
    unedited = base(tree)
    counted: Counter[str] = Counter()
    for edit in drawn(tree, (other_code,), draw):
        if counted["cases"] >= wanted:
            break
        counted += alone(tree, unedited, edit)
    return counted


def real(tree: Tree, other: Path, wanted: int, draw: random.Random) -> Counter[str]:
    """Take files of another version; counts by outcome."""
    found = changed_in_comments(tree, other)
    edits = [Edit(file, found[file], "as it was") for file in sorted(found)]
    return together(tree, base(tree), draw.sample(edits, min(wanted, len(edits))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kernel", type=Path, required=True, metavar="DIR")
    parser.add_argument("--config", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--other", type=Path, metavar="DIR")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--lock", default="", metavar="FILE")
    arguments = parser.parse_args()
    request = config.request(arguments.config)
    tree = Tree(
        arguments.kernel.resolve(), f".obj-equal-{request.fingerprint[:12]}", arguments.jobs, arguments.lock
    )
    tree.output.mkdir(exist_ok=True)
    configure.write(request, tree.path, tree.output, tree.make, tree.merge)
    tree.make(["vmlinux"])
    began = time.monotonic()
    signature.of_vmlinux(tree.output / "vmlinux")
    size = (tree.output / "vmlinux").stat().st_size
    print(f"vmlinux: {size >> 20} MiB, signature in {time.monotonic() - began:.1f} s")
    draw = random.Random(arguments.seed)
    runs: dict[str, Callable[[], Counter[str]]] = {
        "lines": lambda: moved_lines(tree, arguments.cases, draw),
    }
    if arguments.other:
        runs["real"] = lambda: real(tree, arguments.other, arguments.cases, draw)
    runs["code"] = lambda: changed_code(tree, arguments.cases, draw)
    for name, run in runs.items():
        print(f"== {name}", flush=True)
        print(f"== {name}: {', '.join(f'{key} {count}' for key, count in sorted(run().items()))}", flush=True)


if __name__ == "__main__":
    main()
