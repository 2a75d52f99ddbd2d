"""What a session leaves, on its way back: JUnit XML, log, events, bounded consoles and lists of sources.

Paths in the text files are the worker's; unpacking makes them the driver's.
"""

from __future__ import annotations

import contextlib
import shutil
import tarfile
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from pytest_kbisect import properties
from pytest_kbisect.errors import HostError
from pytest_kbisect.reports import consoles
from pytest_kbisect.session import events, session_request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

XML: Final = "junit.xml"
LOG: Final = "session.log"
ROOM: Final = 256 << 20
"""Bytes of all consoles of a session together, before they are compressed; what is beyond is left out."""
_MOST: Final = 1 << 30
"""Bytes of one session that a driver unpacks, whatever the worker sends."""
_TEXTS: Final = (XML, LOG, events.FILE)


def keep_sources(folder: Path) -> None:
    """Copy the lists of sources that the XML names into the session's folder, and name the copies."""
    xml = folder / XML
    try:
        text = xml.read_text("utf-8")
        root = ET.fromstring(text)
    except (OSError, ET.ParseError, UnicodeDecodeError):
        return
    paths = {
        item.get("value") or "" for item in root.iter("property") if item.get("name") == properties.SOURCES
    }
    for number, path in enumerate(sorted(paths - {""})):
        copy = folder / f"sources-{number}"
        with contextlib.suppress(OSError):
            shutil.copyfile(path, copy)
            text = text.replace(path, str(copy))
    xml.write_text(text, "utf-8")


def pack(folder: Path, archive: Path) -> None:
    """Write a session's folder into an archive; consoles are cut first. Raises OSError."""
    kept = sorted(folder.glob("runs/*/console.log"))
    consoles.bound(kept)
    room = ROOM
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in [*(folder / name for name in _TEXTS), *sorted(folder.glob("sources-*")), *kept]:
            if not path.is_file():
                continue
            room -= path.stat().st_size if path in kept else 0
            if room >= 0:
                tar.add(path, str(path.relative_to(folder)), recursive=False)


def unpack(archive: Path, folder: Path, renamed: Mapping[str, str]) -> None:
    """Put what `pack` wrote into the driver's folder of the session.

    `renamed` maps prefixes of paths on the worker to those here. Raises HostError for an archive that was not
    written by `pack`.
    """
    room = _MOST
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                room -= member.size
                if not member.isfile() or room < 0:
                    raise HostError(
                        f"a worker sent {member.name!r}, which belongs to no session: start the worker anew"
                    )
                if member.name != session_request.FILE:
                    tar.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise HostError(
            f"a worker sent an archive that cannot be read: {error}: start the worker anew"
        ) from None
    for name in _TEXTS:
        path = folder / name
        if path.is_file():
            text = path.read_bytes()
            for there, here in renamed.items():
                text = text.replace(there.encode(), here.encode())
            path.write_bytes(text)


def failed_on_host(xml: Path) -> str:
    """Why a session says nothing about its kernel: all its runs failed because of the host. "" otherwise."""
    try:
        root = ET.parse(xml).getroot()
    except (OSError, ET.ParseError):
        return ""
    outcomes, titles = set(), []
    for case in root.iter("testcase"):
        given = {item.get("name"): item.get("value") or "" for item in case.iter("property")}
        if given.get(properties.SAME_KERNEL):
            return ""
        if outcome := given.get(properties.OUTCOME):
            outcomes.add(outcome)
            titles.append(given.get(properties.USAGE) or given.get(properties.TITLE) or "")
    return (titles[0] or "no run gave a result") if outcomes == {"infra-failed"} else ""
