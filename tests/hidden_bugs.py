"""Histories of real kernels in which something stands before the bug: another warning, an oops, a refusal.

Each commit changes one line of one file, so that a kernel is built in seconds, and no two are the same. The
bug is reached by one prctl(); what stands before it in a part of the history is in a function of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linux_commits import Linux

FILE = "kernel/sys.c"
TITLE = "WARNING in kbx_store"
"""Of the bug's report."""

_ANCHOR = "\nSYSCALL_DEFINE5(prctl, int, option,"
_CASE = "\tcase PR_GET_PDEATHSIG:\n"
_CODE = """
static unsigned long kbx_value;

static noinline void kbx_store(unsigned long value)
{{
	WARN_ON({bug});
	kbx_value = value + {revision};
}}

static noinline long kbx_check(unsigned long value)
{{
	{hides}
	return value ? 0 : -EINVAL;
}}

static noinline long kbx_control(unsigned long value)
{{
	long error = kbx_check(value);

	if (error)
		return error;
	kbx_store(value);
	return kbx_value & 1;
}}
"""
REPRODUCER = """\
// kbisect-timeout: 10
#include <sys/prctl.h>

int main(void)
{
	prctl(0x6b6278, 7UL, 0UL, 0UL, 0UL);
	return 0;
}
"""


class Hides(StrEnum):
    """What stands before the bug, as a statement that a prctl() of 7 comes to."""

    WARNING = "WARN_ON(value == 7);"
    OOPS = "BUG_ON(value == 7);"
    REFUSAL = "if (value == 7) return -EPERM;"


@dataclass(frozen=True, slots=True)
class Plan:
    """Of so many `commits`, counted from 0, the bug comes in with the `culprit`.

    It is hidden from the first of the commits `hidden` up to the last, that one not included.
    """

    commits: int
    culprit: int
    hidden: tuple[int, int]
    hides: Hides

    def source(self, base: str, number: int) -> str:
        """The file at a commit; -1 is the one before the first."""
        bug = "value == 7" if number >= self.culprit else "value == 8"
        start, end = self.hidden
        hides = self.hides if start <= number < end else "barrier();"
        code = _CODE.format(bug=bug, hides=hides, revision=number + 1)
        for anchor in (_ANCHOR, _CASE):
            assert base.count(anchor) == 1, anchor
        case = f"\tcase 0x6b6278:\n\t\treturn kbx_control(arg2);\n{_CASE}"
        return base.replace(_ANCHOR, code + _ANCHOR).replace(_CASE, case)


def make(linux: Linux, plan: Plan) -> list[str]:
    """The history: the hashes of its good end and of all commits, in order; on no branch."""
    base = linux.read(FILE)
    return linux.line(
        (f"prctl: revision {number + 1}", FILE, plan.source(base, number))
        for number in range(-1, plan.commits)
    )
