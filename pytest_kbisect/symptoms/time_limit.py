"""The symptom `timeout`: the reproducer has not ended within its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pytest_kbisect.symptoms.symptom import Judgement, RunRecord, Stage, SymptomReport, cut_off

NAME: Final = "timeout"


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Bad is a run that goes on for longer than it may."""

    kind = NAME
    stage = Stage.RUN
    own_boot = False

    def judge(self, run: RunRecord) -> Judgement:
        if run.timed_out:
            said = f"{run.name}: not ended after {run.seconds:g} s"
            return Judgement((SymptomReport(f"{run.name}: not ended in time", NAME, said, text=run.stdout),))
        return Judgement(silent=cut_off(run))


class _Kind:
    name = NAME

    def parse(self, argument: str) -> TimeLimit:
        if argument:
            raise ValueError("it takes no argument: write the seconds in a line kbisect-timeout: SECONDS")
        return TimeLimit()


TIMEOUT: Final = _Kind()
