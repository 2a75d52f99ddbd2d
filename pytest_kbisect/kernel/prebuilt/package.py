"""A kernel package: what it is called, which Linux it contains, and where it comes from."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pytest_kbisect.kernel.tree import LinuxTree

FILE: Final = "kbisect-package.json"
"""The file of a commit that says which package stands for it."""

_LINUX: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_PART: Final = re.compile(r"(\d+)|(~)|([^\d~]+)")


@dataclass(frozen=True, slots=True)
class Package:
    """`kind` is deb, rpm or folder. `files` are paths; they are empty if apt has to fetch the package.

    `names` are those of apt, each with its version (`NAME=VERSION`): the image, and its modules if they are
    packaged separately. `apt_sources` is the sources file that offers it; empty for the host's own. `digest`
    identifies the contents: SHA-256 of the files, or as apt lists it.
    """

    kind: str
    name: str
    version: str
    digest: str
    files: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    apt_sources: str = ""

    @property
    def tag(self) -> str:
        """The name of its commit: `v6.1.170-3`. git forbids some characters of versions."""
        return "v" + re.sub(r"[^A-Za-z0-9.+-]", "-", self.version).strip(".-")

    @property
    def linux(self) -> tuple[int, int, int]:
        """VERSION, PATCHLEVEL and SUBLEVEL. Raises ValueError if the version does not begin with them."""
        found = _LINUX.match(self.version.rpartition(":")[2])
        if found is None:
            raise ValueError(f"the version {self.version!r} does not begin with one of Linux")
        return int(found[1]), int(found[2]), int(found[3] or 0)

    @property
    def order(self) -> tuple[tuple[int, int, str], ...]:
        """Sorts versions as dpkg does: numbers by value, `~` before the end, letters before the rest."""
        parts = [
            (2, int(number), "") if number else (0, 0, "") if tilde else (3, 0, other)
            for number, tilde, other in _PART.findall(self.version.rpartition(":")[2])
        ]
        return (*parts, (1, 0, ""))

    def text(self) -> str:
        """As it is stored in a commit."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What text() wrote."""
        facts = json.loads(text)
        return cls(**facts | {"files": tuple(facts["files"]), "names": tuple(facts["names"])})


def package_at(tree: LinuxTree, commit: str) -> Package | None:
    """The package that stands for a commit; None for a commit of Linux itself."""
    for _, text in tree.read_files(commit, [FILE]):
        return Package.parse(text)
    return None
