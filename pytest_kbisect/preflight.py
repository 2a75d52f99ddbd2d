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
    sources = {file.path: file.kind for item in items if (file := item.getparent(reproducers.ReproducerFile))}
    for source, kind in sources.items():
        reproducer_kinds.prepare(source, kind, session.cache)
    if compile_:
        for name in sorted({need for item in items if (need := reproducers.needs_of(item).selftest)}):
            session.selftest(name)
    if answer:
        Path(answer).write_text(json.dumps(_selection(session, items)))


def _selection(session: Session, items: list[pytest.Item]) -> dict[str, Any]:
    selected = [item for item in items if reproducers.OWN_FIXTURE in getattr(item, "fixturenames", ())]
    needs = [reproducers.needs_of(item) for item in selected]
    return {
        "tests": [item.nodeid for item in selected],
        "files": sorted({str(item.path) for item in selected}),
        "fragments": session.fragments,
        "per_run": sum("kbisect_run" in getattr(item, "fixturenames", ()) for item in selected),
        "memory": max((need.memory or 0 for need in needs), default=0),
        "runs": max((need.runs or 0 for need in needs), default=0),
        "bad_when": sorted({text for need in needs for text in need.bad_when}),
        "selftests": sorted({need.selftest for need in needs if need.selftest}),
        "symptoms": sorted({symptom.kind for item in selected for symptom in reproducers.symptoms_of(item)}),
        "crash": sorted({title for need in needs for title in need.crash}),
    }
