"""Reads a kernel's source as a stream of files, from a tarball, a git repository or a folder."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import host, process
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.errors import HostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINK = "120000"
"""git's mode of a symbolic link."""
_NUMBER = re.compile(rb"^(VERSION|PATCHLEVEL|SUBLEVEL) *= *(\d+)$", re.MULTILINE)
# Programs are used if they are faster: xz uses all processors. Python has zstd only since 3.14.
_UNPACKERS: dict[bytes, tuple[str, ...]] = {
    b"\xfd7zXZ\0": ("xz", "--threads=0"),
    b"\x1f\x8b": ("gzip",),
    b"\x28\xb5\x2f\xfd": ("zstd",),
}
# bzip2 is not part of a minimal Debian, and Python's own module is as fast.
_BZIP2 = b"BZh"
_BUNZIP2 = "import bz2, shutil, sys; shutil.copyfileobj(bz2.open(sys.argv[1]), sys.stdout.buffer)"
# If one of these exists, the kernel's makefile refuses to build in another folder. "make mrproper" removes
# them.
_BUILT = (".config", "include/config", f"arch/{DEFAULT.source_folder}/include/generated")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """`path` is relative to the top of the tree, `mode` is git's, and the content of a link is its target."""

    path: str
    mode: str
    content: bytes


def read(source: Path) -> Iterator[SourceFile]:
    """Every file and link of a kernel's source.

    The source is a tarball (.xz, .gz, .bz2, .zst or plain; its top folder is stripped), HEAD of a git
    repository, or a folder. Raises UsageError if it is none of these or cannot be read completely, and
    HostError if the program that unpacks it is missing.
    """
    if not source.is_dir():
        return _tarball(source)
    return _commit(source) if _is_git(source) else _folder(source)


def fingerprint(source: Path) -> str:
    """Equal for equal sources: based on size and time of the tarball or files, or on git's tree hash."""
    if not source.is_dir():
        status = source.stat()
        return f"{status.st_size} {status.st_mtime_ns}"
    if _is_git(source):
        return _head(source)
    digest = hashlib.sha256()
    for name, path in _walk(source):
        status = path.lstat()
        digest.update(f"{name} {status.st_mode:o} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def version(makefile: bytes) -> str:
    """The version X.Y.Z from the top Makefile. Raises UsageError if it is not a kernel's Makefile."""
    numbers = {name.decode(): number.decode() for name, number in _NUMBER.findall(makefile)}
    if len(numbers) < 3:
        raise UsageError("the top Makefile names no version: this is not the source of Linux")
    return ".".join(numbers[name] for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))


def _tarball(tarball: Path) -> Iterator[SourceFile]:
    with tarball.open("rb") as stream:
        head = stream.read(8)
    if head.startswith(_BZIP2):
        return _unpacked([sys.executable, "-c", _BUNZIP2, str(tarball)], str(tarball))
    for magic, (program, *options) in _UNPACKERS.items():
        if head.startswith(magic):
            if host.find(program) is None:
                raise HostError(f"cannot unpack {tarball}: {program} is not installed: install it")
            return _unpacked(
                [program, *options, "--decompress", "--stdout", "--", str(tarball)], str(tarball)
            )
    return _unpacked(["cat", "--", str(tarball)], str(tarball))


def _commit(repository: Path) -> Iterator[SourceFile]:
    # git archive converts line ends if the user's settings request it.
    command = ["git", "-C", str(repository), "-c", "core.autocrlf=false", "archive", "--format=tar"]
    return _unpacked([*command, "--prefix=linux/", "HEAD"], f"HEAD of {repository}")


def _unpacked(command: Sequence[str], what: str) -> Iterator[SourceFile]:
    unpacker = process.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert unpacker.stdout is not None
    try:
        with unpacker.stdout as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                yield from _members(archive)
            # The rest is padding. The program must finish: its exit status shows whether it succeeded.
            while stream.read(1 << 16):
                pass
        if unpacker.wait() != 0:
            raise UsageError(
                f"{what} is damaged ({command[0]}: exit status {unpacker.returncode}): get it again"
            )
    except tarfile.TarError as error:
        raise UsageError(f"{what} cannot be unpacked ({error}): is it the source of Linux?") from error
    finally:
        process.kill(unpacker)


def _members(archive: tarfile.TarFile) -> Iterator[SourceFile]:
    for member in archive:
        path = member.name.removeprefix("./").partition("/")[2]
        if member.issym():
            yield SourceFile(path, LINK, member.linkname.encode())
        elif member.isfile() and (content := archive.extractfile(member)):
            yield SourceFile(path, _mode(member.mode), content.read())


def _folder(folder: Path) -> Iterator[SourceFile]:
    if built := [name for name in _BUILT if (folder / name).exists()]:
        raise UsageError(f"{folder} has been built in ({built[0]} exists): run `make mrproper` in it")
    for name, path in _walk(folder):
        if path.is_symlink():
            yield SourceFile(name, LINK, os.fsencode(path.readlink()))
        else:
            yield SourceFile(name, _mode(path.stat().st_mode), path.read_bytes())


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files and links with their names in the tree, in a fixed order."""
    for at, folders, names in os.walk(folder):
        links = [name for name in folders if Path(at, name).is_symlink()]
        folders.sort()
        for name in sorted([*names, *links]):
            path = Path(at, name)
            if stat.S_ISREG(mode := path.lstat().st_mode) or stat.S_ISLNK(mode):
                yield path.relative_to(folder).as_posix(), path


def _mode(permissions: int) -> str:
    return "100755" if permissions & 0o100 else "100644"


def _is_git(folder: Path) -> bool:
    """Whether a folder is the top of a work tree or a bare repository."""
    return (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir())


def _head(repository: Path) -> str:
    """The hash of HEAD's tree."""
    try:
        printed = process.run(["git", "-C", repository, "rev-parse", "--verify", "HEAD^{tree}"])
    except subprocess.CalledProcessError as error:
        raise UsageError(f"{repository}: git finds no HEAD ({process.tail(error.output, 1)})") from error
    return printed.decode().strip()
