"""A tree that has just the anchors of the demo's edits: enough to make its whole history, in a second."""

from __future__ import annotations

import io
import lzma
import tarfile
from typing import TYPE_CHECKING

from pytest_kbisect.demo import commit_graph, key_commits
from pytest_kbisect.demo.commits import no_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_kbisect.demo.change import Change

MAKEFILE = b"# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\nEXTRAVERSION =\n"

# What the patterns match; the literal anchors are taken from the edits themselves.
_FOR_PATTERNS = {
    "drivers/net/tun.c": "if (n > FRAGS ||\n\t    len > (ETH_MAX_MTU - PAD - ALIGN))\n\t\treturn;\n",
    "net/core/skbuff.c": "kmalloc_node_track_caller(obj_size,\n\t\tflags | __GFP_NOMEMALLOC | __GFP_NOWARN,\n",
    "init/main.c": "if (panic_later)\n\t\tpanic(text);\n",
}
SAMPLE_RATE = b'{ "perf_event_max_sample_rate",\n\t\t.extra1 = SYSCTL_ONE,\n}'
"""The place of the second bug's culprit."""


def ordinary() -> Iterator[Change]:
    """The changes that others can take the place of."""
    for pool in (*commit_graph.POOLS, no_code.CHANGES):
        yield from pool


def tree_files(form: int = 0) -> dict[str, bytes]:
    """Contents by path, as a distribution ships them. `form`: which of the ordinary changes' forms fit."""
    texts = dict(_FOR_PATTERNS)

    def put(change: Change, number: int, written: str = "") -> None:
        for edit in change.forms[number]:
            text = texts.setdefault(edit.path, "")
            # What an earlier edit writes need not be in the tree.
            if not edit.pattern and edit.old not in text and edit.old not in written:
                texts[edit.path] = text + f"{edit.old}\n" * edit.times

    for mishap in (*key_commits.DO_NOT_BUILD, *key_commits.DO_NOT_BOOT):
        put(mishap.broken, 0)
        put(mishap.repair, 0, "".join(edit.new or "" for edit in mishap.broken.edits))
    for change in ordinary():
        put(change, form if -len(change.forms) <= form < len(change.forms) else 0)
    return {path: text.encode("latin-1") for path, text in texts.items()} | {"Makefile": MAKEFILE}


def archive(tree: dict[str, bytes], top: str = "linux-source-6.1") -> bytes:
    """A .tar with one folder at the top, a script and a link in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in tree.items():
            member = tarfile.TarInfo(f"{top}/{path}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        script = tarfile.TarInfo(f"{top}/scripts/run.sh")
        script.mode = 0o755
        tar.addfile(script)
        link = tarfile.TarInfo(f"{top}/link")
        link.type, link.linkname = tarfile.SYMTYPE, "scripts/run.sh"
        tar.addfile(link)
    return packed.getvalue()


def pack(tree: dict[str, bytes], tarball: Path) -> Path:
    """A .tar.xz as Debian's."""
    tarball.write_bytes(lzma.compress(archive(tree)))
    return tarball


def unpack(tree: dict[str, bytes], folder: Path) -> Path:
    """The same as a folder."""
    with tarfile.open(fileobj=io.BytesIO(archive(tree, folder.name))) as tar:
        tar.extractall(folder.parent, filter="data")
    return folder
