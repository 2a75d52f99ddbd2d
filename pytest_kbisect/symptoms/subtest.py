"""The symptom `subtest PATTERN`: a KUnit or kselftest subtest that matches is `not ok`."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from pytest_kbisect.symptoms.console_text import kernel_lines
from pytest_kbisect.symptoms.identity import of_name
from pytest_kbisect.symptoms.ktap import Result, Subtest, read
from pytest_kbisect.symptoms.symptom import Judgement, RunRecord, Stage, SymptomReport, cut_off

NAME: Final = "subtest"
_LISTED: Final = 20
"""Names that a message lists."""
_AROUND: Final = 20
"""Lines that are shown before a subtest that failed: it says there why."""


def _title(subtest: Subtest) -> str:
    return f"not ok: {of_name(subtest.name)}"


@dataclass(frozen=True, slots=True)
class FailedSubtest:
    """Bad is a subtest that is not ok, of those that `pattern` matches.

    The pattern is a shell's, of a whole name: a test's own, or that with its parents' before it and dots
    between.
    """

    pattern: str
    own_boot: bool = False
    """Whether the subtests run while the kernel boots."""
    kind = NAME
    stage = Stage.RUN

    def judge(self, run: RunRecord) -> Judgement:
        if run.build_failure or run.boot_failure:
            return Judgement(silent=cut_off(run))
        outputs = (run.stdout.splitlines(), kernel_lines(run.console))
        printed = [(subtest, lines) for lines in outputs for subtest in read(lines)]
        matching = [(subtest, lines) for subtest, lines in printed if self._matches(subtest)]
        if failed := _innermost([subtest for subtest, _ in matching if subtest.result is Result.NOT_OK]):
            shown = [_report(subtest, lines) for subtest, lines in matching if subtest in failed]
            return Judgement(tuple({one.title: one for one in shown}.values()), cleared=_cleared(matching))
        unknown = ""
        if not matching:
            silent = cut_off(run) or f"no subtest matches {self.pattern!r}"
            if run.whole:
                names = list(dict.fromkeys(subtest.name for subtest, _ in printed))
                more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
                listed = ", ".join(names[:_LISTED]) + more if names else "none"
                unknown = (
                    f"no subtest of {run.name} matches {self.pattern!r}: name one of those that it prints "
                    f"({listed})"
                )
            return Judgement(silent=silent, unknown=unknown)
        skipped = [subtest.name for subtest, _ in matching if subtest.result is Result.SKIP]
        if len(skipped) == len(matching):
            return Judgement(silent=f"skipped: {', '.join(skipped[:_LISTED])}")
        return Judgement(silent=cut_off(run), cleared=_cleared(matching))

    def _matches(self, subtest: Subtest) -> bool:
        tails = (subtest.path[at:] for at in range(len(subtest.path)))
        return any(fnmatchcase(".".join(tail), self.pattern) for tail in tails)


def _innermost(failed: list[Subtest]) -> list[Subtest]:
    """Those of which no subtest of their own has failed as well."""
    paths = [one.path for one in failed]
    return [
        one
        for one in failed
        if not any(len(path) > len(one.path) and path[: len(one.path)] == one.path for path in paths)
    ]


def _report(subtest: Subtest, lines: list[str]) -> SymptomReport:
    at = next((n for n, line in enumerate(lines) if line.strip() == subtest.line), 0)
    text = "\n".join(lines[max(0, at - _AROUND) : at + 1])
    return SymptomReport(_title(subtest), NAME, f"not ok: {subtest.name}", text=text)


def _cleared(matching: list[tuple[Subtest, list[str]]]) -> tuple[str, ...]:
    """Failures that these results rule out; what ran twice, and failed once, is none."""
    failed = {_title(subtest) for subtest, _ in matching if subtest.result is Result.NOT_OK}
    ok = dict.fromkeys(_title(subtest) for subtest, _ in matching if subtest.result is Result.OK)
    return tuple(title for title in ok if title not in failed)


class _Kind:
    name = NAME

    def parse(self, argument: str) -> FailedSubtest:
        if not argument:
            raise ValueError("it needs a pattern: write subtest NAME, or subtest '*' for all of them")
        return FailedSubtest(argument.strip("'\""))


SUBTEST: Final = _Kind()
