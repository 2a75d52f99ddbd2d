"""Debian's packages for another architecture, downloaded and unpacked by an ordinary user.

apt gets lists and folders of its own for that, so the host's packages and its list of architectures stay as
they are.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kbisect.arch import Architecture

_PROGRAMS: Final = ("apt-get", "apt-cache", "dpkg-deb")
_KEYS: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_MIRROR: Final = "http://deb.debian.org/debian"


class Packages:
    """What apt offers for an architecture, from the host's sources or from the suite that has it."""

    def __init__(self, architecture: Architecture, scratch: Path, known: str) -> None:
        """`scratch` is an empty folder; `known` a package that a source must have to be the right one.

        Raises HostError where there is no apt, or no such package.
        """
        if not architecture.debian or not all(map(shutil.which, _PROGRAMS)):
            raise HostError(f"there is no apt here, or Debian has no packages for {architecture.name}")
        self._scratch = scratch
        for name in ("state/lists/partial", "cache/archives/partial", "parts"):
            (scratch / name).mkdir(parents=True)
        settings = [
            f"APT::Architecture={architecture.debian}",
            f"APT::Architectures={architecture.debian}",
            f"Dir::State={scratch}/state",
            "Dir::State::status=/dev/null",
            f"Dir::Cache={scratch}/cache",
            # As root apt would be a user who may not write here.
            f"APT::Sandbox::User={'root' if os.geteuid() == 0 else ''}",
        ]
        self._options = [word for setting in settings for word in ("-o", setting)]
        for sources in ([], self._suite(architecture)):
            self._options += sources
            self._run("apt-get", "update")
            if self.depends(known, recurse=False) is not None:
                return
        raise HostError(f"apt offers no package {known} for {architecture.debian}")

    def _suite(self, architecture: Architecture) -> list[str]:
        """Settings for a source of our own, in place of the host's."""
        if not architecture.debian_suite:
            return []
        path = self._scratch / "sources.list"
        path.write_text(f"deb [signed-by={_KEYS}] {_MIRROR} {architecture.debian_suite} main\n")
        parts = f"Dir::Etc::sourceparts={self._scratch}/parts"
        return ["-o", f"Dir::Etc::sourcelist={path}", "-o", parts]

    def depends(self, package: str, *, recurse: bool = True) -> list[str] | None:
        """The packages that one needs, itself among them; None where apt does not know it.

        `recurse`: and what these need.
        """
        words = ["depends", "-i", "--no-pre-depends", *(["--recurse"] if recurse else []), package]
        status, output, _ = self._ask("apt-cache", *words)
        names = re.findall(
            r"^(\w\S*)$" if recurse else r"^(?:\w\S*$|  Depends: )(\S+)?", output, re.MULTILINE
        )
        return None if status else [package, *(name for name in names if name and name != package)]

    def unpack(self, packages: Sequence[str], target: Path) -> None:
        """Download packages, and unpack them into a folder that is made. Raises HostError."""
        folder = self._scratch / "packages"
        folder.mkdir(exist_ok=True)
        self._run("apt-get", "download", *packages, cwd=folder)
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.deb")):
            status, _, complaint = self._ask("dpkg-deb", "-x", str(path), str(target), own=False)
            if status:
                raise HostError(f"{path.name} cannot be unpacked: {complaint}: free some space, or try again")

    def _run(self, program: str, *words: str, cwd: Path | None = None) -> None:
        status, _, complaint = self._ask(program, *words, cwd=cwd)
        if status:
            raise HostError(
                f"{program} {words[0]} failed: {complaint}: check that apt reaches its mirror, and try again"
            )

    def _ask(
        self, program: str, *words: str, cwd: Path | None = None, own: bool = True
    ) -> tuple[int, str, str]:
        """Exit status, output, and the first complaint."""
        command = [program, *(self._options if own else []), *words]
        environment = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(
            command, cwd=cwd or self._scratch, env=environment, capture_output=True, text=True, check=False
        )
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        return done.returncode, done.stdout, (errors or [done.stderr.strip()])[0]
