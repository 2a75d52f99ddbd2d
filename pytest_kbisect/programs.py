"""C sources to static programs, compiled on the host; each is compiled once and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import process
from pytest_kbisect.errors import HostError, UsageError

if TYPE_CHECKING:
    from pytest_kbisect.arch import Architecture

# syzbot's reproducers are written for -w -fpermissive compilers: warnings are not ours to judge.
_FLAGS = ("-std=gnu11", "-O2", "-static", "-pthread", "-w")
# What is included by a name in <>; "" by any other.
_INCLUDED = re.compile(rb"#[ \t]*include\b[ \t]*(?:<([^>\n]*)>)?")


def compiler(architecture: Architecture) -> str:
    """The compiler of programs for guests. Raises HostError where it is missing."""
    name = "gcc" if architecture.is_native() else f"{architecture.cross_prefix}gcc"
    if shutil.which(name) is None:
        packages = " ".join(architecture.cross_packages)
        raise HostError(
            f"{name} is not installed, and reproducers for {architecture.name} are compiled with it:"
            f" apt-get install {packages}, or kbisect setup --arch {architecture.name}"
        )
    return name


def compat_flags(architecture: Architecture, source: Path) -> tuple[str, ...]:
    """The compiler's flags for a program of 32 bits.

    Raises UsageError if the architecture has none, HostError if their C library is not installed.
    """
    compat = architecture.compat
    if compat is None:
        raise UsageError(f"{source}: kbisect-bits: 32 is not implemented for {architecture.name}: remove it")
    probe = [compiler(architecture), *_FLAGS, *compat.compiler_flags, "-x", "c", "-", "-o", os.devnull]
    try:
        process.run(probe, stdin=b"#include <stdio.h>\nint main(void) { return 0; }", env=_environment())
    except subprocess.CalledProcessError:
        raise HostError(
            f"{source} asks for kbisect-bits: 32, and this host cannot link static programs for {compat.name}: "
            f"apt-get install {' '.join(compat.packages)} (with cross compilers, whose packages conflict: "
            "libc6-dev-i386 and lib32gcc-N-dev, with the N of gcc --version)"
        ) from None
    return compat.compiler_flags


def compile_static(
    source: Path | str, folder: Path, *, name: str = "", flags: tuple[str, ...] = (), compiler: str = "gcc"
) -> Path:
    """The program made of a C source and what it includes: a path, or the text (then give it a `name`).

    Raises UsageError with the compiler's words where it does not compile.
    """
    if isinstance(source, Path):
        try:
            text, origin = source.read_bytes(), str(source)
        except OSError as error:
            raise UsageError(f"cannot read {source}: {error.strerror}") from None
        name = name or source.stem
        folder_of_source = source.parent.absolute()
        include = ["-I", str(folder_of_source)]
    else:
        text, origin, folder_of_source, include = source.encode(), name or "program", None, []
    command = [compiler, *_FLAGS, *include, *flags]
    digest = hashlib.sha256("\0".join(command).encode() + b"\0" + text)
    # The compiler knows what is included, and takes 20 ms to say so: too much for each run of most sources.
    if any(flag.startswith(("-I", "-i")) for flag in flags) or _may_include(text, folder_of_source):
        for header in _included(text, command):
            digest.update(os.fsencode(f"\0{header}\0") + Path(header).read_bytes())
    program = folder / digest.hexdigest()[:16] / (name or "program")
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=program.parent)
    os.close(descriptor)
    try:
        process.run([*command, "-x", "c", "-", "-o", unfinished], stdin=text, env=_environment())
        os.chmod(unfinished, 0o755)
        os.rename(unfinished, program)
    except subprocess.CalledProcessError as error:
        words = process.tail(error.output, 20).replace("<stdin>", Path(origin).name)
        raise UsageError(f"{origin} does not compile:\n{words}") from None
    finally:
        Path(unfinished).unlink(missing_ok=True)
    return program


def headers(source: Path) -> tuple[Path, ...]:
    """The files that a C source includes, but for the system's; none where it does not compile."""
    text, folder_of_source = source.read_bytes(), source.parent.absolute()
    if not _may_include(text, folder_of_source):
        return ()
    return tuple(map(Path, _included(text, ["gcc", *_FLAGS, "-I", str(folder_of_source)])))


def _may_include(text: bytes, folder_of_source: Path | None) -> bool:
    """Whether a source may include more than the system's headers; `folder_of_source` is None for a text."""
    return any(
        not name or (folder_of_source is not None and (folder_of_source / os.fsdecode(name)).exists())
        for name in _INCLUDED.findall(text)
    )


def _included(text: bytes, command: list[str]) -> list[str]:
    """The files that a source includes, but for the system's; none where it does not compile."""
    try:
        rule = process.run([*command, "-MM", "-x", "c", "-"], stdin=text, env=_environment())
    except subprocess.CalledProcessError:
        return []
    return shlex.split(os.fsdecode(rule).partition(":")[2].replace("\\\n", " ").replace("$$", "$"))


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}  # the compiler's words in one language
