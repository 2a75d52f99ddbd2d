"""Whether runs that do not crash came to the code the bug is in: else they prove little.

Half of syzbot's wrong bisections blame a commit because, before it, the reproducer no longer got to a
bug that was there all the time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.frames import is_generic
from pytest_kbisect.crash.stack import function_name, stacks
from pytest_kbisect.evidence.outcome import Outcome
from pytest_kbisect.evidence.reference import Match, known_by, match_of
from pytest_kbisect.symptoms.symptom import CRASH_NAME as CRASH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_kbisect.evidence.outcome import Report, Run
    from pytest_kbisect.evidence.reference import Matcher, Reference

WATCHED: Final = 8
"""Functions of the crash that are watched: the one it is titled by and its callers."""
# Where a task enters the kernel, and where an interrupt found it: what is further out is not the crash's.
_ENTRY: Final = re.compile(
    r"(?:__(?:x64|ia32|arm64|riscv|s390x?|do|se)_(?:compat_)?)?sys_|do_syscall|entry_|invoke_syscall|el\d|ret_from_fork"
    r"|(?:asm_)?sysvec_|(?:asm_)?common_interrupt|irq_exit|do_softirq_own_stack|call_on_irq_stack|handle_exception"
)


@dataclass(frozen=True, slots=True)
class Witness:
    """What the runs at one commit executed of the crash's `functions`; `absent` are not in its kernel.

    All are empty where no run was watched. The order is that of the stack, the innermost first.
    """

    functions: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def unreached(self) -> tuple[str, ...]:
        return tuple(name for name in self.functions if name not in self.reached + self.absent)

    @property
    def missing(self) -> str:
        """The innermost function that is there and that no run came to; "" where runs came to all."""
        return next(iter(self.unreached), "")


def watched_functions(crash: Report | Run) -> tuple[str, ...]:
    """The functions of a crash to watch for: what it is titled by, then its callers up to the entry."""
    if crash.symptom != CRASH:
        return ()
    traces = stacks(crash.report.splitlines())
    first = function_name(crash.frame) or next(iter(traces[0]), "") if traces else function_name(crash.frame)
    if not first:
        return ()
    trace = next((trace for trace in traces if first in trace), traces[0] if traces else ())
    callers = trace[trace.index(first) + 1 :] if first in trace else trace
    inside = takewhile(lambda name: not _ENTRY.match(name), callers)
    telling = dict.fromkeys([first, *(name for name in inside if not is_generic(name))])
    return tuple(telling)[:WATCHED]


def path_of(runs: Sequence[Run], reference: Reference, matcher: Matcher) -> tuple[str, ...]:
    """The functions of a crash whose execution shows that a run came to its code, the innermost first.

    `runs` are of a commit that has the bug. Runs that crashed have executed them, and so have those that were
    watched and did not, where there are any: not those that are called only once all is lost. A guest in
    which no reproducer runs does not execute them. Empty as long as no run has shown all that.
    """
    crashed = [run for run in runs if run.outcome.shows_symptom]
    crashed = [run for run in crashed if match_of(run, reference, matcher) is Match.MATCH]
    looked_at = [run for run in crashed if run.idle]
    if not looked_at:
        return ()
    by_all = {name for run in runs for name in run.idle}
    stack = watched_functions(known_by(crashed[0], reference, matcher))
    path = [name for name in stack if name not in by_all and all(name in run.reached for run in looked_at)]
    calm = [run for run in runs if run.outcome is Outcome.OK and run.watched]
    return tuple(name for name in path if not calm or any(name in run.reached for run in calm))


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
