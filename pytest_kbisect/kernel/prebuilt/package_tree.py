"""A git tree whose commits are kernel packages, oldest first: what a bisection of packages goes over.

Each commit has the Makefile that says which Linux it is, and the file that names the package. Dates are not
real: apt does not list any.
"""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING, Final

from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.kernel.git import environment
from pytest_kbisect.kernel.prebuilt.package import FILE, Package

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BRANCH: Final = "refs/heads/packages"
_FIRST: Final = 1_000_000_000
"""Committer time of the first package, in seconds since the epoch; the others follow day by day."""
_KCONFIG: Final = "# Kernels of packages are not built.\n"


def make(packages: Sequence[Package], folder: Path) -> Path:
    """The tree of these packages below `folder`: the same one for the same packages.

    Raises UsageError if there are fewer than two.
    """
    if len(packages) < 2:
        raise UsageError(
            f"one kernel package ({packages[0].version}) is no range: give more packages"
            if packages
            else "no kernel packages: give a folder of them, or apt"
        )
    identity = hashlib.sha256("".join(package.text() for package in packages).encode()).hexdigest()[:12]
    path = folder / f"packages-{identity}.git"
    if path.exists():
        return path
    unfinished = folder / f"packages-{identity}.unfinished"
    folder.mkdir(parents=True, exist_ok=True)
    _git("init", "--quiet", "--bare", "--initial-branch=packages", str(unfinished))
    _git(f"--git-dir={unfinished}", "fast-import", "--quiet", "--force", text=_stream(packages))
    unfinished.rename(path)
    return path


def _stream(packages: Sequence[Package]) -> str:
    lines = []
    for number, package in enumerate(packages):
        title = f"{package.tag.removeprefix('v')}: {package.name}"
        version, patchlevel, sublevel = package.linux
        makefile = f"VERSION = {version}\nPATCHLEVEL = {patchlevel}\nSUBLEVEL = {sublevel}\n"
        lines += [
            f"commit {_BRANCH}",
            f"mark :{number + 1}",
            f"committer kernel packages <> {_FIRST + 86_400 * number} +0000",
            _data(title),
        ]
        for name, text in (("Makefile", makefile), ("Kconfig", _KCONFIG), (FILE, package.text())):
            lines += [f"M 100644 inline {name}", _data(text)]
        lines += [f"reset refs/tags/{package.tag}", f"from :{number + 1}", ""]
    return "\n".join(lines)


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}"


def _git(*words: str, text: str = "") -> None:
    done = subprocess.run(
        ["git", *words], input=text.encode(), env=environment(), capture_output=True, check=False
    )
    if done.returncode:
        complaint = done.stderr.decode("utf-8", "replace").strip()
        raise HostError(f"git cannot write the packages' tree: {complaint}: use another --kbisect-cache")
