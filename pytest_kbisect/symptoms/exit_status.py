"""The symptom `exit-status`: the reproducer's program ends with another exit status than 0.

The statuses are those of `git bisect run`: 125 says that this kernel cannot be tested. A program that a
signal ends has 128 and the signal's number, as a shell has it.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

from pytest_kbisect.symptoms.symptom import Judgement, RunRecord, Stage, SymptomReport, cut_off

NAME: Final = "exit-status"
SILENT: Final = 125
CANNOT_RUN: Final = (126, 127)
"""A shell's exit statuses for a program that it cannot run, or that is not there."""
_BY_SIGNAL: Final = 128
_LAST_LINES: Final = 50


def in_words(status: int) -> str:
    """An exit status, or the signal that it stands for."""
    number = status - _BY_SIGNAL
    if number > 0:
        try:
            return f"killed by {signal.Signals(number).name}"
        except ValueError:
            pass
    return f"exit status {status}"


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """Bad is each exit status but 0 and 125."""

    kind = NAME
    stage = Stage.RUN
    own_boot = False

    def judge(self, run: RunRecord) -> Judgement:
        if run.exit_status is None:
            return Judgement(silent=cut_off(run) or "the run has no exit status")
        if run.exit_status == SILENT:
            return Judgement(silent=f"{run.name} says that it cannot test this kernel: exit status {SILENT}")
        if not run.exit_status:
            return Judgement()
        output = "\n".join(filter(None, [run.stdout.rstrip(), run.stderr.rstrip()]))
        text = "\n".join(output.splitlines()[-_LAST_LINES:])
        return Judgement((SymptomReport(f"{run.name}: {in_words(run.exit_status)}", NAME, text=text),))


class _Kind:
    name = NAME

    def parse(self, argument: str) -> ExitStatus:
        if argument:
            raise ValueError("it takes no argument: remove what follows it")
        return ExitStatus()


EXIT_STATUS: Final = _Kind()
