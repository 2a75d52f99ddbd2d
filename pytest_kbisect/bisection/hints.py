"""What speaks for a commit beforehand, gathered: files of the crash's stack, files the build reads.

The numbers are made of it in `priors`; here the tree is asked, once a bisection. What was found goes
into the journal, so that a resumed bisection weighs the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_kbisect.crash.guilty import is_called_by_all
from pytest_kbisect.crash.stack import frame_names, function_name
from pytest_kbisect.kernel.definitions import files_defining
from pytest_kbisect.kernel.tree import Change
from pytest_kbisect.strategies.bayes.priors import read_files, weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_kbisect.history.ancestry import Weights
    from pytest_kbisect.history.candidates import History
    from pytest_kbisect.kernel.sources import Sources
    from pytest_kbisect.kernel.tree import LinuxTree

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_DEEPEST = 16
"""Frames of a stack that are looked at: below them is how the kernel was entered."""


def stack_functions(report: str, frame: str = "") -> tuple[str, ...]:
    """The functions of a crash's stacks, the one it is titled by first."""
    names: dict[str, None] = {function_name(frame): None} if frame else {}
    for line in report.splitlines():
        for name in frame_names(line):
            if len(names) < _DEEPEST:
                names.setdefault(name)
    return tuple(names)


def stack_files(tree: LinuxTree, commit: str, functions: Sequence[str], sources: Sources) -> frozenset[str]:
    """The files, among those that the build reads, which define the stack's functions.

    Files that every crash passes through (traps, locks, allocators) say nothing and are left out, but
    for that of the first function, by which the crash is titled.
    """
    found = files_defining(tree, commit, functions, sorted(sources.targets))
    common = sorted(path for path in found if is_called_by_all(path))
    return found - frozenset(common) | files_defining(tree, commit, functions[:1], common)


def prior(
    tree: LinuxTree,
    good: str,
    history: History,
    stack: frozenset[str],
    sources: Sources,
    *,
    first_parent: bool = False,
) -> Weights:
    """The prior of each commit of the history, from the files it touches."""
    bad = history.commits[history.bad_end]
    touched = read_files(tree.files_text(good, bad, first_parent=first_parent))
    read = {
        path for paths in touched.values() for path in paths if sources.matters(Change(path, in_place=False))
    }
    return weights(history.commits, touched, stack=stack, read=read)


def to_note(prior: Weights, stack: Iterable[str]) -> dict[str, Any]:
    """A prior for the journal: it has few different values, each commit names its own by a digit."""
    levels, of = np.unique(prior, return_inverse=True)
    return {"stack": sorted(stack), "levels": levels.tolist(), "of": "".join(_DIGITS[i] for i in of.tolist())}


def from_note(note: Mapping[str, Any] | None, commits: int) -> Weights | None:
    """The prior that `to_note` wrote; None where there is none, or not of a history of so many commits."""
    if not note or not note.get("levels") or len(note["of"]) != commits:
        return None
    levels = np.array(note["levels"])
    found: Weights = levels[[_DIGITS.index(digit) for digit in note["of"]]]
    return found
