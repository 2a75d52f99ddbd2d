"""How a test's result is reported: its outcome as properties, its failure by the error's message alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import ReprExceptionInfo, ReprFileLocation, ReprTracebackNative

from pytest_kbisect import properties
from pytest_kbisect.crash import CrashReport
from pytest_kbisect.crash.fatality import Fatality, fatality
from pytest_kbisect.errors import (
    BootError,
    BuildError,
    GuestError,
    HostError,
    KbisectError,
    KernelCrash,
    SilentRun,
    SymptomShown,
    UsageError,
)
from pytest_kbisect.evidence.outcome import UNKNOWN, Outcome
from pytest_kbisect.guest.ssh import CommandTimeoutError
from pytest_kbisect.reproducers import ReproducerFile
from pytest_kbisect.session import several
from pytest_kbisect.stash import session_of
from pytest_kbisect.symptoms.identity import of_words
from pytest_kbisect.symptoms.symptom import CRASH_NAME, OTHER_NAME, TEST_NAME, SymptomReport

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEST, _TEST_FAILED = "TEST", "test failed: "
"""Type and beginning of the title of a failure that a test's own expectation is the reason of."""


def tell(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Add the outcome of this phase to the test's properties, and tell a bisection of it at once."""
    before = dict(item.user_properties)
    _tell(item, call)
    after = dict(item.user_properties)
    if properties.RUN in after and properties.OUTCOME in after and properties.OUTCOME not in before:
        event = {"outcome": after[properties.OUTCOME], "title": after.get(properties.TITLE, "")}
        session_of(item.config).events.tell(event)


def _tell(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    if call.excinfo is None:
        if call.when == "call":
            _add(item, properties.OUTCOME, "ok")
        return
    error = call.excinfo.value
    if isinstance(error, pytest.skip.Exception):
        return
    if isinstance(error, KernelCrash) or dict(item.user_properties).get(properties.OUTCOME) == "ok":
        _forget_what_was_no_crash(item)
    if isinstance(error, KernelCrash):
        _add(item, properties.OUTCOME, Outcome.CRASHED)
        _tell_crash(item, error, failed=_own_failure(item, call), whole=error.whole and not error.__cause__)
        _stop_if_waited_for(item, error.reports, "a run crashed, as was waited for")
    elif isinstance(error, SymptomShown):
        _tell_symptoms(item, error)
        _stop_if_waited_for(item, error.reports, "a run failed, as was waited for")
    elif isinstance(error, SilentRun):
        _add(item, properties.OUTCOME, Outcome.SILENT)
        _add(item, properties.TITLE, _first_line(error))
        _add(item, properties.CRASH_TYPE, UNKNOWN if error.unknown else "")
        item.user_properties += [(properties.CLEARED, title) for title in error.cleared]
    elif isinstance(error, BootError):
        _add(item, properties.OUTCOME, "boot-failed")
        _add(item, properties.TITLE, error.args[0].removeprefix("boot failed: "))
    elif isinstance(error, BuildError):
        _add(item, properties.OUTCOME, "build-failed")
        _add(item, properties.TITLE, str(error))
    elif isinstance(error, UsageError | HostError):
        _add(item, properties.OUTCOME, "infra-failed")
        _add(item, properties.USAGE, str(error))
        if isinstance(error, HostError) or not several.end(item):
            _add(item, properties.STOPPED, "1" if isinstance(error, HostError) else "")
            item.session.shouldstop = str(error).partition("\n")[0]
    elif isinstance(error, CommandTimeoutError) or (
        call.when == "call" and not isinstance(error, KbisectError) and _expects_something(item)
    ):
        # The test's own expectation failed: to the test this kernel is bad, console or not.
        _add(item, properties.OUTCOME, Outcome.FAILED)
        said = f"{_TEST_FAILED}{_first_line(error)}"
        _add(item, properties.TITLE, of_words(said))
        _add(item, properties.SAID, said)
        _add(item, properties.CRASH_TYPE, _TEST)
        _add(item, properties.SYMPTOM, TEST_NAME)
    else:
        _add(item, properties.OUTCOME, "infra-failed")
        _add(item, properties.TITLE, _first_line(error))


def _own_failure(item: pytest.Item, call: pytest.CallInfo[Any]) -> str:
    """What a test itself failed by, in a run of which the console says more; "" where it did not."""
    assert call.excinfo is not None
    cause = call.excinfo.value.__cause__
    if cause is None or call.when != "call" or not _expects_something(item):
        return ""
    own = isinstance(cause, CommandTimeoutError) or not isinstance(cause, KbisectError)
    return _first_line(cause) if own and not isinstance(cause, pytest.skip.Exception) else ""


def _expects_something(item: pytest.Item) -> bool:
    """Whether the test may fail by its own words; a C or shell file has none, a plugin has failed it."""
    return item.getparent(ReproducerFile) is None


def _forget_what_was_no_crash(item: pytest.Item) -> None:
    """A test that went well may crash the kernel while its fixtures clean up, or they may fail at that."""
    if dict(item.user_properties).get(properties.OUTCOME) not in {Outcome.CRASHED, Outcome.FAILED}:
        own = (properties.OUTCOME, properties.TITLE)
        item.user_properties[:] = [one for one in item.user_properties if one[0] not in own]


def _stop_if_waited_for(item: pytest.Item, reports: Iterable[CrashReport | SymptomReport], why: str) -> None:
    """Make no more runs if the bisection wants none of this commit after one of these reports."""
    titles = several.asked_of(item).stop
    if titles is None:
        return
    shown = ({report.title, *report.alt_titles} for report in reports)
    if any(not titles or not names.isdisjoint(titles) for names in shown) and not several.end(item):
        item.session.shouldstop = why


def _first_line(error: BaseException) -> str:
    words = str(error.args[0] if isinstance(error, GuestError) else error).strip().partition("\n")[0]
    return words or type(error).__name__


def _tell_crash(item: pytest.Item, crash: KernelCrash, *, failed: str, whole: bool) -> None:
    report = crash.report
    if properties.TITLE not in dict(item.user_properties):
        for title in report.alt_titles:
            item.user_properties.append((properties.ALT_TITLE, title))
    _add(item, properties.TITLE, report.title)
    _add(item, properties.CRASH_TYPE, report.type)
    _add(item, properties.FRAME, report.frame)
    titles = [one.title for one in crash.reports]
    # What is reported a hundred times has its text once.
    shown = [_as_json(one, text=one.title not in titles[:i]) for i, one in enumerate(crash.reports)]
    if not crash.looked_for:
        shown = [_as_json(one, symptom=OTHER_NAME) for one in crash.reports]
        _add(item, properties.SYMPTOM, OTHER_NAME)
    if failed and all(fatality(one) is Fatality.NONE for one in crash.reports):  # else that is why it failed
        said = f"{_TEST_FAILED}{failed}"
        own_failure = CrashReport(of_words(said), type=_TEST)
        shown.append(_as_json(own_failure, symptom=TEST_NAME, said=said))
    shown += map(_symptom_as_json, crash.shown)
    # All that a run has shown, where a fixture's clean-up shows more.
    own = (properties.REPORT, properties.WHOLE)
    item.user_properties[:] = [one for one in item.user_properties if one[0] not in own]
    item.user_properties += [(properties.REPORT, text) for text in shown]
    if whole:
        item.user_properties.append((properties.WHOLE, "1"))
    _add(item, properties.CUT_SHORT, crash.setting)


def _tell_symptoms(item: pytest.Item, error: SymptomShown) -> None:
    """Add what a run has shown that is no crash."""
    first = error.reports[0]
    _add(item, properties.OUTCOME, Outcome.FAILED)
    _add(item, properties.TITLE, first.title)
    _add(item, properties.SAID, first.said)
    _add(item, properties.CRASH_TYPE, first.type)
    _add(item, properties.SYMPTOM, first.symptom)
    item.user_properties += [(properties.REPORT, _symptom_as_json(one)) for one in error.reports]
    item.user_properties += [(properties.CLEARED, title) for title in error.cleared]


def _as_json(report: CrashReport, *, text: bool = True, symptom: str = CRASH_NAME, said: str = "") -> str:
    facts = {"title": report.title, "alt_titles": report.alt_titles, "type": report.type}
    facts |= {"frame": report.frame, "text": report.report if text else "", "symptom": symptom, "said": said}
    return json.dumps(facts)


def _symptom_as_json(report: SymptomReport) -> str:
    crash = CrashReport(report.title, report.alt_titles, report.type, report=report.text)
    return _as_json(crash, symptom=report.symptom, said=report.said)


def _add(item: pytest.Item, name: str, text: str) -> None:
    """Properties are told once: the first phase that fails says what happened."""
    if text and name not in dict(item.user_properties):
        item.user_properties.append((name, str(text)))


def worded(report: pytest.TestReport, call: pytest.CallInfo[Any]) -> pytest.TestReport:
    """Replace the traceback of an error of ours by its message, which says what to do."""
    if call.excinfo is None or not isinstance(call.excinfo.value, KbisectError):
        return report
    error = call.excinfo.value
    text = str(error)
    if isinstance(error, BuildError) and error.cause:
        more = [line for line in error.cause if line not in text]
        text = "\n".join([text, *more, f"whole log: {error.log}"])
    path, line, _ = report.location
    message = _first_line(error)
    console = dict(report.user_properties).get(properties.CONSOLE)
    if console and isinstance(error, KernelCrash | GuestError):
        report.sections.append(("kernel console", f"the whole console: {console}"))
    if isinstance(error, SymptomShown):
        report.when = "call"  # to JUnit a failure, also of a boot or a build
    if isinstance(error, GuestError) and not isinstance(error, CommandTimeoutError):
        report.when = "setup"  # to JUnit an error: the guest failed, and not the kernel under test
    report.longrepr = ReprExceptionInfo(
        reprtraceback=ReprTracebackNative([f"{text}\n"]),
        reprcrash=ReprFileLocation(path, (line or 0) + 1, message),
    )
    return report
