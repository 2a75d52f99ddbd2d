"""Checks before the first build: whether the reproducers compile and the host has the needed tools."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kbisect import reproducer_kinds, reproducers
from pytest_kbisect.session import several

if TYPE_CHECKING:
    import pytest

    from pytest_kbisect.session.shared import Session


def check(session: Session, items: list[pytest.Item], *, compile_: bool) -> None:
    """Pass the configuration that the selected tests need to the session, and check that the tests can run.

    `compile_` is False if tests are only listed. Raises UsageError or HostError. If the session request names
    a file for the selection, the bisection only needs that: it is written to the file.
    """
    if not session.request.each:  # else they are those of more tests than are run
        session.fragments = reproducers.fragments(items)
    answer = session.request.selection
    if not compile_ and not answer:
        return
    session.check_host()
    notes = session.examine(map(reproducers.needs_of, _selected(items)))
    if not (answer or session.bisecting):  # the bisection has said so once
        for note in notes:
            session.events.say_once(f"note: {note}")
    sources = {file.path: file.kind for item in items if (file := item.getparent(reproducers.ReproducerFile))}
    programs = [
        reproducer_kinds.prepare(source, kind, session.cache, session.architecture)
        for source, kind in sources.items()
    ]
    if compile_:
        for name in sorted({need for item in items if (need := reproducers.needs_of(item).selftest)}):
            session.selftest(name)
    if answer:
        log = list(dict.fromkeys(line for program in programs for line in program.log))
        Path(answer).write_text(json.dumps({**_selection(session, items), "log": log, "notes": notes}))


def _selected(items: list[pytest.Item]) -> list[pytest.Item]:
    return [item for item in items if reproducers.OWN_FIXTURE in getattr(item, "fixturenames", ())]


def _selection(session: Session, items: list[pytest.Item]) -> dict[str, Any]:
    selected = _selected(items)
    by_test: dict[str, list[pytest.Item]] = {}
    for item in selected:
        by_test.setdefault(several.test_id(item), []).append(item)
    return {
        **_facts(selected),
        "fragments": session.fragments,
        "each": [
            {"test": test, "configurations": _configurations(own), **_facts(own)}
            for test, own in by_test.items()
        ],
        "modules": _modules(),
        "rootdir": str(session.rootdir),
        "inifile": str(session.inifile or ""),
    }


def _configurations(items: list[pytest.Item]) -> list[str]:
    return sorted({reproducers.configuration(item) for item in items})


def _facts(selected: list[pytest.Item]) -> dict[str, Any]:
    """What some tests are, and ask for."""
    needs = [reproducers.needs_of(item) for item in selected]
    return {
        "tests": [item.nodeid for item in selected],
        "files": sorted({str(item.path) for item in selected}),
        "per_run": sum("kbisect_run" in getattr(item, "fixturenames", ()) for item in selected),
        "memory": max((need.memory or 0 for need in needs), default=0),
        "runs": max((need.runs or 0 for need in needs), default=0),
        "bad_when": sorted({text for need in needs for text in need.bad_when}),
        "selftests": sorted({need.selftest for need in needs if need.selftest}),
        "symptoms": sorted({symptom.kind for item in selected for symptom in reproducers.symptoms_of(item)}),
        "crash": sorted({title for need in needs for title in need.crash}),
    }


def _modules() -> list[str]:
    """The files of Python modules that are loaded and not installed: test modules, conftest.py, plugins."""
    libraries = {f"{prefix}/{name}" for prefix in (sys.prefix, sys.base_prefix) for name in ("lib", "lib64")}
    own = {*sysconfig.get_paths().values(), *libraries, os.path.dirname(__file__)}
    installed = tuple(f"{os.path.realpath(folder)}{os.sep}" for folder in own)
    files = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    return sorted(
        os.path.abspath(file)
        for file in files
        if file.endswith(".py") and os.path.isfile(file) and not os.path.realpath(file).startswith(installed)
    )
