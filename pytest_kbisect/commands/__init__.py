"""The command `kbisect`. Each verb is a module here with `add_parser` and `run`."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = ("setup", "doctor", "demo", "syzbot", "syz2c", "crash", "report", "worker")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the process' exit code."""
    from pytest_kbisect import __version__
    from pytest_kbisect.errors import ExitCode, KbisectError

    parser = argparse.ArgumentParser(
        prog="kbisect",
        description="Set up the host, check it, try a demo, read crashes. To bisect, run `pytest --kbisect-range A..B`.",
    )
    parser.add_argument("--version", action="version", version=f"kbisect {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in VERBS}
    for module in modules.values():
        module.add_parser(verbs)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:  # argparse uses 2, which is "interrupted" here
        return ExitCode.USAGE if stop.code else ExitCode.FOUND
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # a terminal's encoding may have fewer letters than a console
    try:
        return int(modules[arguments.verb].run(arguments))
    except KbisectError as error:
        print(f"kbisect: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("kbisect: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.FOUND
    except OSError as error:  # a full disk, a cache folder of another user
        print(f"kbisect: {error.filename or 'the operating system says'}: {error.strerror}", file=sys.stderr)
        return ExitCode.USAGE
