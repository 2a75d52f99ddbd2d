"""Which compiler builds, and the environment in which equal code gives equal images."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from pytest_kbisect import arch, host, process
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.kernel import ccache, compilers
from pytest_kbisect.kernel.remedies import NONE, Remedies
from pytest_kbisect.kernel.rules import ANY, CompilerName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_kbisect.arch import Architecture
    from pytest_kbisect.arch.trouble import ToolName, Trouble, Version

RECIPE = 2
"""Part of every store key: raise it when a build of the same inputs would give another image."""

_TOOLS = ("make", "gcc", "ld", "flex", "bison", "bc", "libelf.h", "openssl/opensslv.h", "setpriv")
"""What every build runs or includes (objtool: libelf, certificates: libssl); checked before it starts."""
_COMPILER = "gcc"
_LLVM: Final = {
    "LD": "ld.lld",
    "AR": "llvm-ar",
    "NM": "llvm-nm",
    "OBJCOPY": "llvm-objcopy",
    "OBJDUMP": "llvm-objdump",
    "READELF": "llvm-readelf",
    "STRIP": "llvm-strip",
    "HOSTCC": "clang",
    "HOSTCXX": "clang++",
    "HOSTAR": "llvm-ar",
    "HOSTLD": "ld.lld",
}
"""What LLVM=1 stands for. Named one by one: kernels before 5.18 know no suffix (e9c281928c24)."""

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
    """A compiler, and what it builds with.

    `identity` is the first line of its --version, and the linker's: part of store keys. `versions` are those
    of all tools that troubles are known of.
    """

    compiler: str
    identity: str
    ccache: str
    architecture: Architecture
    prefix: str = ""
    """CROSS_COMPILE= of make; "" for the host's own compiler."""
    kind: Literal["gcc", "clang"] = "gcc"
    versions: Mapping[ToolName, Version] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    """More variables of make that choose tools."""
    linker: str = "ld"
    remedies: Remedies = NONE

    def arguments(self, output: str) -> list[str]:
        """What every make of this project gets; `output` is the O= folder, inside the source tree."""
        cc = ccache.COMPILER if self.ccache else self.compiler
        cross = [f"CROSS_COMPILE={self.prefix}"] if self.prefix else []
        tools = [*cross, f"CC={cc}", *self.variables]
        return [
            f"O={output}",
            f"ARCH={self.architecture.kbuild}",
            *tools,
            *_ARGUMENTS,
            *self.remedies.arguments,
        ]

    def environment(self, cache: Path) -> dict[str, str]:
        """A build's whole environment: nothing of the user's that kbuild would read (KCFLAGS, ARCH...)."""
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        if self.ccache:
            env |= ccache.environment(cache, self.ccache, self.compiler, env.get("PATH", os.defpath))
        return env | _REPRODUCIBLE

    def named(self, trouble: Trouble) -> str:
        """The tool that has a trouble, with its version."""
        tool = trouble.tool or self.kind
        return f"{tool} {compilers.written(self.versions[tool])}"

    @property
    def fingerprint(self) -> str:
        """What store keys and O= folders have of it besides the architecture."""
        return f"{self.identity}\0{self.remedies.fingerprint}" if self.remedies.fingerprint else self.identity


def find(
    architecture: Architecture = arch.DEFAULT,
    name: CompilerName = ANY,
    remedies: Remedies = NONE,
) -> Toolchain:
    """The toolchain for an architecture.

    Raises HostError naming what is missing and its packages, UsageError for a compiler of the user's that
    cannot be used.
    """
    host.require(*_TOOLS)
    prefix = "" if architecture.is_native() else architecture.cross_prefix
    if not (prefix or architecture.is_native()):
        raise HostError(
            f"no cross compiler for {architecture.name} is known: use a host with {', '.join(architecture.host_machines)}"
        )
    compiler = _program(name, architecture, prefix)
    line = first_line(compiler)
    kind: Literal["gcc", "clang"] = "clang" if "clang version" in line else "gcc"
    if kind == "gcc":
        prefix = _own_prefix(compiler) or prefix
    _require_builds(compiler, line, kind, name, architecture)
    linker = _llvm("ld.lld", name.llvm) if name.llvm else f"{prefix}ld"
    _require([linker], architecture)
    linker_line = first_line(linker)
    versions: dict[ToolName, Version] = {kind: compilers.version_of(line)}
    if not name.llvm:
        versions["ld"] = compilers.version_of(linker_line)
        own = kind == "gcc" and architecture.is_native()
        versions["host gcc"] = versions["gcc"] if own else compilers.version_of(first_line(_COMPILER))
    variables: tuple[str, ...] = ()
    if name.llvm:
        _require([_llvm(tool, name.llvm) for tool in _LLVM.values()], architecture)
        tools = (f"{variable}={_llvm(tool, name.llvm)}" for variable, tool in _LLVM.items())
        variables = ("LLVM=1", "LLVM_IAS=1", *tools)
    elif name.cc and kind == "gcc" and architecture.is_native():
        variables = (f"HOSTCC={compiler}",)
    return Toolchain(
        compiler=compiler,
        identity=f"{line}, {linker_line}",
        ccache=shutil.which("ccache") or "",
        architecture=architecture,
        prefix=prefix,
        kind=kind,
        versions=versions,
        variables=variables,
        linker=linker,
        remedies=remedies,
    )


def first_line(program: str) -> str:
    """The first line of what a program says its version is; empty if it says nothing."""
    try:
        text = process.run([program, "--version"], check=False)
    except OSError:
        return ""
    return text.decode("utf-8", "replace").partition("\n")[0].strip()


def _llvm(tool: str, llvm: str) -> str:
    """A program of LLVM's: in a folder, with a suffix, or as it is."""
    if llvm.endswith("/"):
        return f"{llvm}{tool}"
    return tool if llvm == "1" else f"{tool}{llvm}"


def _own_prefix(compiler: str) -> str:
    """The prefix of a cross gcc's name, where the linker has it too: /opt/NAME-linux-gnu-gcc-11."""
    found = re.fullmatch(r"(.*-)gcc(?:-[\d.]+)?", compiler)
    return found[1] if found and shutil.which(f"{found[1]}ld") else ""


def _program(name: CompilerName, architecture: Architecture, prefix: str) -> str:
    compiler = _llvm("clang", name.llvm) if name.llvm else name.cc or f"{prefix}{_COMPILER}"
    if name.cc or name.llvm:
        if shutil.which(compiler) is None:
            raise UsageError(
                f"{name.option}: {compiler} is not installed: {_install(compiler, architecture)}, or name another one"
            )
    else:
        _require([compiler, f"{prefix}ld"], architecture)
    return compiler


def _install(compiler: str, architecture: Architecture) -> str:
    package = os.path.basename(compiler)
    more = " lld llvm" if package.startswith(("clang", "ld.lld", "llvm")) else ""
    suffix = re.search(r"-\d+$", package)
    more = more.replace(" lld", f" lld{suffix[0]}").replace(" llvm", f" llvm{suffix[0]}") if suffix else more
    if package.startswith(("gcc", "clang")) or not architecture.cross_packages:
        return f"apt-get install {package}{more}"
    return f"apt-get install {' '.join(architecture.cross_packages)}"


def _require(tools: Sequence[str], architecture: Architecture) -> None:
    absent = [tool for tool in dict.fromkeys(tools) if shutil.which(tool) is None]
    if not absent:
        return
    if llvm := [tool for tool in absent if "ll" in tool or "clang" in tool]:
        suffix = re.search(r"-\d+$", llvm[0])
        number = suffix[0] if suffix else ""
        raise HostError(
            f"{', '.join(absent)} not installed: apt-get install clang{number} lld{number} llvm{number}"
        )
    packages = " ".join(architecture.cross_packages)
    raise HostError(
        f"{' and '.join(absent)} not installed: install a cross compiler for {architecture.name}"
        + (f" (Debian: apt-get install {packages})" if packages else "")
    )


def _require_builds(
    compiler: str, line: str, kind: str, name: CompilerName, architecture: Architecture
) -> None:
    """Raise UsageError unless the compiler says its version, and makes code for the architecture."""
    given = name.option or compiler
    if not compilers.version_of(line):
        raise UsageError(
            f"{given}: {compiler} --version prints no version of gcc or clang ({line[:60]!r}):"
            " name the compiler itself, not a wrapper that hides it"
        )
    if not architecture.macro:
        return
    target = (
        [f"--target={architecture.clang_target}"] if kind == "clang" and architecture.clang_target else []
    )
    text = f"#ifndef {architecture.macro}\n#error another architecture\n#endif\n".encode()
    try:
        command = [compiler, *target, *architecture.compiler_flags, "-fsyntax-only", "-x", "c", "-"]
        process.run(command, stdin=text, env={**os.environ, "LC_ALL": "C"})
    except subprocess.CalledProcessError:
        packages = " ".join(architecture.cross_packages)
        raise UsageError(
            f"{given}: {compiler} ({line}) makes no code for {architecture.name}: name a compiler for it"
            + (f" (Debian: {packages})" if packages else "")
        ) from None
