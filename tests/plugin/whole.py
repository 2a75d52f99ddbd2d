"""Bisections from the command line to the files they leave; only guests are played (see played_guests)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pages
import pytest
from miniature import MAIN, FakeLinux
from played_guests import plays

SCHEMA = json.loads((pages.DOCS / "reference" / "result.schema.json").read_text())

HERE = Path(__file__).parent
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-system-x86_64", "gcc", "perl"))), reason="this host builds no kernels"
)
"""Of tests that make such bisections."""


@dataclass(frozen=True)
class Done:
    """A pytest that has ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def notes(self) -> list[str]:
        return [line.removeprefix("note: ") for line in self.out.splitlines() if line.startswith("note: ")]


class Place:
    """A folder with a miniature Linux, a cache and a reproducer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.linux = FakeLinux(path / "linux")
        (path / "crash.sh").write_text("true\n")

    def grow(self, count: int, title: str) -> None:
        """Commits of a file that no build reads."""
        for n in range(count):
            self.linux.commit(f"{title} {n}", {f"lib/{title}.c": f"int {title}{n};\n"})

    def play(self, title: str, word: str, *, configured: str = "") -> str:
        return self.linux.commit(title, {"init/main.c": MAIN + plays(word, configured=configured)})

    def change(self, title: str) -> str:
        """A commit that changes the kernel, and not what it plays."""
        return self.linux.commit(title, {"include/linux/more.h": f"/* {title} */\n"})

    def pytest(self, *words: str, played: bool = True, bare: bool = False, **environment: str) -> Done:
        """`played`: guests are. `bare`: with no arguments but `words`."""
        command = [sys.executable, "-m", "pytest"]
        if not bare:
            command += ["-p", "played_guests"] if played else []
            command += [f"--kbisect-kernel={self.linux.path}", f"--kbisect-cache={self.path / 'cache'}"]
        command += words
        paths = [str(HERE), str(HERE.parent)]
        paths += filter(None, [os.environ.get("PYTHONPATH"), environment.pop("PYTHONPATH", "")])
        own = {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cacheprovider --assert=plain",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        done = subprocess.run(
            command,
            cwd=self.path,
            env={**os.environ, **own, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def bisect(self, *words: str, to: str = "result", **environment: str) -> Done:
        """Of the range from the first commit to HEAD, where `words` name no other."""
        range_ = (
            []
            if any("--kbisect-range" in word for word in words)
            else [f"--kbisect-range={self.linux.base}..HEAD"]
        )
        tests = [] if any("::" in word or word.endswith((".sh", ".py")) for word in words) else ["crash.sh"]
        return self.pytest(*range_, f"--kbisect-dir={to}", *words, *tests, **environment)

    def result(self, of: str = "result") -> dict[str, Any]:
        """What result.json says; it is checked against the schema in the reference."""
        result: dict[str, Any] = json.loads((self.path / of / "result.json").read_text())
        jsonschema.validate(result, SCHEMA)
        return result

    def journal(self, of: str = "result") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / of / "journal.jsonl").read_text().splitlines()]
