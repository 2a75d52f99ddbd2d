"""The symptom `boot`: the kernel does not come up, or crashes on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.symptoms.identity import of_words
from pytest_kbisect.symptoms.symptom import Judgement, RunRecord, Stage, SymptomReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_kbisect.crash import CrashReport

NAME: Final = "boot"
_FOLLOWS: Final = re.compile(
    r"(?:kernel )?panic: .*(?:Fatal exception|Attempted to kill|panic_on_|hung_task)"
)
"""A panic's own words where a report before it says why."""


@dataclass(frozen=True, slots=True)
class BootFails:
    """Bad is a kernel in which no command can be run, or that reports a crash before one can."""

    kind = NAME
    stage = Stage.BOOT
    own_boot = True

    def judge(self, run: RunRecord) -> Judgement:
        if run.build_failure:
            return Judgement(silent="the commit does not build")
        failure, reports = run.boot_failure, run.boot_reports
        if failure is None and not reports:
            return Judgement()
        kind = failure.kind if failure else "crash"
        last = _telling(reports)
        if last is not None:
            title = f"boot {kind}: {last.title}"
            alt_titles = tuple(f"boot {kind}: {other}" for other in last.alt_titles)
            return Judgement((SymptomReport(title, NAME, alt_titles=alt_titles, text=last.report),))
        assert failure is not None
        words = failure.words.removeprefix("boot failed: ")
        report = SymptomReport(
            f"boot {kind}: {of_words(words)}", NAME, f"boot {kind}: {words}", text=run.console
        )
        return Judgement((report,))


def _telling(reports: Sequence[CrashReport]) -> CrashReport | None:
    """The last report but those that only say that an earlier one was the end; None without any."""
    return next(
        (one for one in reversed(reports) if not _FOLLOWS.match(one.title)), reports[-1] if reports else None
    )


class _Kind:
    name = NAME

    def parse(self, argument: str) -> BootFails:
        if argument:
            raise ValueError("it takes no argument: remove what follows it")
        return BootFails()


BOOT: Final = _Kind()
