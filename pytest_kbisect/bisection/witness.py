"""Whether runs that do not crash came to the code the bug is in: else they prove little.

Half of syzbot's wrong bisections blame a commit because, before it, the reproducer no longer got to a
bug that was there all the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.bisection.hints import stack_functions
from pytest_kbisect.crash.frames import is_generic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.bisection.outcome import Run

WATCHED: Final = 3
"""Functions of the crash that are watched: the one it is titled by and its callers.

Further out is how the kernel is entered.
"""


@dataclass(frozen=True, slots=True)
class Witness:
    """What the runs at one commit executed of the crash's `functions`; `absent` are not in its kernel.

    All are empty where no run was watched. The order is that of the stack, the function the crash is
    titled by first.
    """

    functions: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def unreached(self) -> tuple[str, ...]:
        return tuple(name for name in self.functions if name not in self.reached + self.absent)

    @property
    def missing(self) -> str:
        """The innermost function that is there and that no run came to; "" where runs came to all.

        All are wanted: the innermost one alone may be called by many, the guest's own ssh among them.
        """
        return next(iter(self.unreached), "")


def watched_functions(crash: Run) -> tuple[str, ...]:
    """The functions of a crash to watch for: what it is titled by, then its callers."""
    functions = stack_functions(crash.report, crash.frame)
    if not functions:
        return ()
    trace = stack_functions(crash.report)
    callers = trace[trace.index(functions[0]) + 1 :] if functions[0] in trace else trace
    telling = dict.fromkeys([functions[0], *(name for name in callers if not is_generic(name))])
    return tuple(telling)[:WATCHED]


def witness_of(functions: Iterable[str], runs: Iterable[Run]) -> Witness:
    """What runs at one commit executed of these functions."""
    hit: set[str] = set()
    missed: set[str] = set()
    for run in runs:
        hit.update(run.reached)
        missed.update(run.unreached)
    if not hit | missed:
        return Witness()
    watched = tuple(functions)
    return Witness(
        watched,
        tuple(name for name in watched if name in hit),
        tuple(name for name in watched if name not in hit | missed),
    )
