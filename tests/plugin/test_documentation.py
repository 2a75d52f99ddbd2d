"""README.md tells what is: its reference against the code, both ways; its examples against their schemas."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import readme
from messages import messages

from pytest_kbisect import crash, errors, needs, options, plugin, properties, variables
from pytest_kbisect.bisection.strategy import AnswerKind
from pytest_kbisect.commands import VERBS
from pytest_kbisect.errors import ExitCode
from pytest_kbisect.reports import folder
from pytest_kbisect.reports.result import Result


def test_links_inside_lead_somewhere() -> None:
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in readme.chapters()}
    links = set(re.findall(r"\]\(#([^)]+)\)", readme.TEXT))
    assert links <= anchors, links - anchors


# -- the reference, both ways ----------------------------------------------------------------------------


def test_every_option_and_ini_key_is_in_the_reference() -> None:
    rows = {cells[1]: cells for cells in readme.table("Options")}
    assert set(rows) == {f"`{option.key}`" for option in options.OPTIONS} | {f"`{options.REPRODUCER_DIRS}`"}
    for option in options.OPTIONS:
        flag, _, meaning, default = rows[f"`{option.key}`"]
        assert flag == f"`{option.flag} {option.metavar}`".replace(" `", "`")
        assert meaning
        if isinstance(option.default, float):
            assert f"{option.default:g}" in default
        elif option.default and not isinstance(option.default, bool):
            assert str(option.default) in default


def test_every_keyword_of_the_marker_is_in_the_reference() -> None:
    told = {readme.quoted(cells[0])[0] for cells in readme.table("Marker")}
    assert told == {field.name for field in dataclasses.fields(needs.Needs)}
    header = readme.blocks("c")[0].text
    said = needs.from_source(re.sub(r" {2,}.*$", "", header, flags=re.MULTILINE), "README.md")
    assert all(getattr(said, key) for key in said.__slots__), said


def test_every_fixture_is_in_the_reference() -> None:
    assert {readme.quoted(cells[0])[0] for cells in readme.table("Fixtures")} == set(plugin.__all__)


def test_every_exit_code_is_in_the_reference() -> None:
    assert [int(cells[0]) for cells in readme.table("Exit codes")] == [int(code) for code in ExitCode]


def test_every_key_of_the_result_is_in_the_reference() -> None:
    rows = readme.table("result.json")
    keys = [key for cells in rows for key in readme.quoted(cells[0])]
    assert sorted(keys) == sorted({"schema", "versions"} | set(Result.__dataclass_fields__))
    (kinds,) = [cells[2] for cells in rows if cells[0] == "`kind`"]
    assert set(readme.quoted(kinds)) == {kind.value for kind in AnswerKind} - {"good-release"}


def test_every_file_of_a_bisection_is_in_the_reference() -> None:
    listed = " ".join(re.findall(r"^ {4}(\S.*)$", folder.__doc__ or "", re.MULTILINE)).split()
    assert {readme.quoted(cells[0])[0] for cells in readme.table("What a bisection leaves")} == set(listed)


def test_every_property_of_a_test_case_is_in_the_reference() -> None:
    names = {
        value
        for value in vars(properties).values()
        if isinstance(value, str) and value.startswith("kbisect.")
    }
    assert {readme.quoted(cells[0])[0] for cells in readme.table("JUnit")} == names


def test_every_environment_variable_of_users_is_in_the_reference() -> None:
    """Those that a bisection sets for its sessions are no matter of the user's."""
    named = set(re.findall(r"\bKBISECT_[A-Z_]+\b", _source()))
    own = {value for value in vars(variables).values() if isinstance(value, str)}
    assert {readme.quoted(cells[0])[0] for cells in readme.table("Environment variables")} == named - own


def test_every_verb_and_option_is_in_the_reference() -> None:
    told = {}
    for cells in readme.table("Commands"):
        for command in readme.quoted(cells[0]):
            if found := re.match(r"kbisect ([a-z]+)", command):
                told[found[1]] = set(
                    re.findall(r"--[a-z][a-z-]*", " ".join(readme.quoted(cells[0] + cells[1])))
                )
    assert set(told) == set(VERBS)
    for verb in VERBS:
        helped = _kbisect(verb, "--help").stdout
        there = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", helped.partition("options:")[2])) - {"--help"}
        assert told[verb] == there, verb


def test_every_public_name_and_member_is_in_the_reference() -> None:
    """Each class and function for tests of one's own, with its fields and methods."""
    rows = {readme.quoted(cells[0])[0]: cells for cells in readme.table("Python")}
    expected = {f"pytest_kbisect.errors.{name}" for name in _error_names()}
    expected |= {f"pytest_kbisect.crash.{name}" for name in crash.__all__}
    assert expected <= set(rows), expected - set(rows)
    for name, cells in rows.items():
        module, _, attribute = name.rpartition(".")
        thing = getattr(importlib.import_module(module), attribute)
        if not isinstance(thing, type):
            continue
        words = readme.quoted(cells[1])
        if name.endswith(".Guest"):
            words = [word for member in readme.table("Guest") for word in readme.quoted(member[0])]
        told = {word.partition("(")[0] for word in words if re.match(r"[a-z_]+(\(|$)", word)}
        assert told == _public(thing), (name, told ^ _public(thing))


def test_every_error_message_is_in_the_reference() -> None:
    told = {
        line
        for block in readme.blocks("text")
        if block.chapter == "Messages"
        for line in block.text.splitlines()
    }
    told |= {cells[0][1:-1] for cells in readme.table("Messages")}
    there = set(messages())
    assert not there - told, f"the chapter Messages of README.md lacks: {sorted(there - told)}"
    assert not told - there, (
        f"the chapter Messages of README.md has what no code says: {sorted(told - there)}"
    )


def _error_names() -> list[str]:
    return [
        name
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and issubclass(thing, errors.KbisectError)
    ]


def _public(thing: type) -> set[str]:
    """Fields and methods that are not inherited from Python, and no underscore's."""
    known = set(dir(Exception)) | set(dir(tuple)) | set(dir(int))
    names = {name for name in dir(thing) if not name.startswith("_")} - known
    names |= {name for name in getattr(thing, "__dataclass_fields__", {}) if not name.startswith("_")}
    names |= set(re.findall(r"^ +self\.([a-z]\w*)(?:: [^=]+)? = ", _body(thing), re.MULTILINE))
    return names - {"exit_code"} | ({"exit_code"} if thing is errors.KbisectError else set())


def _body(thing: type) -> str:
    ours = [parent for parent in thing.__mro__ if parent.__module__.startswith("pytest_kbisect.")]
    return "\n".join(inspect.getsource(parent) for parent in ours)


# -- the examples ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", ["gitlab-ci", "github-workflows"])
def test_ci_examples_fit_their_schemas(schema: str, tmp_path: Path) -> None:
    (block,) = [block for block in readme.blocks("yaml") if block.mark == f"schema: {schema}"]
    example = tmp_path / "example.yml"
    example.write_text(block.text)
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", example],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_examples_do_what_they_say() -> None:
    from ruamel.yaml import YAML

    gitlab, github = (YAML(typ="safe").load(block.text) for block in readme.blocks("yaml"))
    for job in ("reproducers", "bisect"):
        assert gitlab[job]["extends"] in gitlab
        report = gitlab[job]["artifacts"]["reports"]["junit"]
        assert f"--junitxml={report}" in " ".join(gitlab[job]["script"])
    assert gitlab["bisect"]["allow_failure"]["exit_codes"] == [int(ExitCode.INCONCLUSIVE)]
    assert gitlab["cache"]["paths"][0].rstrip("/") in gitlab["variables"]["KBISECT_CACHE"]
    steps = github["jobs"]["kbisect"]["steps"]
    inputs = (
        github[True]["workflow_dispatch"]["inputs"]
        if True in github
        else github["on"]["workflow_dispatch"]["inputs"]
    )
    used = set(re.findall(r"inputs\.(\w+)", json.dumps(steps)))
    assert used == set(inputs)
    assert [step["with"]["path"] for step in steps if "cache" in step.get("uses", "")] == [
        github["env"]["KBISECT_CACHE"].rpartition("/")[2]
    ]


def _kbisect(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_kbisect.commands", *words], capture_output=True, text=True, check=True
    )


def _source() -> str:
    return "\n".join(path.read_text() for path in (readme.ROOT / "pytest_kbisect").rglob("*.py"))
