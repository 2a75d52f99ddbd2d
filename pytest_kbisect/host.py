"""The programs and files that the host needs, checks for them, and their packages.

There is one table for all uses. `kbisect setup` installs its packages. Code that starts a tool calls
`require` first, so that a missing tool gives one line with its package instead of a traceback.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_kbisect import distribution
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.distribution import Family
from pytest_kbisect.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_kbisect.arch import Architecture

# dropbear and depmod are in /usr/sbin, which is not in every user's PATH.
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


_INCLUDE = (Path("/usr/local/include"), Path("/usr/include"))


class Purpose(StrEnum):
    """The purpose of a tool."""

    BUILD = "build kernels"
    GUEST = "run guests"
    DEMO = "run the demo"
    TEST = "run this project's tests"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program or file that the host needs. `packages` has no entry for families that do not ship it.

    `optional`: bisections are only slower without it, so `require` is never called for it. `elsewhere`: where
    to get it if the distribution has no package.
    """

    name: str
    purpose: Purpose
    packages: Mapping[Family, str]
    present: Callable[[], bool]
    optional: bool = False
    elsewhere: str = ""


def find(program: str) -> str | None:
    """The path of a program. The folders of root's programs are searched, too."""
    return shutil.which(program, path=_SEARCH)


def _program(name: str) -> Callable[[], bool]:
    return lambda: find(name) is not None


def _header(name: str) -> Callable[[], bool]:
    def present() -> bool:
        folders = [*map(Path, filter(None, os.environ.get("CPATH", "").split(os.pathsep))), *_INCLUDE]
        # openssl has some headers in the multiarch folder, so both the plain name and a glob are tried.
        return any((folder / name).exists() or any(folder.glob(f"*-linux-gnu/{name}")) for folder in folders)

    return present


def static_busybox() -> str | None:
    """The path of a statically linked busybox. The guest has no C library for a dynamic one.

    Alpine and openSUSE have a static busybox with another name in addition to the dynamic one.
    """
    return next(filter(_is_static, filter(None, map(find, _BUSYBOXES))), None)


def _is_static(program: str) -> bool:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    with Path(program).open("rb") as stream:
        try:
            return not any(
                segment.header.p_type == "PT_INTERP" for segment in ELFFile(stream).iter_segments()
            )
        except ELFError:
            return False


def _full(name: str) -> Callable[[], bool]:
    """A check whether a program exists and is not busybox's."""

    def present() -> bool:
        path = find(name)
        return path is not None and not Path(path).resolve().name.startswith("busybox")

    return present


def _static_libc(compiler: str = "gcc") -> bool:
    """Whether a static C library exists. gcc prints only the file name if it does not find the file."""
    gcc = find(compiler)
    if gcc is None:
        return False
    answer = subprocess.run([gcc, "-print-file-name=libc.a"], capture_output=True, text=True, check=False)
    return os.sep in answer.stdout


def _packages(debian: str, **other: str) -> Mapping[Family, str]:
    """Package names by family. The default is Debian's name; "-" means that there is no package.

    The default for RHEL is Fedora's name.
    """
    other.setdefault("rhel", other.get("fedora", debian))
    names = {member: other.pop(member.name.lower(), debian) for member in Family}
    assert not other, other
    return {member: name for member, name in names.items() if name != "-"}


def source_tarball(folder: Path = Path("/usr/src")) -> Path | None:
    """The newest kernel source tarball that the distribution has installed; None if there is none.

    Debian and Ubuntu have packages linux-source-X.Y and linux-source-X.Y.Z, which install a tarball in
    /usr/src. Ubuntu's is a link to the file, which is in a folder of the same name.
    """
    found: dict[tuple[int, ...], Path] = {}
    for place in (folder, *folder.glob("linux-source-*/")):
        for path in sorted(place.glob("linux-source-*.tar.*")):
            name = re.fullmatch(r"linux-source-(\d+(?:\.\d+)+)\.tar\.(?:xz|bz2|gz|zst)", path.name)
            if name and path.is_file():
                found.setdefault(tuple(map(int, name[1].split("."))), path)
    return found[max(found)] if found else None


SOURCE = "kernel source"
"""The name of the distribution's kernel source in TOOLS."""

_BUSYBOXES = ("busybox", "busybox.static", "busybox-static")
_DROPBEAR = _packages("dropbear-bin", fedora="dropbear", arch="dropbear", suse="-", alpine="dropbear")
_DROPBEAR_SOURCE = "https://matt.ucc.asn.au/dropbear/dropbear.html (./configure && make && make install)"
_QEMU_SOURCE = "https://www.qemu.org/download/#source (./configure --target-list={}-softmmu)"


def _qemu(architecture: Architecture) -> Tool:
    return Tool(
        architecture.qemu,
        Purpose.GUEST,
        _packages(**architecture.qemu_packages),
        _program(architecture.qemu),
        elsewhere=_QEMU_SOURCE.format(architecture.qemu.removeprefix("qemu-system-")),
    )


TOOLS: tuple[Tool, ...] = (
    Tool("git", Purpose.BUILD, _packages("git"), _program("git")),
    Tool("make", Purpose.BUILD, _packages("make"), _program("make")),
    Tool("gcc", Purpose.BUILD, _packages("gcc"), _program("gcc")),
    Tool("ld", Purpose.BUILD, _packages("binutils"), _program("ld")),
    Tool("flex", Purpose.BUILD, _packages("flex"), _program("flex")),
    Tool("bison", Purpose.BUILD, _packages("bison"), _program("bison")),
    Tool("bc", Purpose.BUILD, _packages("bc"), _full("bc")),
    Tool("perl", Purpose.BUILD, _packages("perl"), _program("perl")),
    Tool("bash", Purpose.BUILD, _packages("bash"), _program("bash")),
    # The kernel's scripts use options that busybox's versions of these programs lack.
    Tool("env", Purpose.BUILD, _packages("coreutils"), _full("env")),
    Tool("find", Purpose.BUILD, _packages("findutils"), _full("find")),
    Tool("cmp", Purpose.BUILD, _packages("diffutils"), _full("cmp")),
    Tool("sed", Purpose.BUILD, _packages("sed"), _full("sed")),
    Tool("awk", Purpose.BUILD, _packages("gawk"), _full("awk")),
    Tool("grep", Purpose.BUILD, _packages("grep"), _full("grep")),
    Tool(
        "libelf.h",
        Purpose.BUILD,
        _packages(
            "libelf-dev",
            fedora="elfutils-libelf-devel",
            arch="libelf",
            suse="libelf-devel",
            alpine="elfutils-dev",
        ),
        _header("libelf.h"),
    ),
    Tool(
        "openssl/opensslv.h",
        Purpose.BUILD,
        _packages(
            "libssl-dev",
            fedora="openssl-devel",
            arch="openssl",
            suse="libopenssl-devel",
            alpine="openssl-dev",
        ),
        _header("openssl/opensslv.h"),
    ),
    Tool("cpio", Purpose.BUILD, _packages("cpio"), _program("cpio")),
    Tool("depmod", Purpose.BUILD, _packages("kmod"), _program("depmod"), optional=True),
    Tool(
        "xz",
        Purpose.BUILD,
        _packages("xz-utils", fedora="xz", arch="xz", suse="xz", alpine="xz"),
        _full("xz"),
    ),
    Tool("ccache", Purpose.BUILD, _packages("ccache"), _program("ccache"), optional=True),
    Tool(
        "libc.a",
        Purpose.GUEST,
        _packages(
            "libc6-dev",
            fedora="glibc-static",
            arch="glibc",
            suse="glibc-devel-static",
            alpine="musl-dev",
        ),
        _static_libc,
    ),
    Tool(
        "linux/types.h",
        Purpose.GUEST,
        _packages(
            "linux-libc-dev",
            fedora="kernel-headers",
            arch="linux-api-headers",
            suse="linux-glibc-devel",
            alpine="linux-headers",
        ),
        _header("linux/types.h"),
    ),
    _qemu(DEFAULT),
    Tool(
        "busybox",
        Purpose.GUEST,
        _packages("busybox-static", fedora="busybox", arch="busybox"),
        lambda: static_busybox() is not None,
    ),
    Tool("dropbear", Purpose.GUEST, _DROPBEAR, _program("dropbear"), elsewhere=_DROPBEAR_SOURCE),
    Tool("dropbearkey", Purpose.GUEST, _DROPBEAR, _program("dropbearkey"), elsewhere=_DROPBEAR_SOURCE),
    Tool("setpriv", Purpose.GUEST, _packages("util-linux", alpine="setpriv"), _full("setpriv")),
    Tool(
        SOURCE,
        Purpose.DEMO,
        # Debian and Ubuntu both have this metapackage, which depends on the release's linux-source-X.Y.
        {Family.DEBIAN: "linux-source"},
        lambda: source_tarball() is not None,
        elsewhere="https://kernel.org (linux-X.Y.tar.xz), then: kbisect demo --tarball FILE",
    ),
    Tool("mke2fs", Purpose.TEST, _packages("e2fsprogs"), _program("mke2fs"), optional=True),
)


_OF_GUESTS: Final = frozenset({"libc.a", "linux/types.h", "busybox", "dropbear"})
"""What guests of another architecture do not take from the host (see guest.user_space)."""


def tools(architecture: Architecture = DEFAULT) -> tuple[Tool, ...]:
    """The table for guests of an architecture."""
    table = [_qemu(architecture) if tool.name == DEFAULT.qemu else tool for tool in TOOLS]
    if architecture.is_native():
        return tuple(table)
    return (*(tool for tool in table if tool.name not in _OF_GUESTS), *_cross(architecture))


def _cross(architecture: Architecture) -> Iterator[Tool]:
    """What builds kernels and reproducers for another architecture; Debian's names of packages."""
    gcc = f"{architecture.cross_prefix}gcc"
    compiler, *libraries = architecture.cross_packages or (gcc,)
    where = f"a cross compiler for {architecture.name}"
    for name in ("gcc", "ld"):
        program = f"{architecture.cross_prefix}{name}"
        yield Tool(program, Purpose.BUILD, {Family.DEBIAN: compiler}, _program(program), elsewhere=where)
    library = f"libc.a for {architecture.name}"
    packages = {Family.DEBIAN: libraries[0]} if libraries else {}
    yield Tool(library, Purpose.GUEST, packages, lambda: _static_libc(gcc), elsewhere=where)


def missing(*purposes: Purpose, architecture: Architecture = DEFAULT) -> tuple[Tool, ...]:
    """The missing tools for these purposes (default: all purposes)."""
    return tuple(
        tool
        for tool in tools(architecture)
        if tool.purpose in (purposes or tuple(Purpose)) and not tool.present()
    )


def package_names(tools: Iterable[Tool], of: Family) -> list[str]:
    """The packages of these tools, without duplicates, in the order of the table."""
    return list(dict.fromkeys(tool.packages[of] for tool in tools if of in tool.packages))


def install_command(tools: Iterable[Tool], of: Family) -> str:
    """The command that installs these tools; empty if no package contains them."""
    packages = package_names(tools, of)
    return distribution.install_command(packages, of) if packages else ""


def remedy(tools: Sequence[Tool], architecture: Architecture = DEFAULT) -> str:
    """How to install these tools on this host; for all known distributions if the host's is unknown.

    `architecture` is that of the guests.
    """
    here = distribution.family()
    if here is None:
        return "; ".join(
            f"{known}: {command}" for known in Family if (command := install_command(tools, known))
        )
    command = install_command(tools, here)
    if here is Family.DEBIAN and command:
        demo = any(tool.purpose is Purpose.DEMO for tool in tools)
        command += f", or kbisect setup{' --demo' if demo else ''}"
        command += "" if architecture.is_native() else f" --arch {architecture.name}"
    return "; ".join(filter(None, (command, *notes(tools, here))))


def notes(tools: Iterable[Tool], here: Family) -> list[str]:
    """Additions to the install command for these tools: other repositories, and tools without a package."""
    tools = [*tools]
    found = [distribution.repository_note(package_names(tools, here), here)]
    places: dict[str, list[str]] = {}
    for tool in tools:
        if here not in tool.packages:
            places.setdefault(tool.elsewhere, []).append(tool.name)
    found += [
        f"{here} has no package of {', '.join(names)}: get it from {place}" for place, names in places.items()
    ]
    return [*filter(None, found)]


def version(program: str) -> str:
    """The version that a program prints, for example "12.2.0"; empty if it is missing or prints none."""
    path = find(program)
    if path is None:
        return ""
    # busybox prints its version if it is called without arguments.
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
    """Raise HostError with the missing packages unless all these tools of the table are installed."""
    table = {tool.name: tool for tool in TOOLS}
    require_tools(table[name] for name in names)


def require_tools(tools: Iterable[Tool], *, architecture: Architecture = DEFAULT) -> None:
    """Raise HostError with the missing packages unless all these tools are installed."""
    absent = [tool for tool in tools if not tool.present()]
    if not absent:
        return
    verb = "is" if len(absent) == 1 else "are"
    raise HostError(
        f"{', '.join(tool.name for tool in absent)} {verb} not installed: {remedy(absent, architecture)}"
    )
