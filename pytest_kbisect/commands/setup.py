"""`kbisect setup`: install what the host lacks to build kernels and to run guests."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from pytest_kbisect import host
from pytest_kbisect.errors import ExitCode, HostError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_RETRY_PAUSE = 5.0
"""Seconds before a failed apt-get is tried once more: a mirror's hiccup, or somebody else's lock."""


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the verb."""
    parser = verbs.add_parser(
        "setup",
        help="install the host tools that are missing",
        description="Find which host tools are missing, and install them with apt-get (with sudo where not root)."
        " On distributions other than Debian and its relatives, print the packages to install.",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be installed and install nothing"
    )
    parser.add_argument(
        "--yes",
        "-y",
        action="store_true",
        help="do not ask first (nor does it ask if stdin is not a terminal)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Install what is missing, as `install` does."""
    return install(dry_run=arguments.dry_run, ask=not arguments.yes)


def install(*, dry_run: bool = False, ask: bool = False) -> int:
    """Install what is missing. Raises HostError where something is still missing in the end.

    `dry_run` only says what would be installed; `ask` asks first, where there is a terminal to ask at.
    """
    absent = host.missing()
    if not absent:
        print(f"kbisect setup: all {len(host.TOOLS)} host tools are here")
        return ExitCode.FOUND
    print(f"kbisect setup: {len(absent)} of {len(host.TOOLS)} host tools are missing")
    here = host.family()
    for tool in absent:
        package = tool.packages.get(here, "no package") if here else ""
        print(
            f"  {tool.name:<26} {'helps to ' if tool.optional else 'to '}{tool.purpose:<16} {package}".rstrip()
        )
    if here is not host.Family.DEBIAN:
        raise _install_yourself(absent, here)
    packages = host.package_names(absent, here)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if dry_run:
        print(f"would run: {shlex.join(_as_root(['apt-get', 'update']))}")
        print(f"would run: {shlex.join(_as_root(command))}")
        return ExitCode.FOUND
    if not _may_become_root():
        raise HostError(
            f"not root, and there is no sudo. As root, run: apt-get update && {shlex.join(command)}"
        )
    if ask and not _agreed(packages):
        raise HostError(f"nothing was installed; to do it yourself: {shlex.join(_as_root(command))}")
    _install(packages)
    return _verdict()


def _install_yourself(absent: Sequence[host.Tool], here: host.Family | None) -> HostError:
    """The exact names for a distribution whose package manager is left alone."""
    if here is None:
        lines = [f"  {family}: {host.install_command(absent, family)}" for family in host.Family]
        return HostError("\n".join(["this distribution is not known here; the packages are called", *lines]))
    text = f"install these as root: {host.install_command(absent, here)}"
    if any(here not in tool.packages for tool in absent):
        text += (
            f"\n{here} has no package of Linux 6.1's source, which only the demo needs: get linux-6.1.y.tar.xz"
            " from https://cdn.kernel.org/pub/linux/kernel/v6.x/ and run: kbisect demo --tarball FILE"
        )
    return HostError(text)


def _may_become_root() -> bool:
    return os.geteuid() == 0 or shutil.which("sudo") is not None


def _as_root(command: Sequence[str]) -> list[str]:
    """The command line with sudo where that is needed; debconf must not ask questions."""
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", *command]
    return quiet if os.geteuid() == 0 else ["sudo", *quiet]


def _agreed(packages: Sequence[str]) -> bool:
    """Ask, where there is somebody to ask; `kbisect setup </dev/null` means yes."""
    if not sys.stdin.isatty():
        return True
    return input(f"Install {len(packages)} packages with apt-get? [Y/n] ").strip().lower() in {"", "y", "yes"}


def _install(packages: Sequence[str]) -> None:
    """Refresh the package lists and install; what the lists do not know is left out, and said."""
    if not _apt(["update"]):
        print("kbisect setup: the package lists could not be refreshed; going on with those that are here")
    known = [package for package in packages if _known(package)]
    for package in packages:
        if package not in known:
            print(f"kbisect setup: apt knows no package {package}")
    if known:
        _apt(["install", "--yes", "--no-install-recommends", *known])


def _known(package: str) -> bool:
    answer = subprocess.run(["apt-cache", "show", package], capture_output=True, check=False)
    return answer.returncode == 0


def _apt(words: Sequence[str]) -> bool:
    """Run apt-get, once more if it fails; True if it succeeded.

    Not through `process`: sudo may ask for a password, for which it must be in the terminal's
    foreground, and dpkg must not be killed because we are.
    """
    command = _as_root(["apt-get", *words])
    for attempt in (1, 2):
        print(f"+ {shlex.join(command)}", flush=True)
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0:
            return True
        if attempt == 1:
            print(f"kbisect setup: that failed; once more in {_RETRY_PAUSE:.0f} s", flush=True)
            time.sleep(_RETRY_PAUSE)
    return False


def _verdict() -> int:
    absent = host.missing()
    if needed := [tool for tool in absent if not tool.optional]:
        names = ", ".join(f"{tool.name} (to {tool.purpose})" for tool in needed)
        raise HostError(f"still missing: {names}; apt-get's output above says why")
    for tool in absent:
        print(f"kbisect setup: {tool.name} is still missing; it would help to {tool.purpose}")
    print("kbisect setup: everything needed is here. Next: kbisect demo")
    return ExitCode.FOUND
