"""Checks before anything is built: does the selection compile, does the host have what it needs?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kbisect import reproducer_kinds, reproducers

if TYPE_CHECKING:
    import pytest

    from pytest_kbisect.session.shared import Session


def check(session: Session, items: list[pytest.Item], *, compile_: bool) -> None:
    """Tell the session what the selected tests ask of the kernel; see that they can be run at all.

    `compile_` is False where tests are only listed. Raises UsageError or HostError. For a bisection
    that only asks (the session request names a file) the answer is written there.
    """
    session.fragments = reproducers.fragments(items)
    answer = session.request.selection
    if not compile_ and not answer:
        return
    session.check_host()
    notes = session.examine(map(reproducers.needs_of, _selected(items)))
    if not (answer or session.bisecting):  # the bisection has said so once
        for note in notes:
            session.events.say_once(f"note: {note}")
    sources = {file.path: file.kind for item in items if (file := item.getparent(reproducers.ReproducerFile))}
    for source, kind in sources.items():
        reproducer_kinds.prepare(source, kind, session.cache)
    if answer:
        Path(answer).write_text(json.dumps(_selection(session, items) | {"notes": notes}))


def _selected(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if reproducers.OWN_FIXTURE in getattr(item, "fixturenames", ())]


def _selection(session: Session, items: list[pytest.Item]) -> dict[str, Any]:
    selected = _selected(items)
    needs = [reproducers.needs_of(item) for item in selected]
    return {
        "tests": [item.nodeid for item in selected],
        "files": sorted({str(item.path) for item in selected}),
        "fragments": session.fragments,
        "per_run": sum("kbisect_run" in getattr(item, "fixturenames", ()) for item in selected),
        "memory": max((need.memory or 0 for need in needs), default=0),
        "runs": max((need.runs or 0 for need in needs), default=0),
        "crash": sorted({title for need in needs for title in need.crash}),
    }
