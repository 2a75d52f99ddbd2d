"""What can be known to be wrong before anything is built: sources that do not compile, a selection of none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kbisect import programs, properties, reproducers

if TYPE_CHECKING:
    import pytest

    from pytest_kbisect.session import Session


def check(session: Session, items: list[pytest.Item], *, compile_: bool) -> None:
    """Tell the session what the selected tests ask of the kernel; compile their C sources.

    Raises UsageError. For a bisection that only asks (PREFLIGHT names a file) the answer is written
    there, and compiling belongs to the question.
    """
    session.fragments = reproducers.fragments(items)
    answer = os.environ.get(properties.PREFLIGHT)
    if compile_ or answer:
        sources = {item.path: None for item in items if item.path.suffix == ".c"}
        for source in sources:
            programs.compile_static(source, session.cache / "programs")
    if answer:
        selected = [item for item in items if reproducers.OWN_FIXTURE in getattr(item, "fixturenames", ())]
        Path(answer).write_text(
            json.dumps(
                {
                    "tests": [item.nodeid for item in selected],
                    "files": sorted({str(item.path) for item in selected}),
                    "fragments": session.fragments,
                    "memory": max((reproducers.needs_of(item).memory or 0 for item in selected), default=0),
                    "crash": sorted(
                        {title for item in selected for title in reproducers.needs_of(item).crash}
                    ),
                }
            )
        )
