"""What a session says while it runs: heard where it can be, and nothing rests on it."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kbisect.bisection.launcher import _Events
from pytest_kbisect.session.session_request import SessionRequest
from pytest_kbisect.session.shared import Session

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def session(pytester: pytest.Pytester) -> Session:
    request = pytester.path / "request.json"
    SessionRequest(folder=str(pytester.path)).write(request)
    return Session(pytester.parseconfig(f"--kbisect-request={request}"))


@pytest.fixture
def heard(pytester: pytest.Pytester) -> list[Mapping[str, Any]]:
    return []


@pytest.fixture
def events(pytester: pytest.Pytester, heard: list[Mapping[str, Any]]) -> _Events:
    return _Events(pytester.path / "events.jsonl", heard.append)


def test_are_heard_in_order(session: Session, events: _Events, heard: list[Mapping[str, Any]]) -> None:
    for word in ("one", "two"):
        session.events.say(word)
    events()
    session.events.say("Ñandú")
    events()
    assert [event["say"] for event in heard] == ["one", "two", "Ñandú"]


def test_a_full_disk_keeps_nobody_from_building(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    session.events.tell({"say": "build 10%", "percent": 10})


def test_a_line_cut_short_is_passed_by(
    pytester: pytest.Pytester, events: _Events, heard: list[Mapping[str, Any]]
) -> None:
    lines = [json.dumps({"say": word}) for word in ("one", "two", "three")]
    (pytester.path / "events.jsonl").write_text(f"{lines[0]}\n{lines[1][:8]}{lines[1]}\n{lines[2]}\n")
    events()
    assert [event["say"] for event in heard] == ["one", "three"]
