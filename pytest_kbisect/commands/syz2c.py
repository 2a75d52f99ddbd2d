"""`kbisect syz2c`: a syz program as a C reproducer, by the user's syz-prog2c."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import options
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import ExitCode, UsageError

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "syz2c",
        help="convert a syz program to C",
        description="Convert a syz program to a C reproducer with the options of its header, and say if calls were"
        " dropped. Comment lines kbisect-...: are kept.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the syz program")
    parser.add_argument(
        "--syzkaller",
        type=options.path,
        required=True,
        metavar="DIR",
        help="a folder with a built syz-prog2c",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: FILE with .c; - is stdout")


def run(arguments: argparse.Namespace) -> int:
    """Write the C source. Raises UsageError where it cannot be made."""
    from pytest_kbisect.syzkaller import prog2c, syz_binaries
    from pytest_kbisect.syzkaller.syz_header import options_of
    from pytest_kbisect.syzkaller.syz_program import calls_of

    source: Path = arguments.file
    try:
        text = source.read_text("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}: check the path") from None
    program = prog2c.find(arguments.syzkaller)
    if program is None:
        raise UsageError(f"no syz-prog2c in {arguments.syzkaller}: run `make prog2c` in syzkaller's tree")
    calls, known = calls_of(text, source.name), options_of(text, source.name)
    made = prog2c.convert(program, source.name, text, calls, known, syz_binaries.go_name(DEFAULT))
    kept = [line.lstrip("# ") for line in text.splitlines() if "kbisect-" in line and line.startswith("#")]
    output = "".join(f"// {line}\n" for line in kept) + made.text
    if arguments.output == Path("-"):
        print(output, end="")
    else:
        target = arguments.output or source.with_suffix(".c")
        target.write_text(output)
        print(f"kbisect syz2c: {target}")
    for note in made.notes:
        print(f"note: {note}", file=sys.stderr)
    if made.dropped:
        words = f"{made.dropped} of {len(calls)} calls are not in it: this syzkaller does not know them"
        print(f"warning: {words}; use the revision that found the bug", file=sys.stderr)
    elif made.dropped is None:
        print("note: this syz-prog2c cannot say whether calls were dropped", file=sys.stderr)
    return ExitCode.FOUND
