"""What must be installed on the host, how to check that it is, and which package has it.

One table serves everybody: `kbisect setup` installs from it, and whoever is about to start a tool
asks `require` for it, so that a missing one is a line with its package and not a traceback.
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

# dropbear and depmod live in /usr/sbin, which is not in everybody's PATH.
_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


_INCLUDE = (Path("/usr/local/include"), Path("/usr/include"))


class Purpose(StrEnum):
    """What a tool is for."""

    BUILD = "build kernels"
    GUEST = "run guests"
    DEMO = "run the demo"


@dataclass(frozen=True, slots=True)
class Tool:
    """Something the host must have. `packages` lacks the families that do not ship it.

    `optional`: things are only slower without it, so `require` is never asked for it. `elsewhere`: where to
    get it on a distribution that has no package of it.
    """

    name: str
    purpose: Purpose
    packages: Mapping[Family, str]
    present: Callable[[], bool]
    optional: bool = False
    elsewhere: str = ""


def find(program: str) -> str | None:
    """The path of a program, also where root's programs live."""
    return shutil.which(program, path=_SEARCH)


def _program(name: str) -> Callable[[], bool]:
    return lambda: find(name) is not None


def _header(name: str) -> Callable[[], bool]:
    def present() -> bool:
        folders = [*map(Path, filter(None, os.environ.get("CPATH", "").split(os.pathsep))), *_INCLUDE]
        # openssl keeps some of its headers in the multiarch folder, so a glob in addition to the plain name.
        return any((folder / name).exists() or any(folder.glob(f"*-linux-gnu/{name}")) for folder in folders)

    return present


def static_busybox() -> str | None:
    """The path of a busybox without an interpreter: the guest has no C library for a dynamic one.

    Alpine and openSUSE have one of another name next to the dynamic one.
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
    """Whether a program is there that is more than busybox's of that name."""

    def present() -> bool:
        path = find(name)
        return path is not None and not Path(path).resolve().name.startswith("busybox")

    return present


def _static_libc(compiler: str = "gcc") -> bool:
    """Whether there is one: gcc answers with the bare name where it does not find the file."""
    gcc = find(compiler)
    if gcc is None:
        return False
    answer = subprocess.run([gcc, "-print-file-name=libc.a"], capture_output=True, text=True, check=False)
    return os.sep in answer.stdout


def _packages(debian: str, **other: str) -> Mapping[Family, str]:
    """Package names by family; what is not given is called as in Debian, "-" means there is none.

    RHEL has Fedora's names.
    """
    other.setdefault("rhel", other.get("fedora", debian))
    names = {member: other.pop(member.name.lower(), debian) for member in Family}
    assert not other, other
    return {member: name for member, name in names.items() if name != "-"}


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
    # The kernel's scripts use options that busybox's programs of these names lack.
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
        # Both Debian and Ubuntu have this metapackage: it depends on the release's linux-source-X.Y.
        {Family.DEBIAN: "linux-source"},
        lambda: source_tarball() is not None,
        elsewhere="https://kernel.org (linux-X.Y.tar.xz), then: kbisect demo --tarball FILE",
    ),
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
    """The tools of these purposes (of all, where none is given) that are not there."""
    return tuple(
        tool
        for tool in tools(architecture)
        if tool.purpose in (purposes or tuple(Purpose)) and not tool.present()
    )


def package_names(tools: Iterable[Tool], of: Family) -> list[str]:
    """The packages that bring these tools, each once, in the table's order."""
    return list(dict.fromkeys(tool.packages[of] for tool in tools if of in tool.packages))


def install_command(tools: Iterable[Tool], of: Family) -> str:
    """What to type to install these tools; empty where no package brings them."""
    packages = package_names(tools, of)
    return distribution.install_command(packages, of) if packages else ""


def remedy(tools: Sequence[Tool], architecture: Architecture = DEFAULT) -> str:
    """How to install these tools here; where the distribution is not known, on each that is.

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
    """What an install command for these tools does not say: other repositories, and other places."""
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
    """What a program says its version is, "12.2.0" for example; empty if it is missing or does not say."""
    path = find(program)
    if path is None:
        return ""
    # busybox prints its version when it is asked nothing.
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
    require_tools(table[name] for name in names)


def require_tools(tools: Iterable[Tool], *, architecture: Architecture = DEFAULT) -> None:
    """Raise HostError, with the packages, unless all these tools are there."""
    absent = [tool for tool in tools if not tool.present()]
    if not absent:
        return
    verb = "is" if len(absent) == 1 else "are"
    raise HostError(
        f"{', '.join(tool.name for tool in absent)} {verb} not installed: {remedy(absent, architecture)}"
    )
