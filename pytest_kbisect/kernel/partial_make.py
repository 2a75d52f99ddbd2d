"""The directories that make has to enter: those in which something may have to be made.

kbuild starts a make for every directory and has it compare times, whether there is anything to do or not:
after a change to one file, that is half of the build. Which directories have nothing to do is known
beforehand: from the files that changed since the last complete build, and from the files that its targets
read, which are listed in their .cmd files. So make is given a script of ours to call as make, which skips
what is not below ENTERED.

A directory is entered for

- a target there that read a changed file, and where the makefile of such a target lies
- a changed file in it
- a makefile in it that names a changed file: rules may read what no .cmd file lists
- a directory below it

All are entered where that is not enough: a file was added or removed, or is neither C nor assembly
(makefiles, Kconfig, tables, scripts); something other than an object was made from it (a program, a linker
script); what is generated in one of these directories is read in another. Headers below include/generated are
made before any directory is entered: the script checks whether one is new, and if so skips nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import PurePosixPath
from shlex import quote
from typing import TYPE_CHECKING, Final

from pytest_kbisect import process
from pytest_kbisect.kernel import scripts, sources
from pytest_kbisect.kernel.output import MARKER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_kbisect.kernel.sources import Sources
    from pytest_kbisect.kernel.tree import Change

ENTERED: Final = ".kbisect-entered"
"""Folder in an O= folder: what lies below it is entered."""
MOST: Final = 300
"""Changed files from which on all is entered: compilers have so much to do that the rest hardly counts."""

_MAKE: Final = """#!/bin/sh
# Called by make as make. need-builtin= is there where kbuild descends, and nowhere else.
folder= descends=
for word; do
    case $word in
    obj=*) folder=${{word#obj=}} ;;
    need-builtin=*) descends=yes ;;
    esac
done
if [ -n "$descends" ] && [ -z "$kbisect_enter_all" ]; then
    case $folder in
    */*) ;;
    *)
        new=$(find include/config/auto.conf include/generated arch/*/include/generated \\
              -type f -newer {marker} 2>&1)
        # A word of complaint counts as one.
        [ -z "$new" ] || export kbisect_enter_all=yes
        ;;
    esac
    [ -n "$kbisect_enter_all" ] || [ -d "{entered}/$folder" ] || exit 0
fi
exec {make} "$@"
"""

# Their makefiles look at what is not in the tree: signing keys, an initramfs; or are cheap and often wanted.
_ALWAYS = (".", "init", "usr", "certs")
# What reads headers by script, or calls make anew.
_UNLISTED = re.compile(
    r"^CONFIG_(?:IKHEADERS|TRIM_UNUSED_KSYMS|RUST)=[ym]|^CONFIG_EXTRA_FIRMWARE=\"[^\"]", re.MULTILINE
)
# Seen from O=; what is generated for all is looked after by the script.
_GENERATED = r"^  (?!\.\./|/|include/|arch/[^/]+/include/)\S+(?= \\$)"
_NONE = 1
"""grep's exit status where nothing is found."""
_MODULE = re.compile(r"-DKBUILD_MODFILE='\"([^\"]+)/[^/\"]+\"'")


def directories(tree: Path, output: Path, read: Sources, changes: Iterable[Change]) -> frozenset[str] | None:
    """The directories that make has to enter after these changes since the last complete build; None: all.

    `read` is what was read for what lies in O= (sources.collect). Paths are from the top of the tree.
    """
    changed = [change for change in changes if read.matters(change)]
    if not read.targets or len(changed) > MOST or _UNLISTED.search((output / ".config").read_text()):
        return None
    if not all(_is_plain(change) and change.path in read.targets for change in changed):
        return None
    paths = [change.path for change in changed]
    boot = f"arch/{read.architecture}/boot/"  # as what lies at the top: made by rules of its own, and always
    found = {_folder(path) for path in paths if _is_descended_to(output, _folder(path))}
    for command in _commands_naming(tree, output, paths):
        if _folder(command) != "." and not command.startswith(boot):
            found |= _makers(output, command)
    for folder in _makefiles_naming(tree, output, set(map(_name, paths))):
        if not f"{folder}/".startswith(boot):
            found.add(folder)
    if not all(_is_descended_to(output, folder) for folder in found) or _is_read_elsewhere(output, found):
        return None
    above = {str(parent) for folder in found for parent in PurePosixPath(folder).parents}
    return frozenset({*found, *above, *_ALWAYS})


def prepare(
    cache: Path, output: Path, entered: Collection[str] | None, variables: Mapping[str, str]
) -> dict[str, str]:
    """Prepare a make that enters these directories only: the variables of its environment.

    Where all directories are to be entered (None) these are `variables` as they are.
    """
    shutil.rmtree(output / ENTERED, ignore_errors=True)
    path = variables.get("PATH", os.defpath)
    make = shutil.which("make", path=path)
    if entered is None or make is None:
        return dict(variables)
    for folder in entered:
        (output / ENTERED / folder).mkdir(parents=True, exist_ok=True)
    script = scripts.write(
        cache, "partial_make/make", _MAKE.format(make=quote(make), marker=MARKER, entered=ENTERED)
    )
    return {**variables, "PATH": f"{script.parent}{os.pathsep}{path}"}


def _is_plain(change: Change) -> bool:
    return change.in_place and change.path.endswith(sources.COMPILED)


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _is_descended_to(output: Path, folder: str) -> bool:
    """Whether kbuild descends to a directory: then it has an archive of its own."""
    return folder not in ("", ".") and (output / folder / "built-in.a").exists()


def _commands_naming(tree: Path, output: Path, paths: Sequence[str]) -> list[str]:
    """The .cmd files in O= that name one of these files."""
    if not paths:
        return []
    # Some are named as ../block/partitions/../blk.h.
    names = "".join(f"/{name}\n" for name in sorted(map(_name, paths)))
    found = _grep(["-rlF", "--include=.*.cmd", "-f", "-", "."], output, names)
    wanted = set(paths)
    return [
        command
        for command in found
        if not wanted.isdisjoint(sources.listed((output / command).read_bytes(), tree, output))
    ]


def _makers(output: Path, command: str) -> set[str]:
    """The directories that are entered to make the target of a .cmd file; "" where that is not clear."""
    if not command.endswith(".o.cmd"):
        return {""}
    makers = {_folder(command)} if _is_descended_to(output, _folder(command)) else set()
    makers.update(_MODULE.findall((output / command).read_text("utf-8", "replace"))[:1])
    return makers or {""}


def _makefiles_naming(tree: Path, output: Path, names: Collection[str]) -> Iterator[str]:
    """The directories, of those in O=, with a makefile that names one of these files."""
    if not names:
        return
    named = re.compile("|".join(map(re.escape, sorted(names))))
    for path, folders, _ in os.walk(output):
        folder = os.path.relpath(path, output)
        if folder == ENTERED:
            folders.clear()
            continue
        makefiles = (file for kind in ("Makefile*", "Kbuild*") for file in (tree / folder).glob(kind))
        if any(named.search(file.read_text("utf-8", "replace")) for file in makefiles):
            yield folder


def _is_read_elsewhere(output: Path, folders: Collection[str]) -> bool:
    """Whether a target of another directory reads what is generated in, or below, one of these."""
    if not folders:
        return False
    for line in _grep(["-roP", "--include=.*.cmd", _GENERATED, "."], output):
        command, _, path = line.partition(":")
        above = {str(parent) for parent in PurePosixPath(os.path.normpath(path.strip())).parents}
        if _folder(command) not in folders and not above.isdisjoint(folders):
            return True
    return False


def _grep(words: Sequence[str], folder: Path, stdin: str = "") -> list[str]:
    """The lines that grep prints, with paths relative to the folder."""
    command = ["env", "LC_ALL=C", "grep", *words]
    try:
        found = process.run(command, cwd=folder, stdin=stdin.encode("utf-8", "surrogateescape"))
    except subprocess.CalledProcessError as error:
        if error.returncode != _NONE or error.output:
            raise
        return []
    return [name.removeprefix("./") for name in found.decode("utf-8", "surrogateescape").splitlines()]
