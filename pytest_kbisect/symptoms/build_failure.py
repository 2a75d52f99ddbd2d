"""The symptom `build`: the commit does not build, or not without the message that is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.symptoms.identity import of_line
from pytest_kbisect.symptoms.symptom import Judgement, RunRecord, Stage, SymptomReport

if TYPE_CHECKING:
    from re import Pattern

NAME: Final = "build"


@dataclass(frozen=True, slots=True)
class BuildFails:
    """Bad is a commit that does not build; with a pattern, one of whose errors a line matches."""

    pattern: Pattern[str] | None = None
    kind = NAME
    stage = Stage.BUILD
    own_boot = False

    def judge(self, run: RunRecord) -> Judgement:
        if run.build_failure is None:
            return Judgement()
        cause = run.build_failure.cause
        lines = cause if self.pattern is None else tuple(filter(self.pattern.search, cause))
        if not lines:
            assert self.pattern is not None
            return Judgement(
                silent=f"the build fails without a line that matches {self.pattern.pattern!r}: {cause[0]}"
            )
        # Which of several errors make prints first depends on how many compilers run at a time.
        titles = list(dict.fromkeys(f"build: {of_line(line)}" for line in lines))
        report = SymptomReport(titles[0], NAME, f"build: {lines[0]}", tuple(titles[1:]), "\n".join(cause))
        return Judgement((report,))


class _Kind:
    name = NAME

    def parse(self, argument: str) -> BuildFails:
        if re.match(r"warning\b", argument):
            raise ValueError(
                "warnings of builds are not kept, because make compiles only what a commit changes: "
                "set CONFIG_WERROR=y with kbisect-config, and write build REGEX"
            )
        try:
            return BuildFails(re.compile(argument) if argument else None)
        except re.error as error:
            raise ValueError(f"{argument!r} is no regular expression: {error}") from None


BUILD: Final = _Kind()
