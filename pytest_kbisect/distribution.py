"""The distribution of this host, and how to install its packages."""

from __future__ import annotations

import functools
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect.arch import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Family(StrEnum):
    """Distributions that share package names."""

    DEBIAN = "Debian"
    FEDORA = "Fedora"
    RHEL = "RHEL"
    ARCH = "Arch"
    SUSE = "openSUSE"
    ALPINE = "Alpine"


_INSTALL: Mapping[Family, str] = {
    Family.DEBIAN: "apt-get install",
    Family.FEDORA: "dnf install",
    Family.RHEL: "dnf install",
    Family.ARCH: "pacman -S --needed",
    Family.SUSE: "zypper install",
    Family.ALPINE: "apk add",
}

_EPEL = "https://docs.fedoraproject.org/en-US/epel/getting-started/"
_REPOSITORIES: Mapping[Family, tuple[frozenset[str], str]] = {
    Family.RHEL: (
        frozenset({"glibc-static", "busybox", "dropbear", "ccache"}),
        "glibc-static is in CRB; busybox, dropbear and ccache are in EPEL. To enable both, see " + _EPEL,
    ),
    Family.ALPINE: (
        frozenset({DEFAULT.qemu_packages["alpine"]}),
        f"{DEFAULT.qemu_packages['alpine']} is in the repository community: see /etc/apk/repositories",
    ),
}
"""Packages in repositories that may be disabled in a fresh installation, and how to enable these."""

# ID and ID_LIKE of os-release(5). A derivative lists the distribution that it resembles most first: Rocky and
# AlmaLinux have "rhel centos fedora", Leap has "suse opensuse", Manjaro and EndeavourOS have "arch".
_FAMILIES: Mapping[str, Family] = {
    "debian": Family.DEBIAN,
    "ubuntu": Family.DEBIAN,
    "fedora": Family.FEDORA,
    "rhel": Family.RHEL,
    "centos": Family.RHEL,
    "ol": Family.RHEL,  # Oracle Linux has ID_LIKE=fedora, but is a RHEL
    "arch": Family.ARCH,
    "suse": Family.SUSE,
    "opensuse": Family.SUSE,
    "alpine": Family.ALPINE,
}
_OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))


@functools.cache
def family(os_release: Sequence[Path] = _OS_RELEASE) -> Family | None:
    """The family of this host's distribution; None if it is unknown.

    `os_release`: the files to read; the first readable one counts, see os-release(5).
    """
    for path in os_release:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        fields = dict(re.findall(r"""^(ID|ID_LIKE)=["']?([^"'\n]*)""", text, re.MULTILINE))
        words = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
        return next((_FAMILIES[word] for word in words if word in _FAMILIES), None)
    return None


def install_command(packages: Iterable[str], of: Family) -> str:
    """The command that installs these packages; it must be run as root."""
    return " ".join([_INSTALL[of], *packages])


def repository_note(packages: Iterable[str], of: Family) -> str:
    """A note on the packages that are in a repository that may be disabled; empty if none of these is."""
    affected, note = _REPOSITORIES.get(of, (frozenset[str](), ""))
    return note if affected.intersection(packages) else ""
