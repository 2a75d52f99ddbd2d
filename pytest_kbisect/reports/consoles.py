"""Consoles in a results folder: which one is which run's, their ends, and how large they may stay."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from pytest_kbisect import layout, properties
from pytest_kbisect.atomic import replacing
from pytest_kbisect.evidence.outcome import UNREPORTED
from pytest_kbisect.reports import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

KEPT = 4 << 20
"""Bytes of a console that a finished bisection keeps: its beginning, and mostly its end."""
_BEGINNING = 256 << 10
_MARK = 64
"""Bytes kept free for the line that says how many were left out."""


def session_folder(folder: Path, commit: str, number: int) -> Path:
    """Where the n-th session of a commit keeps its XML, log and consoles."""
    return folder / layout.SESSIONS / (commit[:12] if number == 1 else f"{commit[:12]}-{number}")


def of_session(session: Path, titles: Sequence[str]) -> Mapping[int, tuple[Path, ...]]:
    """A session's consoles by the index of their run, of runs with these titles.

    Several where a run has several tests, none where its worker died.
    """
    try:
        root = ET.parse(session / "junit.xml").getroot()
    except (OSError, ET.ParseError):
        return {}
    found: dict[int, list[Path]] = defaultdict(list)
    for case in root.iter("testcase"):
        values = {item.get("name"): item.get("value") or "" for item in case.iter("property")}
        number = properties.run_number(values.get(properties.RUN, ""), case.get("name") or "")
        if number is None:
            continue
        paths, console = found[number], values.get(properties.CONSOLE)
        if console and (path := kept(session, console)).is_file():
            paths.append(path)
    if UNREPORTED in titles:  # then all runs that were asked for are told of, and the XML lacks some
        return {number: tuple(paths) for number, paths in found.items()}
    return {i: tuple(paths) for i, (_, paths) in enumerate(sorted(found.items()))}


def kept(session: Path, console: str) -> Path:
    """A console in the session's folder, by the path it had when it was written: folders are moved."""
    return session / "runs" / console.rpartition("/")[0].rpartition("/")[2] / "console.log"


def end(path: Path, limit: int) -> str:
    """At most the last `limit` bytes of a console as text that a page or an XML file can hold.

    Begins with a whole line; escape sequences, control characters and those that turn the direction
    of text are gone. Empty where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = max(0, os.fstat(file.fileno()).st_size - limit)
            file.seek(start)
            data = file.read(limit)
    except OSError:
        return ""
    if start:
        data = data.partition(b"\n")[2] or data
    return text.plain(data)


def bound(paths: Iterable[Path], limit: int = KEPT) -> None:
    """Cut consoles to their beginning and their end, `limit` bytes together. Raises OSError."""
    for path in paths:
        size = path.stat().st_size
        if size <= limit:
            continue
        beginning = min(_BEGINNING, limit // 4)
        ending = limit - beginning - _MARK
        with replacing(path) as unfinished, path.open("rb") as old, unfinished.open("wb") as new:
            new.write(old.read(beginning))
            new.write(f"\n--- {size - beginning - ending} bytes left out ---\n".encode())
            old.seek(size - ending)
            new.write(old.read())
