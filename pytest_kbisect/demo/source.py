"""A distribution's kernel tarball as a stream of files."""

from __future__ import annotations

import re
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_kbisect import host, process
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINK = "120000"
"""git's mode of a symbolic link."""
_NUMBER = re.compile(rb"^(VERSION|PATCHLEVEL|SUBLEVEL) *= *(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """`path` is relative to the top of the tree, `mode` is git's, a link's content is its target."""

    path: str
    mode: str
    content: bytes


def read(tarball: Path) -> Iterator[SourceFile]:
    """Every file and link of a .tar.xz, in the tarball's order, without its top folder.

    Raises UsageError if it cannot be read to the end.
    """
    host.require("xz")
    # The program, not the module: it decompresses on all processors.
    unpacker = process.start(
        ["xz", "--decompress", "--stdout", "--threads=0", "--", tarball],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert unpacker.stdout is not None
    try:
        with unpacker.stdout as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                yield from _files(archive)
            while stream.read(1 << 16):  # padding; xz must come to its end to tell whether all was well
                pass
        if unpacker.wait() != 0:
            raise UsageError(f"{tarball} is damaged (xz: exit status {unpacker.returncode}): get it again")
    except tarfile.TarError as error:
        raise UsageError(f"{tarball} cannot be unpacked ({error}): is it the .tar.xz of a kernel?") from error
    finally:
        process.kill(unpacker)


def _files(archive: tarfile.TarFile) -> Iterator[SourceFile]:
    for member in archive:
        path = member.name.removeprefix("./").partition("/")[2]
        if member.issym():
            yield SourceFile(path, LINK, member.linkname.encode())
        elif member.isfile() and (content := archive.extractfile(member)):
            yield SourceFile(path, "100755" if member.mode & 0o100 else "100644", content.read())


def version(makefile: bytes) -> str:
    """6.1.y from the top Makefile. Raises UsageError for other kernels."""
    numbers = {name.decode(): number.decode() for name, number in _NUMBER.findall(makefile)}
    found = ".".join(numbers.get(name, "?") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    if not found.startswith("6.1."):
        raise UsageError(f"this is the source of Linux {found}; the demo's commits are made for 6.1.y")
    return found
