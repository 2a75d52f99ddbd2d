"""The compiler cache: how it is set up for kernels, and how much of a build it had.

Objects are found again across slots, O= folders and commits. Within one warm O= folder it is asked for
what a checkout touched: going back to a commit, or a header that is as it was, costs no compiler.
"""

from __future__ import annotations

import hashlib
import os
from shlex import quote
from typing import TYPE_CHECKING, Final

from pytest_kbisect.kernel import scripts

if TYPE_CHECKING:
    from pathlib import Path

_SETTINGS: Final = {
    # hash_dir: slots differ in their path only. base_dir is not needed, because no path of ours is
    # absolute: an O= folder lies inside its tree (see worktrees).
    "CCACHE_NOHASHDIR": "1",
    # Generated headers are newer than the compiler's start; what they say is hashed anyway. kbuild
    # compiles with -Werror=date-time, so nothing depends on __DATE__ or __TIME__.
    "CCACHE_SLOPPINESS": "include_file_ctime,include_file_mtime,time_macros",
    # Without it every miss is preprocessed twice: a third of a first build's time. Its price is that a
    # changed autoconf.h, which everything includes, is a miss everywhere.
    "CCACHE_DEPEND": "1",
    "CCACHE_MAXSIZE": "5G",
}

_LOG: Final = "ccache.log"
_HITS: Final = ("direct_cache_hit", "preprocessed_cache_hit")
_MISS: Final = "cache_miss"


COMPILER: Final = "kbisect-cc"
"""The name by which make calls the compiler; `environment` puts it on the PATH."""

# What the assembler reads by itself is in no list of dependencies, so that in depend mode an object is
# found whatever it holds: the compressed kernel in piggy.o is the last one of the same size. The compiler may
# itself be a link to ccache: Fedora puts those first in everybody's PATH. An option keeps it out of that.
_SCRIPT: Final = """#!/bin/sh
for source; do :; done
case $source in
*.[cS]) grep -qs '\\.incbin' "$source" && exec env CCACHE_DISABLE=1 {compiler} "$@" ;;
esac
exec {ccache} {compiler} "$@"
"""


def environment(cache: Path, ccache: str, compiler: str, path: str) -> dict[str, str]:
    """The variables for ccache, those that the user has set win, and a PATH with COMPILER in front.

    `ccache` and `compiler` are programs; `path` is the PATH so far.
    """
    users = {name: value for name, value in os.environ.items() if name.startswith("CCACHE_")}
    text = _SCRIPT.format(ccache=quote(ccache), compiler=quote(compiler))
    # One name for all compilers, but a folder for each: builds with several run side by side.
    folder = hashlib.sha256(text.encode()).hexdigest()[:12]
    script = scripts.write(cache, f"{folder}/{COMPILER}", text)
    path = f"{script.parent}{os.pathsep}{path}"
    return {"CCACHE_DIR": str(cache / "ccache"), "PATH": path} | _SETTINGS | users


def logging(folder: Path) -> dict[str, str]:
    """The variable that makes ccache note its hits in a folder (since 4.4; older ones ignore it)."""
    return {"CCACHE_STATSLOG": str(folder / _LOG)}


def counted(folder: Path) -> tuple[int, int]:
    """Hits and misses of the compilations noted in a folder."""
    try:
        words = (folder / _LOG).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return 0, 0
    return sum(words.count(hit) for hit in _HITS), words.count(_MISS)
