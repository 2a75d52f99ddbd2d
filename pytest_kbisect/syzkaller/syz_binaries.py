"""The user's built syzkaller: its programs, whether guests can run them, and their revision.

A folder is syzkaller's own tree after `make`, with bin/linux_ARCH, or any folder with the two programs.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect import process
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.syzkaller.syz_command import EXECPROG, EXECUTOR, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kbisect.arch import Architecture

PROG2C: Final = "syz-prog2c"
GO_NAMES: Final = {
    "x86_64": "amd64",
    "i686": "386",
    "aarch64": "arm64",
    "armv7l": "arm",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "mips64": "mips64le",
}
"""Architectures as `uname -m` has them, and their names for Go and syzkaller."""
_REVISION: Final = re.compile(r"[0-9a-f]{40}\+?")
_IN_FLAGS: Final = re.compile(rb"prog\.GitRevision=([0-9a-f]{40}\+?)")
_SECONDS: Final = 30.0
"""For a program to print its help; a Go program that starts on a busy host needs 1."""


@dataclass(frozen=True, slots=True)
class Syzkaller:
    """The two programs, the `arch` that syzkaller calls theirs, and the revision they state ("" if none).

    `needs_library`: one of them needs a C library, which guests have only with a disk image.
    """

    execprog: Path
    executor: Path
    arch: str
    revision: str
    needs_library: bool = False


def go_name(architecture: Architecture) -> str:
    """The name of an architecture for Go and syzkaller."""
    return GO_NAMES.get(architecture.name, architecture.name)


def find(folder: Path, architecture: Architecture) -> Syzkaller:
    """The programs of a folder. Raises UsageError where they are not there, or not for this architecture."""
    arch = go_name(architecture)
    places = (folder / "bin" / f"linux_{arch}", folder / f"linux_{arch}", folder, folder / "bin")
    pairs = ((place / EXECPROG, place / EXECUTOR) for place in places)
    pair = next((pair for pair in pairs if all(one.is_file() for one in pair)), None)
    if pair is None:
        raise UsageError(_not_there(folder, arch))
    needs = [_needs_library(program, architecture) for program in pair]
    return Syzkaller(*pair, arch, revision(*pair), needs_library=any(needs))


def _not_there(folder: Path, arch: str) -> str:
    if not folder.is_dir():
        return f"no syzkaller at {folder}: there is no such folder, give one with --kbisect-syzkaller"
    others = sorted({program.parent.name for program in folder.glob(f"bin/*/{EXECUTOR}")} - {f"linux_{arch}"})
    have = f" (it has {', '.join(others)})" if others else ""
    return (
        f"no {EXECPROG} and {EXECUTOR} for {arch} in {folder}{have}: "
        f"run `make TARGETOS=linux TARGETARCH={arch}` there, or name a folder that has both"
    )


def _needs_library(program: Path, architecture: Architecture) -> bool:
    """Whether a program needs a dynamic loader. Raises UsageError where guests cannot run it at all."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    if not os.access(program, os.X_OK):
        raise UsageError(f"{program} is not executable: run chmod +x on it")
    try:
        with program.open("rb") as file:
            if file.read(2) == b"#!":
                return False  # a script
            elf = ELFFile(file)
            machine = str(elf["e_machine"])
            if machine != architecture.elf_machine:
                raise UsageError(
                    f"{program} is for {machine.removeprefix('EM_').lower()}, guests are {architecture.name}: "
                    f"build it with TARGETARCH={go_name(architecture)}"
                )
            return any(segment["p_type"] == "PT_INTERP" for segment in elf.iter_segments())
    except ELFError:
        raise UsageError(f"{program} is no program for Linux: build it again") from None
    except OSError as error:
        raise UsageError(f"cannot read {program}: {error.strerror}: check its permissions") from None


def usage(program: Path) -> Usage:
    """The flags that a program has, by asking it. Raises HostError where it says nothing of the kind."""
    facts = program.stat()
    return _usage(program, facts.st_size, facts.st_mtime_ns)


@functools.cache
def _usage(program: Path, _size: int, _time: int) -> Usage:
    text = said(program, "-help")
    found = Usage.of(text)
    if not found.flags:
        what = process.tail(text, 1).strip() or "it prints nothing"
        raise HostError(f"cannot ask {program} for its flags ({what}): check that it runs here")
    return found


def said(program: Path, *words: str) -> str:
    """What a program prints; its exit status says nothing here. Raises HostError where it does not end."""
    try:
        return process.run([program, *words], timeout=_SECONDS, check=False).decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        raise HostError(
            f"{program} {' '.join(words)} did not end in {_SECONDS:g} s: try it by hand"
        ) from None


def revision(execprog: Path, executor: Path) -> str:
    """The commit that the programs were built from, with a + if there were changes; "" where none states it.

    Go keeps the linker's flags, and so syzkaller's revision, in what it builds (since Go 1.18). Before the
    rewrite of 2024 `syz-executor version` prints it.
    """
    return _revision(execprog, executor, execprog.stat().st_mtime_ns, executor.stat().st_mtime_ns)


@functools.cache
def _revision(execprog: Path, executor: Path, *_times: int) -> str:
    import mmap

    if execprog.stat().st_size:
        with execprog.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if found := _IN_FLAGS.search(data):
                return found[1].decode()
    words = said(executor, "version").split()
    return next((word for word in reversed(words) if _REVISION.fullmatch(word)), "")
