"""`kbisect report`: recreate the reports of a bisection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "report",
        help="recreate the reports of a bisection",
        description="Recreate report.html, report.eml, git-bisect.log, junit.xml and repeat.sh of a results folder "
        "from its journal.jsonl and result.json. Nothing is built, run or sent.",
    )
    parser.add_argument(
        "--syzkaller", type=Path, metavar="DIR", help="the built syzkaller, for a bisection with syz programs"
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="results folder of the bisection")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="cache folder with the built kernels (default: $KBISECT_CACHE, else the user's)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write them. Raises HostError if one cannot be written."""
    from pytest_kbisect import arch, plugins, reproducer_kinds
    from pytest_kbisect.errors import ExitCode, HostError
    from pytest_kbisect.options import default_cache
    from pytest_kbisect.reports import folder, summary, summary_folder
    from pytest_kbisect.syzkaller.syz_kind import SyzPrograms

    known = plugins.load()
    kinds, architectures = reproducer_kinds.registered(known), arch.registered(known)
    if arguments.syzkaller is not None:
        kinds = (SyzPrograms(arguments.syzkaller), *kinds)
    cache = arguments.cache or default_cache()
    told = summary.read(arguments.folder)
    parts = (
        [arguments.folder / one.folder for one in told.tests if one.result] if told else [arguments.folder]
    )
    troubles = [line for part in parts for line in folder.write(part, cache, kinds, architectures)]
    if told:
        troubles += summary_folder.write(arguments.folder)
    if troubles:
        raise HostError("; ".join(troubles))
    print(f"reports: {arguments.folder}")
    return ExitCode.FOUND
