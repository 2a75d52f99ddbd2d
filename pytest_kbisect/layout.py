"""The folder of a bisection: names of what lies in it that several rooms write or look for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

JOURNAL: Final = "journal.jsonl"
RESULT: Final = "result.json"
CONFIG: Final = "config"
MINIMIZED: Final = "minimized.config"
"""The whole configuration that the search built with, where that is not the user's: for colleagues, too."""
REPRODUCERS: Final = "repro"
"""Copies of the reproducers as they were."""
SESSIONS: Final = "sessions"
LOG: Final = "bisect.log"
EACH: Final = "each"
"""The folders of the tests' own bisections (`--kbisect-each`)."""


def is_kept(folder: Path) -> bool:
    """Whether a folder is one that a bisection has left in its results: what lies there are no tests.

    The results may be in the folder of the reproducers themselves (`--kbisect-dir=.`), which stay tests.
    """
    if folder.name not in {REPRODUCERS, SESSIONS}:
        return False
    try:
        with (folder.parent / JOURNAL).open("rb") as journal:
            subject = json.loads(journal.readline())
        own = [Path(name) for name in subject.get("reproducers") or ()]
    except (OSError, ValueError, AttributeError):
        return False
    return subject.get("kind") == "subject" and not any(folder in path.parents for path in own)
