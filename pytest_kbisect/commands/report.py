"""`kbisect report`: write the reports of a finished bisection again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "report",
        help="write the reports of a bisection again",
        description="Write report.html, report.eml, git-bisect.log, junit.xml and repeat.sh of a folder of results "
        "again, from its journal.jsonl and result.json. Nothing is built, run or sent.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder that the bisection wrote")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where kernels are kept (default: $KBISECT_CACHE, else the user's)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write them; 4 where some could not be written."""
    from pytest_kbisect.errors import ExitCode, HostError
    from pytest_kbisect.options import default_cache
    from pytest_kbisect.reports import folder

    troubles = folder.write(arguments.folder, arguments.cache or default_cache())
    if troubles:
        raise HostError("; ".join(troubles))
    print(f"reports: {arguments.folder}")
    return ExitCode.FOUND
