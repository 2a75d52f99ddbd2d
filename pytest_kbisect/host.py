"""What must be installed on the host, how to check that it is, and which package has it.

One table serves everybody: `kbisect setup` installs from it, and whoever is about to start a tool
asks `require` for it, so that a missing one is a line with its package and not a traceback.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# dropbear and depmod live in /usr/sbin, which is not in everybody's PATH.
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


class Purpose(StrEnum):
    """What a tool is for."""

    BUILD = "build kernels"
    GUEST = "run guests"
    DEMO = "run the demo"


class Family(StrEnum):
    """Distributions that share package names."""

    DEBIAN = "Debian"
    FEDORA = "Fedora"
    ARCH = "Arch"
    SUSE = "openSUSE"


_INSTALL: Mapping[Family, str] = {
    Family.DEBIAN: "apt-get install",
    Family.FEDORA: "dnf install",
    Family.ARCH: "pacman -S --needed",
    Family.SUSE: "zypper install",
}


@dataclass(frozen=True, slots=True)
class Tool:
    """Something the host must have. `packages` lacks the families that do not ship it.

    `optional`: things are only slower without it, so `require` is never asked for it.
    """

    name: str
    purpose: Purpose
    packages: Mapping[Family, str]
    present: Callable[[], bool]
    optional: bool = False


def find(program: str) -> str | None:
    """The path of a program, also where root's programs live."""
    return shutil.which(program, path=_SEARCH)


def _program(name: str) -> Callable[[], bool]:
    return lambda: find(name) is not None


def _header(name: str) -> Callable[[], bool]:
    def present() -> bool:
        folders = [*os.environ.get("CPATH", "").split(os.pathsep), "/usr/local/include", "/usr/include"]
        # openssl keeps some of its headers in the multiarch folder, so a glob beside the plain name.
        return any(Path(folder, name).exists() for folder in filter(None, folders)) or any(
            Path("/usr/include").glob(f"*-linux-gnu/{name}")
        )

    return present


def _static_busybox() -> bool:
    """The guest has no C library for a dynamic one."""
    path = find("busybox")
    return path is not None and is_static(path)


def is_static(program: str) -> bool:
    """Whether a program has no interpreter, which would load its libraries."""
    from elftools.elf.elffile import ELFFile

    with Path(program).open("rb") as stream:
        return not any(segment.header.p_type == "PT_INTERP" for segment in ELFFile(stream).iter_segments())


def _static_libc() -> bool:
    """Whether there is one: gcc answers with the bare name where it does not find the file."""
    gcc = find("gcc")
    if gcc is None:
        return False
    answer = subprocess.run([gcc, "-print-file-name=libc.a"], capture_output=True, text=True, check=False)
    return os.sep in answer.stdout


def _packages(debian: str, fedora: str = "", arch: str = "", suse: str = "") -> Mapping[Family, str]:
    """Package names; what is not given is called as in Debian, "-" means there is none."""
    names = zip(Family, (debian, fedora or debian, arch or debian, suse or debian), strict=True)
    return {family: name for family, name in names if name != "-"}


def source_tarball(folder: Path = Path("/usr/src")) -> Path | None:
    """The newest kernel source that the distribution has installed; None if there is none.

    Debian and Ubuntu have packages linux-source-X.Y and linux-source-X.Y.Z. Both put a tarball into /usr/src;
    Ubuntu's is a link into a folder of the same name, which holds the file.
    """
    found: dict[tuple[int, ...], Path] = {}
    for place in (folder, *folder.glob("linux-source-*/")):
        for path in sorted(place.glob("linux-source-*.tar.*")):
            name = re.fullmatch(r"linux-source-(\d+(?:\.\d+)+)\.tar\.(?:xz|bz2|gz|zst)", path.name)
            if name and path.is_file():
                found.setdefault(tuple(map(int, name[1].split("."))), path)
    return found[max(found)] if found else None


SOURCE_TARBALL = source_tarball() or Path("/usr/src/linux-source-6.1.tar.xz")
"""What `source_tarball` finds, or a name for messages."""

_SSL = _packages("libssl-dev", "openssl-devel", "openssl", "libopenssl-devel")
_ELF = _packages("libelf-dev", "elfutils-libelf-devel", "libelf", "libelf-devel")
_DROPBEAR = _packages("dropbear-bin", "dropbear", "dropbear", "dropbear")
_KMOD = _packages("kmod")
_BINUTILS = _packages("binutils")
_XZ = _packages("xz-utils", "xz", "xz", "xz")

TOOLS: tuple[Tool, ...] = (
    Tool("git", Purpose.BUILD, _packages("git"), _program("git")),
    Tool("make", Purpose.BUILD, _packages("make"), _program("make")),
    Tool("gcc", Purpose.BUILD, _packages("gcc"), _program("gcc")),
    Tool("ld", Purpose.BUILD, _BINUTILS, _program("ld")),
    Tool("flex", Purpose.BUILD, _packages("flex"), _program("flex")),
    Tool("bison", Purpose.BUILD, _packages("bison"), _program("bison")),
    Tool("bc", Purpose.BUILD, _packages("bc"), _program("bc")),
    Tool("perl", Purpose.BUILD, _packages("perl"), _program("perl")),
    Tool("libelf.h", Purpose.BUILD, _ELF, _header("libelf.h")),
    Tool("openssl/opensslv.h", Purpose.BUILD, _SSL, _header("openssl/opensslv.h")),
    Tool("cpio", Purpose.BUILD, _packages("cpio"), _program("cpio")),
    Tool("depmod", Purpose.BUILD, _KMOD, _program("depmod"), optional=True),
    Tool("xz", Purpose.BUILD, _XZ, _program("xz")),
    Tool("ccache", Purpose.BUILD, _packages("ccache"), _program("ccache"), optional=True),
    Tool(
        "libc.a",
        Purpose.GUEST,
        _packages("libc6-dev", "glibc-static", "glibc", "glibc-devel-static"),
        _static_libc,
    ),
    Tool(
        "qemu-system-x86_64",
        Purpose.GUEST,
        _packages("qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86", "qemu-x86"),
        _program("qemu-system-x86_64"),
    ),
    Tool(
        "busybox",
        Purpose.GUEST,
        _packages("busybox-static", "busybox", "busybox", "busybox-static"),
        _static_busybox,
    ),
    Tool("dropbear", Purpose.GUEST, _DROPBEAR, _program("dropbear")),
    Tool("dropbearkey", Purpose.GUEST, _DROPBEAR, _program("dropbearkey")),
    Tool("setpriv", Purpose.GUEST, _packages("util-linux"), _program("setpriv")),
    Tool("tar", Purpose.DEMO, _packages("tar"), _program("tar")),
    Tool(
        SOURCE_TARBALL.name,
        Purpose.DEMO,
        _packages("linux-source-6.1", "-", "-", "-"),
        SOURCE_TARBALL.exists,
    ),
)


@functools.cache
def family(os_release: Path = Path("/etc/os-release")) -> Family | None:
    """The host's distribution family, or None where package names are anybody's guess."""
    words = {"debian": Family.DEBIAN, "ubuntu": Family.DEBIAN, "fedora": Family.FEDORA, "rhel": Family.FEDORA}
    words |= {"arch": Family.ARCH, "suse": Family.SUSE, "opensuse": Family.SUSE}
    try:
        lines = os_release.read_text().splitlines()
    except OSError:
        return None
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    for word in f"{said.get('ID', '')} {said.get('ID_LIKE', '')}".replace('"', "").split():
        if word in words:
            return words[word]
    return None


def missing(*purposes: Purpose) -> tuple[Tool, ...]:
    """The tools of these purposes (of all, where none is given) that are not there."""
    return tuple(
        tool for tool in TOOLS if tool.purpose in (purposes or tuple(Purpose)) and not tool.present()
    )


def package_names(tools: Iterable[Tool], of: Family) -> list[str]:
    """The packages that bring these tools, each once, in the table's order."""
    return list(dict.fromkeys(tool.packages[of] for tool in tools if of in tool.packages))


def install_command(tools: Iterable[Tool], of: Family) -> str:
    """What to type to install these tools; empty where no package brings them."""
    packages = package_names(tools, of)
    return " ".join([_INSTALL[of], *packages]) if packages else ""


def remedy(tools: Sequence[Tool]) -> str:
    """How to install these tools here; where the distribution is not known, on each that is."""
    here = family()
    if here is None:
        return "; ".join(f"{known}: {install_command(tools, known)}" for known in Family)
    command = install_command(tools, here)
    return f"{command}, or kbisect setup" if command else "kbisect setup says what to install"


def version(program: str) -> str:
    """What a program says its version is, "12.2.0" for example; empty if it is missing or does not tell."""
    path = find(program)
    if path is None:
        return ""
    # busybox tells its version when it is asked nothing.
    done = subprocess.run(
        [path] if program == "busybox" else [path, "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    found = re.search(r"\d+(\.\d+)+", done.stdout.partition("\n")[0])
    return found[0] if found else ""


def require(*names: str) -> None:
    """Raise HostError, with the packages, unless all these tools of the table are there."""
    table = {tool.name: tool for tool in TOOLS}
    absent = [table[name] for name in names if not table[name].present()]
    if not absent:
        return
    verb = "is" if len(absent) == 1 else "are"
    raise HostError(f"{', '.join(tool.name for tool in absent)} {verb} not installed: {remedy(absent)}")
