"""`kbisect setup`: install what the host lacks to build kernels and to run guests."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from pytest_kbisect import apt, arch, distribution, host, options
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.distribution import Family
from pytest_kbisect.errors import ExitCode, HostError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kbisect.arch import Architecture


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "setup",
        help="install the host tools that are missing",
        description="Find which host tools are missing, and install them with apt-get (with sudo where not root)."
        " On distributions other than Debian and its relatives, print the packages to install.",
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="install the kernel source too, which the demo and this project's own tests use",
    )
    parser.add_argument(
        "--arch",
        default=DEFAULT.name,
        metavar="NAME",
        help="install what guests of this architecture need: cross compiler, QEMU, and their programs",
    )
    parser.add_argument(
        "--kbisect-cache", dest="cache", type=options.path, metavar="DIR", help="as for pytest"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be installed and install nothing"
    )
    parser.add_argument(
        "--yes", "-y", action="store_true", help="do not ask first; required where stdin is no terminal"
    )


def run(arguments: argparse.Namespace) -> int:
    """Install what is missing, as `install` does, and fetch the programs of foreign guests."""
    architecture = arch.named(arguments.arch, arch.BUILT_IN)
    status = install(
        dry_run=arguments.dry_run, ask=not arguments.yes, demo=arguments.demo, architecture=architecture
    )
    if not architecture.is_native():
        _fetch(architecture, (arguments.cache or options.default_cache()).absolute(), arguments.dry_run)
    return status


def _fetch(architecture: Architecture, cache: Path, dry_run: bool) -> None:
    from pytest_kbisect.guest import user_space

    if user_space.is_there(architecture, cache):
        return
    if dry_run:
        print(f"would download busybox and dropbear for {architecture.name} to {cache}")
        return
    folder = user_space.fetch(architecture, cache, lambda words: print(f"kbisect setup: {words}", flush=True))
    print(f"kbisect setup: the programs of {architecture.name} guests are in {folder}")


def install(
    *, dry_run: bool = False, ask: bool = False, demo: bool = False, architecture: Architecture = DEFAULT
) -> int:
    """Install what is missing. Raises HostError where something is still missing in the end.

    `architecture` is that of the guests. `dry_run` only says what would be installed. `ask` asks first, and
    raises UsageError where there is no terminal to ask at. `demo`: install the kernel source too, and
    what only this project's tests need.
    """
    purposes = tuple(host.Purpose) if demo else (host.Purpose.BUILD, host.Purpose.GUEST)
    absent = host.missing(*purposes, architecture=architecture)
    total = sum(tool.purpose in purposes for tool in host.tools(architecture))
    if not absent:
        print(f"kbisect setup: all {total} host tools are here. {_next(demo)}")
        return ExitCode.FOUND
    here = distribution.family()
    print(f"kbisect setup: {len(absent)} of {total} host tools are missing, to be installed from packages")
    for tool in absent:
        package = tool.packages.get(here, "no package") if here else ""
        what = f"to {tool.purpose}{' (optional)' if tool.optional else ''}"
        print(f"  {tool.name:<19} {what:<40} {package}")
    if here is not Family.DEBIAN:
        raise _install_yourself(absent, here)
    packages = host.package_names(absent, here)
    command = shlex.join(apt.as_root(apt.install_words(packages)))
    if dry_run:
        print(f"would run: {shlex.join(apt.as_root(['update']))}")
        print(f"would run: {command}")
        return ExitCode.FOUND
    if not apt.may_become_root():
        plain = shlex.join(["apt-get", *apt.install_words(packages)])
        raise HostError(f"not root, and there is no sudo. As root, run: apt-get update && {plain}")
    if ask and not _agreed(packages):
        raise HostError(f"nothing was installed; to do it yourself: {command}")
    _install(absent)
    return _verdict(purposes, architecture, demo=demo)


def _next(demo: bool) -> str:
    return f"Next: kbisect {'demo' if demo else 'doctor KERNEL, with your git tree of Linux'}"


def _install_yourself(absent: Sequence[host.Tool], here: Family | None) -> HostError:
    """The exact names for a distribution whose package manager is left alone."""
    if here is None:
        lines = [f"  {family}: {host.install_command(absent, family)}" for family in Family]
        return HostError("\n".join(["this distribution is not known here; the packages are called", *lines]))
    notes = host.notes(absent, here)
    if command := host.install_command(absent, here):
        return HostError("\n".join([f"install these as root: {command}", *notes]))
    return HostError("\n".join(notes))


def _agreed(packages: Sequence[str]) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nothing was installed: stdin is no terminal to ask at; to install, give --yes")
    return input(f"Install {len(packages)} packages with apt-get? [Y/n] ").strip().lower() in {"", "y", "yes"}


def _install(absent: Sequence[host.Tool]) -> None:
    """Refresh the package lists and install what they have.

    What is needed and cannot be installed is an error before anything is installed; what only helps is left
    out, and said.
    """
    if not apt.authenticate():
        raise HostError("nothing was installed: sudo failed")
    if not apt.run(["update"]):
        print("kbisect setup: the package lists could not be refreshed; going on with those that are here")
    packages = host.package_names(absent, Family.DEBIAN)
    unavailable = apt.unavailable(packages)
    lacking = [tool for tool in absent if tool.packages[Family.DEBIAN] in unavailable]
    if needed := [tool for tool in lacking if not tool.optional]:
        raise HostError(_cannot_install(needed))
    for tool in lacking:
        package = tool.packages[Family.DEBIAN]
        print(f"kbisect setup: apt offers no package {package}: going on without {tool.name}")
    wanted = [package for package in packages if package not in unavailable]
    if not wanted:
        return
    count, problem = apt.simulate(wanted)
    if problem:
        raise HostError(f"nothing was installed: apt-get cannot install all of it\n{problem}")
    print(f"kbisect setup: installing {count} packages; this takes some minutes", flush=True)
    if not apt.run(apt.install_words(wanted)):
        raise HostError("apt-get failed, its output is above; kbisect setup continues where it stopped")


def _cannot_install(needed: Sequence[host.Tool]) -> str:
    named = ", ".join(f"{tool.packages[Family.DEBIAN]} (to {tool.purpose})" for tool in needed)
    places = [f"get the {tool.name} from {tool.elsewhere}" for tool in needed if tool.elsewhere]
    return "; ".join([f"nothing was installed: apt offers no package {named}", *places])


def _verdict(purposes: Sequence[host.Purpose], architecture: Architecture, *, demo: bool) -> int:
    absent = host.missing(*purposes, architecture=architecture)
    if needed := [tool for tool in absent if not tool.optional]:
        names = ", ".join(f"{tool.name} (to {tool.purpose})" for tool in needed)
        raise HostError(f"still missing after the installation: {names}")
    for tool in absent:
        print(f"kbisect setup: {tool.name} is still missing; it would help to {tool.purpose}")
    print(f"kbisect setup: everything needed is here. {_next(demo)}")
    return ExitCode.FOUND
