"""What a run comes to by the symptoms that its reproducer states: an error, or none for a good run.

A reproducer that states nothing looks for crashes, and the console alone judges its runs.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from pytest_kbisect import properties, reproducers
from pytest_kbisect.errors import InfraError, KernelCrash, SilentRun, SymptomShown
from pytest_kbisect.session.several import asked_of
from pytest_kbisect.symptoms import BootFailure, BuildFailure, RunRecord, Stage
from pytest_kbisect.symptoms.symptom import CRASH_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pytest

    from pytest_kbisect.errors import BootError, BuildError
    from pytest_kbisect.guest.vm import Guest
    from pytest_kbisect.symptoms import Judgement, Symptom, SymptomReport

_CLEARED = 20
"""Titles of failures that a run has ruled out, and nobody asks for, that are kept."""


def stated(item: pytest.Item) -> tuple[Symptom, ...]:
    """The symptoms that a test looks for; none where these are crashes only, which the console judges."""
    symptoms = reproducers.symptoms_of(item)
    return () if all(symptom.kind == CRASH_NAME for symptom in symptoms) else symptoms


def of_build(item: pytest.Item, error: BuildError) -> SymptomShown | None:
    """What a build that failed is a symptom of; None where nobody looks for that."""
    cause = error.cause or (str(error),)
    return _shown(stated(item), RunRecord(name=_name(item), build_failure=BuildFailure(cause)))


def of_boot(item: pytest.Item, error: BootError, console: Path) -> SymptomShown | None:
    """What a boot that failed is a symptom of; None where nobody looks for that."""
    from pytest_kbisect.crash import parse_console

    symptoms = stated(item)
    if not symptoms:
        return None
    said = console.read_bytes() if console.exists() else error.console.encode()
    record = RunRecord(
        name=_name(item),
        console=said.decode("utf-8", "replace"),
        boot_reports=parse_console(said),
        boot_failure=BootFailure(error.kind, str(error.args[0])),
    )
    return _shown(symptoms, record)


def of_guest(item: pytest.Item, guest: Guest) -> SymptomShown | None:
    """What the boot of a guest that is up has shown, where its run would show no more."""
    symptoms = stated(item)
    if any(symptom.stage is Stage.RUN for symptom in symptoms):
        return None
    return _shown(symptoms, RunRecord(name=_name(item), boot_reports=guest.boot_reports))


def of_run(item: pytest.Item, guest: Guest, error: Exception | None) -> BaseException | None:
    """What a run is that has ended in this error; None where it is good.

    A failed assertion of a Python test counts by itself, and what the host failed of stays that.
    """
    symptoms = stated(item)
    if not symptoms:
        return error
    crash = error if isinstance(error, KernelCrash) else None
    looked_for = any(symptom.kind == CRASH_NAME for symptom in symptoms)
    if crash and not looked_for and crash.whole and crash.__cause__ is not None:
        return crash.__cause__  # the test's own words: the crash is not what it looks for
    if error is not None and crash is None and not _may_show_more(error):
        return error
    record = _record(item, guest, crash)
    judgements = [symptom.judge(record) for symptom in symptoms]
    shown = _together(judgements)
    cleared = _worth_keeping(judgements, asked_of(item).expect)
    if crash and looked_for:
        crash.shown = tuple(one for one in shown if one.symptom != CRASH_NAME)
        return crash
    if shown:
        return SymptomShown(shown, cleared=cleared)
    if error is not None and crash is None:
        return error
    if silent := [judgement.silent for judgement in judgements if judgement.silent]:
        if unknown := next((judgement.unknown for judgement in judgements if judgement.unknown), ""):
            return SilentRun(unknown, unknown=True)
        if crash and record.fatal:
            crash.looked_for = False
            return crash
        return SilentRun("; ".join(dict.fromkeys(silent)), cleared=cleared)
    item.user_properties += [(properties.CLEARED, title) for title in cleared]
    item.user_properties += [
        (properties.METRIC, json.dumps(asdict(judgement.measured)))
        for judgement in judgements
        if judgement.measured
    ]
    return None


def _may_show_more(error: Exception) -> bool:
    """Whether a run may be bad all the same: the reproducer says that it could not do all of its work."""
    return isinstance(error, InfraError) and error.kind == reproducers.CANNOT_TEST


def _record(item: pytest.Item, guest: Guest, crash: KernelCrash | None) -> RunRecord:
    ended = item.stash.get(reproducers.ENDED, None)
    runs_program = reproducers.runs_program(item)
    return RunRecord(
        name=_name(item),
        exit_status=ended.exit_status if ended else None,
        timed_out=ended is not None and ended.timed_out,
        seconds=reproducers.timeout_of(item),
        stdout=ended.stdout if ended else guest.printed,
        stderr=ended.stderr if ended else "",
        console=guest.console.bytes().decode("utf-8", "replace"),
        boot_reports=guest.boot_reports,
        crashes=crash.reports if crash else (),
        fatal=crash is not None and (ended is None if runs_program else not crash.whole),
    )


def _name(item: pytest.Item) -> str:
    return (
        item.path.stem if reproducers.is_reproducer_file(item) else getattr(item, "originalname", item.name)
    )


def _together(judgements: Iterable[Judgement]) -> tuple[SymptomReport, ...]:
    return tuple(report for judgement in judgements for report in judgement.shown)


def _shown(symptoms: Iterable[Symptom], record: RunRecord) -> SymptomShown | None:
    shown = _together(symptom.judge(record) for symptom in symptoms)
    return SymptomShown(shown) if shown else None


def _worth_keeping(judgements: Iterable[Judgement], wanted: Sequence[str]) -> tuple[str, ...]:
    """What the run has ruled out: all that a bisection looks for, and some of the rest."""
    cleared = list(dict.fromkeys(title for judgement in judgements for title in judgement.cleared))
    rest = [title for title in cleared if title not in wanted]
    return (*(title for title in cleared if title in wanted), *rest[:_CLEARED])
