"""What a bisection asks of a session: one file, that a user can give as well."""

from __future__ import annotations

import json
from dataclasses import fields

import jsonschema
import pages
import pytest
from junitparser import JUnitXml, Properties
from whole import Place, needs_tools

from pytest_kbisect import properties
from pytest_kbisect.errors import ExitCode, UsageError
from pytest_kbisect.session import session_request
from pytest_kbisect.session.session_request import AskedOfTest, SessionRequest

SCHEMA = json.loads((pages.DOCS / "reference" / "session-request.schema.json").read_text())
FULL = SessionRequest(
    arguments=("repro/crash.c", "--kbisect-commit=c0ffee"),
    directory="/home/user",
    folder="/home/user/sessions/c0ffee",
    known=("0" * 64,),
    expect=("WARNING in foo",),
    stop=(),
    watch=("foo", "bar"),
    idle=True,
    strict=True,
    each=(
        AskedOfTest(test="repro/crash.c::crash", runs=3, known=("0" * 64,), stop=("WARNING in foo",)),
        AskedOfTest(test="repro/bar.c::bar", runs=10, expect=("WARNING in bar",), watch=("bar",), idle=True),
    ),
)


@pytest.mark.parametrize("request_", [FULL, SessionRequest(), SessionRequest(stop=("WARNING in foo",))])
def test_it_is_read_as_it_was_written_and_fits_the_schema(tmp_path, request_) -> None:
    path = tmp_path / "request.json"
    request_.write(path)
    assert session_request.read(path) == request_
    jsonschema.validate(json.loads(path.read_text()), SCHEMA)


def test_schema_page_and_code_have_the_same_fields() -> None:
    names = {field.name for field in fields(SessionRequest)} | {"schema"}
    assert SCHEMA["properties"].keys() == names
    rows = pages.page("docs/reference/session-request.md").table()
    assert {name.strip("`") for name, *_ in rows} == names


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no session request: Expecting value"),
        ("[]", "is no session request: it has no schema number"),
        ("{}", "is no session request: it has no schema number"),
        ('{"schema": 2}', "session request of schema 2, this version reads 1: use the version that wrote it"),
        ('{"schema": 1, "commit": "x"}', "unknown field 'commit'"),
        ('{"schema": 1, "known": "x"}', "'known' must be a list of strings"),
        ('{"schema": 1, "watch": [1]}', "'watch' must be a list of strings"),
        ('{"schema": 1, "stop": true}', "'stop' must be a list of strings"),
        ('{"schema": 1, "idle": 1}', "'idle' must be true or false"),
        ('{"schema": 1, "folder": null}', "'folder' must be a string"),
        ('{"schema": 1, "each": "x"}', "'each' must be a list of objects"),
        ('{"schema": 1, "each": [{"test": "x", "runs": "3"}]}', "'runs' must be a number"),
        ('{"schema": 1, "each": [{"test": "x", "commit": "y"}]}', "unknown field 'commit'"),
    ],
)
def test_a_file_that_is_none(pytester: pytest.Pytester, text, why) -> None:
    path = pytester.path / "request.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=why.replace("'", ".")):
        session_request.read(path)
    done = pytester.runpytest(f"--kbisect-request={path}")
    assert done.ret == ExitCode.USAGE
    (line,) = [line for line in done.errlines if line.startswith("ERROR:")]
    assert why in line
    assert "Traceback" not in done.stderr.str()


def test_a_file_that_is_missing(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest("--kbisect-request=nowhere.json")
    assert done.ret == ExitCode.USAGE
    done.stderr.fnmatch_lines(
        [
            "ERROR: cannot read the session request */nowhere.json: No such file or directory: give the request.json of a session"
        ]
    )


def facts(xml) -> dict[str, str]:
    (case,) = [case for suite in JUnitXml.fromfile(str(xml)) for case in suite][:1]
    return {item.name: item.value for item in case.child(Properties) or ()}


@pytest.mark.bisection
@needs_tools
def test_by_hand_it_repeats_the_session(tmp_path) -> None:
    """With the same outcome, from another folder, and with more arguments; what the bisection left stays."""
    place = Place(tmp_path)
    culprit = place.play("The culprit", "crash")
    done = place.bisect("--kbisect-runs=2", "--kbisect-strategy=classic")
    assert done.code == ExitCode.FOUND, done.out + done.err
    session = tmp_path / "result" / "sessions" / culprit[:12]
    jsonschema.validate(json.loads((session / "request.json").read_text()), SCHEMA)
    before = {path: path.read_bytes() for path in session.rglob("*") if path.is_file()}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place.path = elsewhere
    words = (f"--kbisect-request={session / 'request.json'}", f"--junitxml={elsewhere / 'out.xml'}")
    again = place.pytest(*words, "-p", "played_guests", bare=True)
    assert again.code == ExitCode.FAILED, again.out + again.err
    first, second = facts(session / "junit.xml"), facts(elsewhere / "out.xml")
    for name in (properties.COMMIT, properties.OUTCOME, properties.TITLE, properties.SIGNATURE):
        assert first[name] == second[name], name
    assert before == {path: path.read_bytes() for path in session.rglob("*") if path.is_file()}
    (kept,) = elsewhere.glob("kbisect-session-*")
    assert list(kept.rglob("console.log"))
