"""Which files of the tree a build read, and whether a change of others can matter to it.

What was compiled says so itself: fixdep lists a target's source and headers in its .cmd file, whether
it was compiled now or in an earlier build of that O= folder. Kconfig lists its files in auto.conf.cmd.
What make, scripts, awk and assemblers read besides, nobody lists. So only C and assembly may count as
unread - with what belongs to other architectures, to documentation and to tools that no kernel is
built with - and every other file counts as read, whether it was or not.

A file that comes or goes can hide another one, or uncover it: make looks for foo.c before foo.S, a
compiler for <asm/foo.h> in six folders. It counts as read where a file that was read has its name.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pytest_kbisect import atomic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.kernel.tree import Change

FILE: Final = "sources"
"""The name under which a kernel's are kept: `architecture<tab>NAME`, then a line for each file,
`TARGETS<tab>PATH`, then `end`."""
_END = "end"

_OF_TARGET = re.compile(rb"^(?:  |source_\S+ := )([^\s$]\S*)", re.MULTILINE)
_OF_KCONFIG = re.compile(r"^\t(\S+)", re.MULTILINE)

COMPILED: Final = (".c", ".h", ".S", ".s")
"""How the names of files end that compilers read; what else a build reads nobody lists."""

# Their files reach a build by being compiled or sourced by Kconfig only, both of which is listed.
_LISTED_ONLY = ("Documentation/", "LICENSES/")
_WORDS = re.compile(
    r"(?:^|/)(?:\.gitignore|\.gitattributes|\.clang-format|README[^/]*|[^/]*\.rst)$"
    r"|^(?:MAINTAINERS|CREDITS|COPYING|\.mailmap|\.get_maintainer\.ignore|\.cocciconfig|\.editorconfig)$"
    r"|^scripts/(?:checkpatch\.pl|get_maintainer\.pl|spelling\.txt|const_structs\.checkpatch|coccinelle/.*)$"
)
# tools/ has a build system of its own; only these parts of it are built for a kernel (objtool,
# resolve_btfids) or read by its makefiles (tools/scripts/Makefile.include).
_OUR_TOOLS = re.compile(r"tools/(?:arch|bpf/resolve_btfids|build|include|lib|objtool|scripts)/|tools/[^/]*$")
_PROGRAMS = ("scripts/", "certs/", "usr/")
# Where the build looks for files by wildcard: scripts/Makefile.asm-generic, headers.
_SEARCHED = re.compile(r"include/|arch/[^/]+/include/")


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that a build read, from the top of the tree; to each how many targets depend on it.

    `architecture` is the folder below arch/ that was built.
    """

    targets: dict[str, int]
    architecture: str
    _names: frozenset[str] = field(init=False, repr=False, compare=False)
    _stems: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", frozenset(path.rpartition("/")[2] for path in self.targets))
        object.__setattr__(self, "_stems", frozenset(path.rpartition(".")[0] for path in self.targets))

    def matters(self, change: Change) -> bool:
        """Whether a build with this change may give another result than one without it."""
        path = change.path
        if path in self.targets:
            return True
        if path.startswith("arch/") and path.count("/") > 1:
            if not path.startswith(f"arch/{self.architecture}/"):
                return False
        elif path.startswith("tools/"):
            return _OUR_TOOLS.match(path) is not None
        elif path.startswith(_LISTED_ONLY):
            return False
        if _WORDS.search(path):
            return False
        if path.startswith(_PROGRAMS) or not path.endswith(COMPILED):
            return True
        return not change.in_place and (
            _SEARCHED.match(path) is not None
            or path.rpartition("/")[2] in self._names
            or path.rpartition(".")[0] in self._stems
        )

    def cost(self, changes: Iterable[Change]) -> int:
        """Roughly how many targets these changes rebuild; a file that no list has counts as one."""
        return sum(self.targets.get(change.path, 1) for change in changes if self.matters(change))


def read_together(paths: Iterable[Path]) -> Sources:
    """The files that any of several builds of a commit read; nothing where one of the lists is incomplete."""
    lists = [read(path, whole=True) for path in paths]
    if not all(one.targets for one in lists):
        return Sources({}, "")
    targets: Counter[str] = Counter()
    for one in lists:
        targets.update(one.targets)
    return Sources(dict(targets), lists[0].architecture)


def collect(tree: Path, output: Path, architecture: str, kept: Path) -> Sources:
    """The files read for everything that lies in an O= folder; written to the file `kept` for the next time.

    Half a second the first time; then only .cmd files are read that are newer than `kept`, and what an
    earlier build of this folder read and none reads any more stays in the list. Nothing where the build
    left no .cmd files, or not that of init/main.o: then nothing is known.
    """
    known = read(kept)
    since = kept.stat().st_mtime_ns if known.targets else 0
    counted: Counter[bytes] = Counter()
    for folder, _, names in os.walk(output):
        for name in names:
            path = f"{folder}/{name}"
            if name.startswith(".") and name.endswith(".cmd") and os.stat(path).st_mtime_ns >= since:
                with open(path, "rb") as file:
                    counted.update(_OF_TARGET.findall(file.read()))
    targets: Counter[str] = Counter()
    for listed, count in counted.items():
        inside = _inside(os.fsdecode(listed), tree, output)
        if inside:
            targets[inside] += count
    kconfig = output / "include/config/auto.conf.cmd"
    if kconfig.exists():
        for sourced in _OF_KCONFIG.findall(kconfig.read_text("utf-8", "surrogateescape")):
            inside = os.path.normpath(sourced)
            if not inside.startswith(("/", "../")):
                targets.setdefault(inside, 1)
    found = Sources({**targets, **known.targets}, architecture)
    if "init/main.c" not in found.targets:
        found = Sources({}, architecture)
    write(found, kept)
    return found


def listed(command: bytes, tree: Path, output: Path) -> set[str]:
    """The files of the tree that a .cmd file lists, whatever way their paths go."""
    paths = {os.fsdecode(path) for path in _OF_TARGET.findall(command)}
    return {inside for path in paths if (inside := _inside(path, tree, output))}


def write(sources: Sources, path: Path) -> None:
    """Write it to a file, atomically."""
    rows = (f"{count}\t{name}\n" for name, count in sorted(sources.targets.items()))
    atomic.write(path, f"architecture\t{sources.architecture}\n{''.join(rows)}{_END}\n")


def read(path: Path, *, whole: bool = False) -> Sources:
    """What write() wrote; nothing where there is no such file, or half of one.

    `whole`: it is known to be complete, as all is in the store; older lists lack the last line.
    """
    try:
        first, *lines = path.read_text("utf-8", "surrogateescape").split("\n")[:-1]
        if lines[-1:] == [_END]:
            lines.pop()
        elif not whole:
            return Sources({}, "")
        rows = (line.split("\t", 1) for line in lines)
        return Sources({name: int(count) for count, name in rows}, first.split("\t")[1])
    except (FileNotFoundError, ValueError, IndexError):
        return Sources({}, "")


def _inside(path: str, tree: Path, output: Path) -> str:
    """A path of a .cmd file from the top of the tree; empty for what is generated or the host's."""
    if path.startswith("../"):
        # Seen from O=, which lies right inside the tree; a path from deeper down never begins so.
        inside = os.path.normpath(path[3:])
    elif path.startswith(f"{tree}/") and not path.startswith(f"{output}/"):
        inside = os.path.normpath(path[len(str(tree)) + 1 :])
    else:
        return ""
    return "" if inside.startswith(("../", "/")) else str(PurePosixPath(inside))
