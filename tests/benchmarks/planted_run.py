"""One bisection of a planted history of a real kernel, from the command line, and what it took."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from linux_commits import Linux


@dataclass(frozen=True)
class PlantedRun:
    """How it ended: the exit code, result.json, and the minutes of the clock."""

    code: int
    answer: dict[str, Any]
    minutes: float
    positions: dict[str, int]
    """By hash, the position of a commit in the history; -1 is the good end."""

    @property
    def found(self) -> int | None:
        """The position of the answer."""
        return self.positions.get(self.answer["culprit"])

    @property
    def cost(self) -> str:
        """What it took, in a line."""
        answer = self.answer
        return (
            f"  builds {answer['builds']}, commits {answer['revisions_tested']}, runs {answer['runs']}, "
            f"{self.minutes:.1f} minutes; tested {[one['position'] for one in answer['tested']]}"
        )


def bisect(
    linux: Linux,
    line: Sequence[str],
    reproducers: Mapping[str, str],
    options: Sequence[str] = (),
    *,
    folder: Path | None = None,
) -> PlantedRun:
    """Bisect a history, given as its good end and all commits. `reproducers` are texts by file name.

    Reproducers and results are in `folder`, by default a new one.
    """
    place = folder or Path(tempfile.mkdtemp(prefix="planted-"))
    place.mkdir(parents=True, exist_ok=True)
    for name, text in reproducers.items():
        (place / name).write_text(text)
    result = place / "result"
    began = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", *reproducers, f"--kbisect-kernel={linux.path}"),
            *(f"--kbisect-range={line[0]}..{line[-1]}", f"--kbisect-dir={result}", *options),
        ],
        cwd=place,
        check=False,
    )
    minutes = (time.monotonic() - began) / 60
    answer = json.loads((result / "result.json").read_text())
    return PlantedRun(done.returncode, answer, minutes, {sha: n - 1 for n, sha in enumerate(line)})
