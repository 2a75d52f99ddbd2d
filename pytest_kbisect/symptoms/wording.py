"""How reports speak of a symptom: a kernel crashes, a test fails, a commit does not build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.symptoms.boot_failure import NAME as BOOT
from pytest_kbisect.symptoms.build_failure import NAME as BUILD
from pytest_kbisect.symptoms.metric import NAME as METRIC
from pytest_kbisect.symptoms.symptom import CRASH_NAME

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Wording:
    """The words for one kind of failure.

    The `noun`; the verb, in its plain form, of a commit that has it and of one that has not, and of one that
    had it; `reproducer` begins a sentence about runs that had it.
    """

    noun: str
    plain: str
    has: str
    has_not: str
    had: str
    reproducer: str

    @property
    def have_not(self) -> str:
        """The plural of `has_not`."""
        for one, several in (("does ", "do "), ("is ", "are ")):
            if self.has_not.startswith(one):
                return self.has_not.replace(one, several, 1)
        return self.has_not


_CRASH: Final = Wording(
    "crash", "crash", "crashes", "does not crash", "crashed", "The reproducer crashed the kernel"
)
_FAILURE: Final = Wording("failure", "fail", "fails", "does not fail", "failed", "The reproducer failed")
_OTHERS: Final = {
    BOOT: Wording(
        "boot failure",
        "fail to boot",
        "fails to boot",
        "boots",
        "failed to boot",
        "The kernel failed to boot",
    ),
    BUILD: Wording(
        "build failure",
        "fail to build",
        "does not build",
        "builds",
        "did not build",
        "The commit did not build",
    ),
    METRIC: Wording(
        "slowdown", "be worse", "is worse", "is not worse", "measured worse", "The metric was worse"
    ),
}


def wording(symptom: str) -> Wording:
    """The words for a symptom."""
    return _CRASH if symptom == CRASH_NAME else _OTHERS.get(symptom, _FAILURE)


def wording_of(symptoms: Collection[str]) -> Wording:
    """The words for a bug that shows in these: those of one symptom, or those that fit all."""
    return wording(next(iter(symptoms))) if len(symptoms) == 1 else _FAILURE if symptoms else _CRASH
