"""The symptom `metric NAME lower|higher`: a benchmark has become worse. No single run shows it.

A run leaves values behind, in lines `kbisect-metric: NAME VALUE` of its output. Whether a commit is bad is
decided where the values of all commits are known, by how well they fit those of each end of the range.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.symptoms.symptom import Judgement, Measurement, RunRecord, Stage, cut_off

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "metric"
HIGHER: Final = "higher"
LOWER: Final = "lower"
_LINE: Final = re.compile(r"^[ \t]*kbisect-metric:[ \t]+(\S+)(?:[ \t]+(\S+))?", re.MULTILINE)
_WANTED: Final = re.compile(rf"(\S+)\s+({LOWER}|{HIGHER})")
_LISTED: Final = 8
"""Names of metrics that a message lists at most."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Bad are commits at which the values of `name` are higher, or lower, than before."""

    name: str
    direction: str

    kind = NAME
    stage = Stage.RUN
    own_boot = False

    def judge(self, run: RunRecord) -> Judgement:
        why = cut_off(run)
        if not why and run.exit_status:
            why = f"{run.name} ended with exit status {run.exit_status}"
        if why:
            return Judgement(silent=why)
        values = []
        for name, text in _printed(run.stdout):
            if name == self.name:
                value = _number(text)
                if value is None:
                    words = f"kbisect-metric: {self.name} {text}".strip()
                    return _unusable(f"{words!r} has no finite number: print kbisect-metric: NAME VALUE")
                values.append(value)
        if not values:
            others = list(dict.fromkeys(name for name, _ in _printed(run.stdout)))
            has = f"only {', '.join(others[:_LISTED])}" if others else "no metric"
            return _unusable(
                f"{run.name} prints no line 'kbisect-metric: {self.name} VALUE', and {has}: print it, or name another"
            )
        return Judgement(measured=Measurement(f"{self.name} {self.direction}", tuple(values)))


def _unusable(why: str) -> Judgement:
    return Judgement(silent=why, unknown=why)


def _printed(text: str) -> Iterator[tuple[str, str]]:
    """The names and values that an output has; a value is "" where there is none."""
    for found in _LINE.finditer(text):
        yield found[1], found[2] or ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


class _Kind:
    name = NAME

    def parse(self, argument: str) -> Metric:
        found = _WANTED.fullmatch(argument)
        if not found:
            raise ValueError(
                "it needs a name and the direction that is bad: write metric NAME higher, or metric NAME lower"
            )
        return Metric(found[1], found[2])


METRIC: Final = _Kind()
