"""What adds to an answer and cannot take it away: recipients, symbols, reports. A failure there is a note."""

from __future__ import annotations

import traceback
from itertools import takewhile
from pathlib import Path
from subprocess import CalledProcessError, TimeoutExpired
from typing import TYPE_CHECKING, TypeVar

from pytest_kbisect.errors import KbisectError
from pytest_kbisect.process import tail

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def attempt(what: str, step: Callable[[], T], instead: T, note: Callable[[str], None]) -> T:
    """What a step gives; where it fails, `instead`, and a note: `what` is missing, and why."""
    try:
        return step()
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is known
        note(f"{what}: {reason(error)}")
        return instead


def reason(error: Exception) -> str:
    """Why a step failed, in one line; of an error that nobody foresaw its type and place too."""
    if isinstance(error, KbisectError):
        return _first_line(str(error))
    if isinstance(error, OSError):
        words = error.strerror or str(error) or type(error).__name__
        return f"{words} ({error.filename})" if error.filename else words
    if isinstance(error, TimeoutExpired):
        return f"{_program(error.cmd)} has not ended after {error.timeout:g} s"
    if isinstance(error, CalledProcessError):
        said = tail(error.output or b"", 1)
        return f"{_program(error.cmd)} ended with exit status {error.returncode}{said and f' ({said})'}"
    *_, place = traceback.extract_tb(error.__traceback__)
    where = f"{Path(place.filename).name}, line {place.lineno}"
    return f"{type(error).__name__}: {_first_line(str(error))} (in {where}: please report this)"


def _program(command: object) -> str:
    """A command without its options."""
    words = map(str, command) if isinstance(command, list | tuple) else [str(command)]
    return " ".join(takewhile(lambda word: not word.startswith("-"), words))


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
