"""The symptom `console REGEX`: a line that the kernel has printed matches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.symptoms.console_text import kernel_lines
from pytest_kbisect.symptoms.symptom import Judgement, RunRecord, Stage, SymptomReport, cut_off

if TYPE_CHECKING:
    from re import Pattern

NAME: Final = "console"
_AROUND: Final = 10
"""Lines that are shown before and after the first one that matches."""


@dataclass(frozen=True, slots=True)
class ConsoleMessage:
    """Bad is a line of the console, from the boot on, in which the pattern is found.

    The pattern is what the failure is known by: lines that match it may differ.
    """

    pattern: Pattern[str]
    kind = NAME
    stage = Stage.RUN
    own_boot = False

    def judge(self, run: RunRecord) -> Judgement:
        lines = kernel_lines(run.console)
        for number, line in enumerate(lines):
            if self.pattern.search(line):
                text = "\n".join(lines[max(0, number - _AROUND) : number + _AROUND + 1])
                title = f"console: /{self.pattern.pattern}/"
                return Judgement((SymptomReport(title, NAME, f"console: {line.strip()}", text=text),))
        return Judgement(silent="" if run.timed_out else cut_off(run))


class _Kind:
    name = NAME

    def parse(self, argument: str) -> ConsoleMessage:
        if not argument:
            raise ValueError("it needs a regular expression: write console REGEX")
        try:
            return ConsoleMessage(re.compile(argument))
        except re.error as error:
            raise ValueError(f"{argument!r} is no regular expression: {error}") from None


CONSOLE: Final = _Kind()
