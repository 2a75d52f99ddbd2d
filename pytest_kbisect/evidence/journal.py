"""Every experiment, written down before the next one is chosen: what a bisection resumes from.

A file of JSON lines, appended and fsynced. The first line says what is bisected; a journal of
something else is refused. A last line cut short by a crash is dropped: its experiment is made again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

from pytest_kbisect.errors import UsageError
from pytest_kbisect.evidence.outcome import SKIPPED, CommitResult, Outcome, Report, Run
from pytest_kbisect.layout import EACH
from pytest_kbisect.symptoms.identity import of_words
from pytest_kbisect.symptoms.symptom import TEST_NAME as TEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_FORMAT = 1
_UNDONE: Final = "undone"
"""The kind of a line that takes an experiment back: its place among those that stand."""
_LATER: Final[Mapping[str, Any]] = {
    "crash": None,
    "included": None,
    "full_build": False,
    "modules": False,
    "tools": {},
    "compiler": None,
    "remedies": [],
    "bad_when": [],
    "patches": [],
    "cmdline": [],
    "qemu": [],
    "icount": False,
    "measured on": [],
    "ask": False,
    "each": False,
    "minimize": [False, False, None],
}
"""Facts that journals had not from the beginning, and what one without stands for; None: any."""
_CHOSEN: Final = {
    "compiler": "choose that one (--kbisect-cc, --kbisect-llvm), or ",
    "remedies": "--kbisect-no-remedies builds without, or ",
}
"""What helps where something else was chosen than the last time."""


class Journal:
    """The journal in a bisection's folder."""

    def __init__(self, path: Path, subject: Mapping[str, Any]) -> None:
        """Open or begin it. Raises UsageError where it belongs to another bisection."""
        self.path = path
        lines = read_records(path)
        _mend(path)
        self.records = standing(lines)
        self._tested = experiments(lines, path)
        self._notes = [record for record in lines[1:] if record.get("kind") not in {"tested", _UNDONE}]
        header = {"kind": "subject", "format": _FORMAT, **json.loads(json.dumps(dict(subject)))}
        if lines:
            _compare(lines[0], header, path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._append(header)

    @property
    def tested(self) -> tuple[CommitResult, ...]:
        """What was found so far, in order."""
        return tuple(self._tested)

    def add(self, tested: CommitResult, **facts: Any) -> None:
        """Write down one experiment, and why it was made; it is on disk when this returns."""
        record = {"kind": "tested", **facts, "tested": asdict(tested)}
        self._append(record)
        self.records.append(record)
        self._tested.append(tested)

    @property
    def answered(self) -> int | None:
        """The last record that a person has answered; None if there is none to take back."""
        places = range(len(self.records) - 1, -1, -1)
        return next((at for at in places if is_answer(self.records[at])), None)

    def undo(self) -> None:
        """Take the last answer of a person back; what was found without one stays."""
        at = self.answered
        if at is not None:
            self._append({"kind": _UNDONE, "record": at})
            del self.records[at], self._tested[at]

    def note(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Write down something else that later decisions rest on."""
        record = {"kind": kind, **facts}
        self._append(record)
        self._notes.append(record)

    def notes(self, kind: str) -> tuple[Mapping[str, Any], ...]:
        """The notes of a kind, in order."""
        return tuple(record for record in self._notes if record.get("kind") == kind)

    def noted(self, kind: str) -> Mapping[str, Any] | None:
        """The last note of a kind; None where there is none."""
        return next(reversed(self.notes(kind)), None)

    def _append(self, record: Mapping[str, Any]) -> None:
        left = memoryview(json.dumps(record).encode() + b"\n")
        with self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except BaseException as error:
                # A full disk takes a part of a line, and the next one must not follow that. A whole line
                # that Ctrl-C meets on its way to the disk stays.
                if left or isinstance(error, OSError):
                    file.truncate(before)
                raise


def read_records(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal; what was cut short at its end does not count."""
    return records_of(path.read_bytes(), path) if path.exists() else []


def records_of(raw: bytes, path: Path) -> list[dict[str, Any]]:
    """The same of what was read from `path`, which may be a pipe."""
    records = []
    for number, line in enumerate(raw[: raw.rfind(b"\n") + 1].splitlines(), 1):
        try:
            records.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            raise _no_line(path, number) from None
    return records


def require_single(subject: Mapping[str, Any], path: Path) -> None:
    """Raise UsageError for the common journal of several bisections: the experiments are in their own."""
    if subject.get("each"):
        raise UsageError(
            f"{path} is of several bisections: name the journal of one, {path.parent / EACH}/TEST/{path.name}"
        )


def standing(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of experiments, without those that were taken back."""
    found: list[dict[str, Any]] = []
    for record in records:
        if record.get("kind") == "tested":
            found.append(record)
        elif record.get("kind") == _UNDONE and record.get("record") in range(len(found)):
            del found[record["record"]]
    return found


def is_answer(record: Mapping[str, Any]) -> bool:
    """Whether a record of an experiment is what a person has answered, where a person is the test."""
    tested = record["tested"]
    return bool(tested["runs"]) or tested["build_error"] == SKIPPED


def experiments(records: Sequence[dict[str, Any]], path: Path) -> list[CommitResult]:
    """What a journal's records say was tested. Raises UsageError where one of them does not say it so."""
    numbers = {id(record): number for number, record in enumerate(records, 1)}
    found = []
    for record in standing(records):
        try:
            found.append(tested_of(record["tested"]))
        except (KeyError, TypeError, ValueError, AttributeError):  # another version's, or nobody's
            raise _no_line(path, numbers[id(record)]) from None
    return found


def _no_line(path: Path, number: int) -> UsageError:
    return UsageError(f"{path}:{number} is not a journal line: move the file away to start over")


def _mend(path: Path) -> None:
    """Take off what was cut short at the end: the next append must begin a line."""
    if path.exists():
        raw = path.read_bytes()
        if not raw.endswith(b"\n"):
            os.truncate(path, raw.rfind(b"\n") + 1)


def _compare(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    for key in wanted:
        known = found.get(key, _LATER.get(key))
        if known != wanted[key] and not (known is None and key in _LATER and key not in found):
            raise UsageError(
                f"{path} belongs to another bisection: its {key} is {_short(known)}, now it is "
                f"{_short(wanted[key])}; {_CHOSEN.get(key, '')}give another --kbisect-dir or move the folder away"
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


_LISTS: Final = (
    *("alt_titles", "reached", "unreached", "inlined", "absent", "idle", "cleared"),
    *("values", "code"),
)
"""Facts of a run that are lists; journals of older versions have not all of them."""


def tested_of(record: Mapping[str, Any]) -> CommitResult:
    """What was found, from the journal's words."""
    runs = tuple(
        Run(
            **{
                **run,
                **_identity_of(run),
                "outcome": Outcome(run["outcome"]),
                "reports": tuple(map(_report_of, run.get("reports", ()))),
                **{name: tuple(run.get(name, ())) for name in _LISTS},
            }
        )
        for run in record["runs"]
    )
    tested = CommitResult(**{**record, "runs": runs})
    _check_kinds(tested)
    for run in runs:
        _check_kinds(run)
        for report in run.reports:
            _check_kinds(report)
    return tested


def _report_of(record: Mapping[str, Any]) -> Report:
    return Report(**{**record, **_identity_of(record), "alt_titles": tuple(record.get("alt_titles", ()))})


def _identity_of(record: Mapping[str, Any]) -> dict[str, str]:
    """What a failed assertion is known by, where an older version wrote it down as it was said."""
    if record.get("type") != "TEST" or "symptom" in record:
        return {}
    title = str(record.get("title", ""))
    return {"title": of_words(title), "said": title, "symptom": TEST}


_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "str": str,
    "float": (float, int),
    "bool": bool,
    "dict[str, float]": dict,
}


def _check_kinds(one: CommitResult | Run | Report) -> None:
    """Raise TypeError where somebody's editor has put text for a number, or nothing for a name."""
    for field in fields(one):
        kind = _KINDS.get(str(field.type))
        if kind is not None and not isinstance(getattr(one, field.name), kind):
            raise TypeError(f"{field.name} is not {field.type}")
