"""`--kbisect-into-merge`: the second step of a first-parent bisection, into the merge that was found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_kbisect.strategies.strategy import AnswerKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kbisect.bisection.search import Search
    from pytest_kbisect.kernel.tree import LinuxTree
    from pytest_kbisect.strategies.strategy import Answer

PHASE = "merge"
"""The phase of experiments in this step."""


@dataclass(frozen=True, slots=True)
class Outer:
    """The first step: its search, and the merge that it has found."""

    search: Search
    answer: Answer


def descend(
    search: Search,
    answer: Answer,
    tree: LinuxTree,
    *,
    begin: Callable[[str, str], Search],
    say: Callable[[str], None],
) -> tuple[Search, Answer, Outer | None]:
    """Search the commits that a merge has brought in, between its first parent and itself.

    `begin` makes the search between two commits. The merge stays the answer where that finds no better one.
    """
    if answer.kind is not AnswerKind.CULPRIT or answer.culprit is None:
        return search, answer, None
    merge = search.sha(answer.culprit)
    parents = tree.parents(merge)
    if len(parents) < 2:
        return search, answer, None
    say(f"# {merge[:12]} is a merge: on to the commits that it brought in")
    inner = begin(parents[0], merge)
    found = inner.run()
    if found.kind is AnswerKind.CULPRIT:
        found = replace(found, confidence=found.confidence * answer.confidence)
        return inner, found, Outer(search, answer)
    if found.kind is AnswerKind.CANDIDATES and found.candidates:
        return inner, found, Outer(search, answer)
    say(f"# {found.reason}: the merge stays the answer")
    return search, answer, None
