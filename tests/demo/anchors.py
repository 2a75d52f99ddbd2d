"""A tree that has just the anchors of the demo's edits: enough to make its whole history, in a second."""

from __future__ import annotations

import io
import lzma
import tarfile
from typing import TYPE_CHECKING

from pytest_kbisect.demo import history, story
from pytest_kbisect.demo.commits import words

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = b"# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\nEXTRAVERSION =\n"

# What the patterns match; the literal anchors are taken from the edits themselves.
_FOR_PATTERNS = {
    "drivers/net/tun.c": "if (n > FRAGS ||\n\t    len > (ETH_MAX_MTU - PAD - ALIGN))\n\t\treturn;\n",
    "init/main.c": "if (panic_later)\n\t\tpanic(text);\n",
}


def tree_files() -> dict[str, bytes]:
    """Contents by path, as the distribution ships them."""
    texts = dict(_FOR_PATTERNS)
    for changes in (*history.POOLS, [*story.PLACES.values()], words.CHANGES):
        for change in changes:
            for edit in change.edits:
                text = texts.setdefault(edit.path, "")
                # What an earlier commit writes need not be in the tree.
                written = any(
                    edit.old in other.new
                    for later in story.PLACES.values()
                    for other in later.edits
                    if other is not edit and other.path == edit.path
                )
                if not edit.pattern and edit.old not in text and not written:
                    texts[edit.path] = f"{text}{edit.old}\n"
    return {path: text.encode("latin-1") for path, text in texts.items()} | {"Makefile": MAKEFILE}


def pack(tree: dict[str, bytes], tarball: Path) -> Path:
    """A .tar.xz as Debian's: one folder at the top, with a script and a link in it."""
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w") as archive:
        for path, content in tree.items():
            member = tarfile.TarInfo(f"linux-source-6.1/{path}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        script = tarfile.TarInfo("linux-source-6.1/scripts/run.sh")
        script.mode = 0o755
        archive.addfile(script)
        link = tarfile.TarInfo("linux-source-6.1/link")
        link.type, link.linkname = tarfile.SYMTYPE, "scripts/run.sh"
        archive.addfile(link)
    tarball.write_bytes(lzma.compress(unpacked.getvalue()))
    return tarball
