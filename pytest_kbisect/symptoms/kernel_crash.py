"""The symptom `crash`: the console shows a crash. It is the default, and the console has judged already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pytest_kbisect.symptoms.symptom import CRASH_NAME, Judgement, RunRecord, Stage, SymptomReport, cut_off


@dataclass(frozen=True, slots=True)
class KernelCrashes:
    """Bad is any crash; which of them is the bug, the reference says."""

    kind = CRASH_NAME
    stage = Stage.RUN
    own_boot = False

    def judge(self, run: RunRecord) -> Judgement:
        if run.crashes:
            reports = (
                SymptomReport(crash.title, CRASH_NAME, alt_titles=crash.alt_titles) for crash in run.crashes
            )
            return Judgement(tuple(reports))
        return Judgement(silent="" if run.timed_out else cut_off(run))


class _Kind:
    name = CRASH_NAME

    def parse(self, argument: str) -> KernelCrashes:
        if argument:
            raise ValueError("it takes no argument: name a title in a line kbisect-crash: TITLE")
        return KernelCrashes()


CRASH: Final = _Kind()
