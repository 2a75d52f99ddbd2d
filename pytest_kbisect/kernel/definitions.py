"""Which source files define a function: turns a crash's stack into files while there are no symbols."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.kernel.tree import LinuxTree

_SYSCALL = re.compile(
    r"^(?:(?:__(?:x64|ia32|arm64|riscv|s390x?|do|se)_(?:compat_)?)?sys_|(?:compat_)?(?:SyS|SYSC)_)(?=\w)"
)


def files_defining(
    tree: LinuxTree, commit: str, functions: Iterable[str], paths: Iterable[str]
) -> frozenset[str]:
    """Those of the C files `paths` in which one of the functions is defined, at this commit.

    By form alone: a name at the beginning of a line's declaration, its parameters, and a body; or a system
    call, whose crash is titled by its bare name. One git process reads all files; 1,500 of them take a
    second.
    """
    names = {name for name in functions if re.fullmatch(r"[A-Za-z_]\w*", name)}
    if not names:
        return frozenset()
    plain = "|".join(sorted(re.escape(name) for name in names))
    macros = "|".join(sorted({re.escape(_SYSCALL.sub("", name)) for name in names}))
    pattern = re.compile(
        rf"^(?:[A-Za-z_][\w \t*]{{0,100}}?[ \t*])?(?:{plain})\([^;{{]{{0,1000}}\n?{{"
        rf"|^(?:COMPAT_)?SYSCALL_DEFINE[0-6]\((?:{macros})\b",
        re.MULTILINE,
    )
    sources = tree.read_files(commit, [path for path in paths if path.endswith(".c")])
    return frozenset(path for path, text in sources if pattern.search(text))


def names_mentioned(
    tree: LinuxTree, commit: str, functions: Iterable[str], paths: Iterable[str]
) -> frozenset[str]:
    """Those of the functions whose names stand in one of the C files and headers `paths`, at this commit.

    A name that stands nowhere belongs to no function there. A system call is looked for by its bare name.
    """
    bare = {_SYSCALL.sub("", name): name for name in functions}
    if not bare:
        return frozenset()
    word = re.compile(rf"\b(?:{'|'.join(map(re.escape, bare))})\b")
    found: set[str] = set()
    for _, text in tree.read_files(commit, [path for path in paths if path.endswith((".c", ".h"))]):
        found.update(word.findall(text))
        if len(found) == len(bare):
            break
    return frozenset(bare[name] for name in found)
