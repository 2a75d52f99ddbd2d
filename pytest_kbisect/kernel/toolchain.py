"""Which compiler builds, and the environment in which equal code gives equal images."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect import arch, host, process
from pytest_kbisect.errors import HostError
from pytest_kbisect.kernel import ccache

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kbisect.arch import Architecture

RECIPE = 2
"""Part of every store key: raise it when a build of the same inputs would give another image."""

_TOOLS = ("make", "gcc", "ld", "flex", "bison", "bc", "libelf.h", "openssl/opensslv.h", "setpriv")
"""What every build runs or includes (objtool: libelf, certificates: libssl); checked before it starts."""
_COMPILER = "gcc"

_PASSED_ON = ("PATH", "HOME", "USER", "TMPDIR", "LD_LIBRARY_PATH")

_REPRODUCIBLE = {
    # All four end in linux_banner and utsname (init/version.c), so in .rodata and .data.
    "KBUILD_BUILD_VERSION": "1",
    "KBUILD_BUILD_TIMESTAMP": "Sat Jan  1 00:00:00 UTC 2000",
    "KBUILD_BUILD_USER": "kbisect",
    "KBUILD_BUILD_HOST": "kbisect",
    # Messages that diagnosis reads, and the order of wildcards.
    "LC_ALL": "C",
}

_ARGUMENTS = (
    # A release commit changes nothing but these, yet they are in UTS_RELEASE and, through
    # LINUX_VERSION_CODE, in the vDSO. VERSION and PATCHLEVEL stay: a C library may refuse to run on
    # a kernel that looks older than it supports.
    "SUBLEVEL=0",
    "EXTRAVERSION=-kbisect",
    # Set, though empty: unset, setlocalversion appends "+" to what is not a tagged commit.
    "LOCALVERSION=",
    # The image is packed to be booted a few times: as fast as can be, instead of -9, the last word of
    # kbuild's command, which becomes an argument of the shell's and is not heard.
    "KGZIP=sh -c 'exec gzip -n -f -1'",
    # By this name it can be another program for directories (see partial_make), and commands that have it
    # stay the same.
    "MAKE=make",
)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler. `identity` is its first line of --version, and the linker's: part of store keys."""

    compiler: str
    identity: str
    ccache: str
    architecture: Architecture
    prefix: str = ""
    """CROSS_COMPILE= of make; "" for the host's own compiler."""

    def arguments(self, output: str) -> list[str]:
        """What every make of this project gets; `output` is the O= folder, inside the source tree."""
        cc = ccache.COMPILER if self.ccache else self.compiler
        cross = [f"CROSS_COMPILE={self.prefix}"] if self.prefix else []
        return [f"O={output}", f"ARCH={self.architecture.kbuild}", *cross, f"CC={cc}", *_ARGUMENTS]

    def environment(self, cache: Path) -> dict[str, str]:
        """A build's whole environment: nothing of the user's that kbuild would read (KCFLAGS, ARCH...)."""
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        if self.ccache:
            env |= ccache.environment(cache, self.ccache, self.compiler, env.get("PATH", os.defpath))
        return env | _REPRODUCIBLE


def find(architecture: Architecture = arch.DEFAULT) -> Toolchain:
    """The toolchain for an architecture. Raises HostError naming what is missing and its packages."""
    host.require(*_TOOLS)
    prefix = "" if architecture.is_native() else architecture.cross_prefix
    if not (prefix or architecture.is_native()):
        raise HostError(
            f"no cross compiler for {architecture.name} is known: use a host with {', '.join(architecture.host_machines)}"
        )
    tools = (f"{prefix}{_COMPILER}", f"{prefix}ld")
    if absent := [tool for tool in tools if shutil.which(tool) is None]:
        packages = " ".join(architecture.cross_packages)
        raise HostError(
            f"{' and '.join(absent)} not installed: install a cross compiler for {architecture.name}"
            + (f" (Debian: apt-get install {packages})" if packages else "")
        )
    first_lines = [
        process.run([program, "--version"]).decode("utf-8", "replace").partition("\n")[0].strip()
        for program in tools
    ]
    return Toolchain(
        compiler=tools[0],
        identity=", ".join(first_lines),
        ccache=shutil.which("ccache") or "",
        architecture=architecture,
        prefix=prefix,
    )
