"""A person at the terminal of a bisection that asks: reads what is printed, types answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from whole import Place

PROMPT = "quit> "
HERE = Path(__file__).parent
_ASKED = re.compile(r"kbisect: ([0-9a-f]{12}) (.*): (.*)\n(?:(?!kbisect: [0-9a-f]{12} )[\s\S])*\Z")


class Person:
    """Answers the questions of one process; `asked` are (commit, title, reason) of each."""

    def __init__(
        self, place: Place, *words: str, to: str = "result", bare: bool = False, **environment: str
    ) -> None:
        command = [sys.executable, "-m", "pytest", "--kbisect-ask", f"--kbisect-dir={to}", *words]
        if not bare:
            command += [f"--kbisect-kernel={place.linux.path}", f"--kbisect-cache={place.path / 'cache'}"]
            command += [f"--kbisect-range={place.linux.base}..HEAD"]
        own = {
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), environment.pop("PYTHONPATH", "")]),
            "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cacheprovider --assert=plain",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "PYTHONUNBUFFERED": "1",
        }
        self._process = subprocess.Popen(
            command,
            cwd=place.path,
            env={**os.environ, **own, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.out = ""
        self.asked: list[tuple[str, str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def question(self) -> str:
        """What is printed until the next prompt; "" once it has ended."""
        assert self._process.stdout is not None
        text = ""
        while byte := self._process.stdout.read(1):
            text += byte.decode("utf-8", "replace")
            if text.endswith(PROMPT):
                break
        self.out += text
        if not text.endswith(PROMPT):
            self._process.wait()
            return ""
        if found := _ASKED.search(text):
            self.asked.append((found[1], found[2], found[3]))
        return text

    def type(self, answer: str) -> None:
        assert self._process.stdin is not None
        self.out += f"{answer}\n"
        self._process.stdin.write(f"{answer}\n".encode())
        self._process.stdin.flush()

    def leave(self) -> int:
        """Close the terminal."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.question()
        return self._process.wait()

    def go_on(self, answer: Callable[[str, str], str]) -> int:
        """Answer all questions, by commit and title, to the end; the exit code."""
        while self.question():
            commit, title, _ = self.asked[-1]
            self.type(answer(commit, title))
        return self._process.wait()
