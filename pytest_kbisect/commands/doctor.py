"""`kbisect doctor`: check the host, say what is wrong and how to fix it, or install it (--fix)."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from pytest_kbisect import arch, distribution, host, options, parallel
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.doctor import Severity
from pytest_kbisect.errors import ExitCode, HostError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_kbisect.doctor import Finding
    from pytest_kbisect.kernel.rules import CompilerName


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "doctor",
        help="check whether a bisection can run on this host",
        description="Check programs, compiler, memory, disk, KVM (by booting a kernel that was built before) and,"
        " if one is named, a git tree of Linux. Exit code 0 if a bisection can run here, else 4.",
    )
    parser.add_argument(
        "kernel",
        nargs="?",
        type=options.path,
        metavar="KERNEL",
        help="a git tree of Linux: can it be built here?",
    )
    parser.add_argument(
        "--kbisect-kernel",
        dest="kernel_option",
        type=options.path,
        metavar="DIR",
        help="the same as KERNEL, as for pytest",
    )
    parser.add_argument(
        "--kbisect-range", dest="range", metavar="A..B", help="check both ends of this range (default: HEAD)"
    )
    parser.add_argument(
        "--kbisect-cache", dest="cache", type=options.path, metavar="DIR", help="as for pytest"
    )
    parser.add_argument("--kbisect-cc", dest="cc", default="", metavar="PROGRAM", help="as for pytest")
    parser.add_argument(
        "--kbisect-llvm",
        dest="llvm",
        nargs="?",
        const="1",
        default="",
        metavar="SUFFIX",
        help="as for pytest",
    )
    parser.add_argument(
        "--kbisect-arch", dest="arch", default=DEFAULT.name, metavar="NAME", help="as for pytest"
    )
    parser.add_argument("--kbisect-no-remedies", dest="remedies", action="store_false", help="as for pytest")
    parser.add_argument(
        "--kbisect-scheduler",
        dest="scheduler",
        metavar="ADDRESS",
        help="instead of this host, check the workers of a Dask cluster: what each has, and what it lacks",
    )
    parser.add_argument("--fix", action="store_true", help="install what is missing, as `kbisect setup` does")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 0 if none of them is a problem, else 4."""
    if arguments.scheduler:
        return _workers(arguments)
    if arguments.fix and host.missing(host.Purpose.BUILD, host.Purpose.GUEST):
        _fix()
    found: list[Finding] = []
    if not arguments.json:
        print(f"kbisect doctor: {_machine()}\n", flush=True)
    for finding in _findings(arguments):
        found.append(finding)
        if not arguments.json:
            _print(finding)
    able = all(finding.state is not Severity.PROBLEM for finding in found)
    if arguments.json:
        print(json.dumps({"able": able, "findings": [asdict(finding) for finding in found]}, indent=1))
    else:
        print(f"\n{'A bisection can run here.' if able else 'A bisection cannot run here yet.'}")
    return ExitCode.FOUND if able else ExitCode.USAGE


def _workers(arguments: argparse.Namespace) -> int:
    """Print what the workers of a cluster answer; 0 if any can take part, else 4."""
    from pytest_kbisect import cluster_address
    from pytest_kbisect.farm import clusters, roll_call
    from pytest_kbisect.kernel import toolchain

    clusters.require_distributed()
    try:
        address = cluster_address.check(arguments.scheduler)
    except ValueError as error:
        raise UsageError(
            f"--kbisect-scheduler: {arguments.scheduler!r} cannot be used: {error}: check the address"
        ) from None
    cache = (arguments.cache or options.default_cache()).absolute()

    def note(words: str) -> None:
        print(f"note: {words}", file=sys.stderr, flush=True)

    answers = roll_call.ask(address, cache, toolchain.find().identity, note)
    able = any(not one.lacks for one in answers)
    if arguments.json:
        print(json.dumps({"able": able, "workers": roll_call.as_json(answers)}, indent=1))
        return ExitCode.FOUND if able else ExitCode.USAGE
    for one in answers:
        print(f"{one.name} {one.address}: {'lacks something' if one.lacks else 'ok'}")
        for words in (
            *one.facts,
            *(f"note: {note}" for note in one.notes),
            *(f"-> {lack}" for lack in one.lacks),
        ):
            print(f"    {words}")
    if not answers:
        print("The scheduler has no workers: start some with kbisect worker ADDRESS.")
    else:
        print(f"\n{sum(not one.lacks for one in answers)} of {len(answers)} workers can take part.")
    return ExitCode.FOUND if able else ExitCode.USAGE


def _findings(arguments: argparse.Namespace) -> Iterator[Finding]:
    from pytest_kbisect.doctor import compiler, machine, virtualization

    cache = (arguments.cache or options.default_cache()).absolute()
    yield from machine.tools()
    yield machine.ccache()
    yield machine.memory()
    yield (folder := machine.cache_folder(cache))
    path = arguments.kernel or arguments.kernel_option
    ends = [end for end in (arguments.range or "").split("..") if end]
    wanted = compiler.Wanted(
        _compiler(arguments), arch.named(arguments.arch, arch.BUILT_IN), arguments.remedies
    )
    yield from compiler.check(path, tuple(ends) or ("HEAD",), cache, wanted)
    if folder.state is not Severity.PROBLEM:
        yield from virtualization.check(cache)


def _compiler(arguments: argparse.Namespace) -> CompilerName:
    from pytest_kbisect.kernel.rules import CompilerName

    if arguments.cc and arguments.llvm:
        raise UsageError("--kbisect-cc and --kbisect-llvm both choose the compiler: remove one")
    try:
        llvm = options.llvm(arguments.llvm) if arguments.llvm else ""
    except ValueError as error:
        raise UsageError(f"--kbisect-llvm: {arguments.llvm!r} cannot be used: {error}") from None
    return CompilerName(arguments.cc, llvm)


def _fix() -> None:
    """What `kbisect setup --yes` does; its output goes to stderr, so that --json stays one object."""
    import contextlib

    from pytest_kbisect.commands import setup

    with contextlib.redirect_stdout(sys.stderr):
        try:
            setup.install()
        except HostError as error:
            print(f"kbisect: {error}", flush=True)


def _machine() -> str:
    from pytest_kbisect import __version__

    system = distribution.family() or "a distribution not known here"
    python = platform.python_version()
    count = parallel.processors()
    return f"{__version__}, Python {python}, {system}, {platform.machine()}, {count} processors"


def _print(finding: Finding) -> None:
    print(f"  {finding.state:<8} {finding.name:<9} {finding.text}", flush=True)
    if finding.remedy:
        print(f"  {'':<8} {'':<9} -> {finding.remedy}", flush=True)
