"""A person's answer to "does this kernel show the bug?", and the runs that it counts as. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pytest_kbisect.evidence.outcome import SKIPPED, CommitResult, Outcome, Run

if TYPE_CHECKING:
    from pytest_kbisect.bisection.commit_request import CommitRequest

TITLE: Final = "the bug, as seen by a person"
"""Title of a run that showed it."""
TYPE: Final = "ASKED"

_OF = re.compile(r"(\d+)\s*(?:of|/)\s*(\d+)")
_MOST: Final = 10_000


class Word(StrEnum):
    """What a person can type besides `3 of 10`."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"
    UNDO = "undo"
    QUIT = "quit"


_SHORT: Final = {word.value[0]: word for word in Word}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. With `word` None the bug showed in `bad` of `tries`."""

    word: Word | None = None
    bad: int = 0
    tries: int = 0


def parse(text: str) -> Answer:
    """Read an answer. Raises ValueError, with what to type, for anything else."""
    said = text.strip().lower()
    if said in _SHORT or said in list(Word):
        return Answer(_SHORT.get(said) or Word(said))
    if found := _OF.fullmatch(said):
        bad, tries = int(found[1]), int(found[2])
        if not 0 < tries <= _MOST:
            raise ValueError(f"{tries} tries cannot be: write for example 3 of 10")
        if bad > tries:
            raise ValueError(
                f"{bad} of {tries} cannot be: write how many of all tries showed the bug, 3 of 10"
            )
        return Answer(bad=bad, tries=tries)
    raise ValueError("write good, bad, skip, 3 of 10, undo or quit")


def tried(answer: Answer, order: CommitRequest) -> tuple[int, int]:
    """How many tries showed the bug, and how many did not.

    A plain word counts for the tries that were asked for: good for all of them; bad for all, too, or for one
    where one is enough.
    """
    if answer.word is Word.GOOD:
        return 0, order.runs
    if answer.word is Word.BAD:
        return (order.runs if order.stop is None else 1), 0
    return answer.bad, answer.tries - answer.bad


def result_of(answer: Answer, order: CommitRequest, kernel: CommitResult, seconds: float) -> CommitResult:
    """What an answer says of a commit whose kernel was built. `seconds` is what the person took for it."""
    if answer.word is Word.SKIP:
        return replace(kernel, build_error=SKIPPED, test_seconds=seconds)
    bad, good = tried(answer, order)
    each = seconds / (bad + good)
    shown = Run(Outcome.CRASHED, title=TITLE, type=TYPE, seconds=each, signature=kernel.signature, whole=True)
    runs = (shown,) * bad + (Run(Outcome.OK, seconds=each, signature=kernel.signature),) * good
    return replace(kernel, runs=runs, test_seconds=seconds)
