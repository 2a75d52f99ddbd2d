"""How a test's result is reported: its outcome as properties, its failure by the error's message alone."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from _pytest._code.code import ReprExceptionInfo, ReprFileLocation, ReprTracebackNative

from pytest_kbisect import properties, variables
from pytest_kbisect.errors import (
    BootError,
    BuildError,
    GuestError,
    HostError,
    KbisectError,
    KernelCrash,
    UsageError,
)
from pytest_kbisect.guest.ssh import CommandTimeoutError
from pytest_kbisect.reproducers import ReproducerFile
from pytest_kbisect.stash import session_of

if TYPE_CHECKING:
    from pytest_kbisect.crash import CrashReport


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
        _add(item, properties.OUTCOME, "crashed")
        _tell_crash(item, error.report)
        if _is_waited_for(error.report):
            item.session.shouldstop = "a run crashed, as was waited for"
    elif isinstance(error, BootError):
        _add(item, properties.OUTCOME, "boot-failed")
        _add(item, properties.TITLE, error.args[0].removeprefix("boot failed: "))
    elif isinstance(error, BuildError):
        _add(item, properties.OUTCOME, "build-failed")
        _add(item, properties.TITLE, str(error))
    elif isinstance(error, UsageError | HostError):
        _add(item, properties.OUTCOME, "infra-failed")
        _add(item, properties.USAGE, str(error))
        item.session.shouldstop = str(error).partition("\n")[0]
    elif isinstance(error, CommandTimeoutError) or (
        call.when == "call" and not isinstance(error, KbisectError) and _expects_something(item)
    ):
        # The test's own expectation failed: to the test this kernel is bad, console or not.
        _add(item, properties.OUTCOME, "crashed")
        _add(item, properties.TITLE, f"test failed: {_first_line(error)}")
        _add(item, properties.CRASH_TYPE, "TEST")
    else:
        _add(item, properties.OUTCOME, "infra-failed")
        _add(item, properties.TITLE, _first_line(error))


def _expects_something(item: pytest.Item) -> bool:
    """Whether the test may fail by its own words; a C or shell file has none, a plugin has failed it."""
    return item.getparent(ReproducerFile) is None


def _forget_what_was_no_crash(item: pytest.Item) -> None:
    """A test that went well may crash the kernel while its fixtures clean up, or they may fail at that."""
    if dict(item.user_properties).get(properties.OUTCOME) != "crashed":
        told = (properties.OUTCOME, properties.TITLE)
        item.user_properties[:] = [one for one in item.user_properties if one[0] not in told]


def _is_waited_for(report: CrashReport) -> bool:
    """Whether a bisection wants no more runs of this commit after this crash."""
    titles = os.environ.get(variables.STOP)
    if not titles:
        return False
    wanted = json.loads(titles)
    return not wanted or not {report.title, *report.alt_titles}.isdisjoint(wanted)


def _first_line(error: BaseException) -> str:
    words = str(error.args[0] if isinstance(error, GuestError) else error).strip().partition("\n")[0]
    return words or type(error).__name__


def _tell_crash(item: pytest.Item, report: CrashReport) -> None:
    _add(item, properties.TITLE, report.title)
    for title in report.alt_titles:
        _add(item, properties.ALT_TITLE, title)
    _add(item, properties.CRASH_TYPE, report.type)
    _add(item, properties.FRAME, report.frame)


def _add(item: pytest.Item, name: str, text: str) -> None:
    """Properties are told once: the first phase that fails says what happened."""
    if text and (name == properties.ALT_TITLE or name not in dict(item.user_properties)):
        item.user_properties.append((name, text))


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
    if isinstance(error, GuestError) and not isinstance(error, CommandTimeoutError):
        report.when = "setup"  # to JUnit an error: the guest failed, and not the kernel under test
    report.longrepr = ReprExceptionInfo(
        reprtraceback=ReprTracebackNative([f"{text}\n"]),
        reprcrash=ReprFileLocation(path, (line or 0) + 1, message),
    )
    return report
