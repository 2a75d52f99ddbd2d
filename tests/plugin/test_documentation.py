"""README.md and docs/: the reference against the code, both ways; links, names and examples; the build."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import pages
import pytest
from messages import messages

import pytest_kbisect
from pytest_kbisect import doctor, errors, hookspecs, needs, options, plugin, properties, variables
from pytest_kbisect.commands import VERBS
from pytest_kbisect.errors import ExitCode
from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.history.candidates import History
from pytest_kbisect.reports import folder
from pytest_kbisect.reports.result import Result
from pytest_kbisect.strategies.strategy import AnswerKind, Problem

REFERENCE = "docs/reference/"
TROUBLE = pages.page("docs/how-to/troubleshooting.md")
README_LINES = 200

every_page = pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)


def table(page: str, chapter: str = "") -> list[list[str]]:
    return pages.page(f"{REFERENCE}{page}.md").table(chapter)


def first(rows: list[list[str]]) -> set[str]:
    """What the first cells have in backticks."""
    return {pages.quoted(cells[0])[0] for cells in rows}


# -- the pages as pages ----------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(pages.page("README.md").text.splitlines()) <= README_LINES


@every_page
def test_links_lead_somewhere(page: pages.Page) -> None:
    for link in page.links:
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.exists(), link
        if anchor:
            assert anchor in pages.page(str(target.relative_to(pages.ROOT))).anchors, link


def test_every_page_is_in_the_table_of_contents() -> None:
    assert {page.path for page in pages.pages()} == {
        pages.ROOT / "README.md",
        *(path for path in pages.DOCS.rglob("*.md")),
    }


def test_the_pages_build_without_warnings(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-W",
            "--keep-going",
            "-q",
            "-j",
            "2",
            pages.DOCS,
            tmp_path / "html",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "html" / "reference" / "options.html").is_file()


def test_pictures_are_of_modest_size() -> None:
    for picture in (pages.DOCS / "images").iterdir():
        assert picture.stat().st_size < 200_000, picture


def test_the_diagrams_are_those_of_their_script(tmp_path: Path) -> None:
    subprocess.run([sys.executable, pages.DOCS / "pictures.py", tmp_path], check=True)
    drawn = sorted(tmp_path.iterdir())
    assert drawn
    for picture in drawn:
        kept = (pages.DOCS / "images" / picture.name).read_text()
        ET.fromstring(kept)  # well-formed
        # The probabilities in search.svg are a strategy's, and change with it.
        assert picture.name == "search.svg" or picture.read_text() == kept


# -- names that pages mention exist ----------------------------------------------------------------------

CHANGES = pages.Page(pages.ROOT / "CHANGELOG.md")
every_text = pytest.mark.parametrize("page", (*pages.pages(), CHANGES), ids=lambda page: page.name)


@every_text
def test_options_that_it_names_exist(page: pages.Page) -> None:
    flags = {option.flag for option in options.OPTIONS}
    assert set(re.findall(r"--kbisect-[a-z-]*[a-z]", page.text)) <= flags


OF_KINDS = {"syzkaller_commit"}
"""Comment lines that a kind of reproducer reads."""


@every_text
def test_comment_lines_that_it_names_exist(page: pages.Page) -> None:
    keys = {field.name for field in dataclasses.fields(needs.Needs)} | OF_KINDS
    named = re.findall(r"(?<![\w.-])kbisect-([a-z-]+)(?:\[\w+\])?:", page.text)
    assert {name.replace("-", "_") for name in named} <= keys


@every_text
def test_ini_keys_and_fixtures_that_it_names_exist(page: pages.Page) -> None:
    names = {option.key for option in options.OPTIONS} | {options.REPRODUCER_DIRS, *plugin.__all__}
    assert set(re.findall(r"(?<![\w.])kbisect_\w+", page.text)) <= names


@every_text
def test_properties_that_it_names_exist(page: pages.Page) -> None:
    named = set(re.findall(r"(?<![\w/.-])kbisect\.[a-z_]+(?![\w.])", page.text))
    assert {name for name in named if not name.endswith((".xml", ".yml"))} <= set(_properties())


@every_text
def test_environment_variables_that_it_names_exist(page: pages.Page) -> None:
    used = set(re.findall(r"\bKBISECT_[A-Z_]+\b", _source() + _tests()))
    assert set(re.findall(r"\bKBISECT_[A-Z_]+\b", page.text)) <= used | {"KBISECT_REPOSITORY"}


@every_text
def test_verbs_that_it_names_exist(page: pages.Page) -> None:
    named = set(re.findall(r"`kbisect ([a-z][a-z0-9]+)", page.text)) | set(
        re.findall(r"python3 -m pytest_kbisect ([a-z]+)", page.text)
    )
    assert named <= {*VERBS, "test"}


@every_text
def test_files_and_modules_that_it_names_exist(page: pages.Page) -> None:
    for path in re.findall(r"(?<![\w/~-])(?:pytest_kbisect|tests|docs|repro)/[\w/.-]*\w", page.text):
        if not path.startswith(("repro/", "docs/build")):  # the reader's own
            assert (pages.ROOT / path).exists(), path
    for name in re.findall(r"\bpytest_kbisect(?:\.\w+)+", page.text):
        assert _exists(name), name


# -- the reference, both ways ----------------------------------------------------------------------------


def test_every_option_and_ini_key_is_in_the_reference() -> None:
    rows = {cells[1]: cells for cells in table("options")}
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
    fields = {field.name for field in dataclasses.fields(needs.Needs)}
    assert first(table("reproducers", "Marker")) == fields
    lines = {
        re.split(r"\W", name.removeprefix("kbisect-").replace("-", "_"))[0]
        for name in first(table("reproducers", "Comment lines"))
    }
    assert lines - OF_KINDS == fields - {"configs"}
    header = pages.blocks("c")[0].text
    given = needs.from_source(re.sub(r" {2,}.*$", "", header, flags=re.MULTILINE), "configuration.md")
    assert all(getattr(given, key) for key in given.__slots__ if key not in {"selftest", "bits"}), given


def test_every_fixture_is_in_the_reference() -> None:
    assert first(table("fixtures")) == set(plugin.__all__)


def test_every_exit_code_is_in_the_reference() -> None:
    assert [int(cells[0]) for cells in table("exit-codes")] == [int(code) for code in ExitCode]


def test_every_key_of_the_result_is_in_the_reference() -> None:
    rows = table("result-json")
    keys = [key for cells in rows for key in pages.quoted(cells[0])]
    assert sorted(keys) == sorted({"schema", "versions"} | set(Result.__dataclass_fields__))
    schema = json.loads((pages.DOCS / "reference" / "result.schema.json").read_text())
    assert sorted(keys) == sorted(schema["properties"])
    assert set(schema["properties"]["kind"]["enum"]) == {kind.value for kind in AnswerKind} - {"good-release"}
    (kinds,) = [cells[2] for cells in rows if cells[0] == "`kind`"]
    assert set(pages.quoted(kinds)) == {kind.value for kind in AnswerKind} - {"good-release"}


def test_every_file_of_a_bisection_is_in_the_reference() -> None:
    listed = " ".join(re.findall(r"^ {4}(\S.*)$", folder.__doc__ or "", re.MULTILINE)).split()
    assert first(table("files", "Files")) == set(listed)


def test_every_property_of_a_test_case_is_in_the_reference() -> None:
    rows = [cells for cells in table("junit") if cells[0].startswith("`kbisect.")]
    assert first(rows) == set(_properties())


def test_every_environment_variable_of_users_is_in_the_reference() -> None:
    """Those that a bisection sets for its sessions are no matter of the user's."""
    named = set(re.findall(r"\bKBISECT_[A-Z_]+\b", _source()))
    own = {value for value in vars(variables).values() if isinstance(value, str)}
    assert first(table("environment")) == named - own


def test_every_verb_and_option_is_in_the_reference() -> None:
    listed = {}
    for cells in table("commands"):
        for command in pages.quoted(cells[0]):
            if found := re.match(r"kbisect ([a-z][a-z0-9]+)", command):
                listed[found[1]] = set(
                    re.findall(r"--[a-z][a-z-]*", " ".join(pages.quoted(cells[0] + cells[1])))
                )
    assert set(listed) == set(VERBS)
    for verb in VERBS:
        helped = _kbisect(verb, "--help").stdout
        there = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", helped.partition("options:")[2])) - {"--help"}
        assert listed[verb] == there, verb


def test_every_check_of_the_doctor_is_in_the_reference() -> None:
    names = {
        call.args[0].value
        for path in Path(doctor.__file__ or "").parent.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Finding"
        if isinstance(call.args[0], ast.Constant)
    }
    listed = {name for cells in table("doctor", "The checks") for name in pages.quoted(cells[0])}
    assert names <= listed
    assert listed - names <= {"setpriv", "env"}
    keys = [key for cells in table("doctor", "The doctor") for key in pages.quoted(cells[0])]
    fields = {key for cells in table("doctor") for key in pages.quoted(cells[-1])}
    assert {"able", "findings"} <= set(keys)
    assert {field.name for field in dataclasses.fields(doctor.Finding)} <= fields
    assert {state.value for state in doctor.Severity} <= fields


def test_every_public_name_and_member_is_in_the_reference() -> None:
    """Each class and function for tests of one's own and for plugins, with its fields and methods."""
    rows = {
        pages.quoted(cells[0])[0]: cells
        for chapter in ("Tests and tools", "Plugins")
        for cells in table("python", chapter)
    }
    assert set(rows) == set(pytest_kbisect.__all__)
    for name, cells in rows.items():
        thing = getattr(pytest_kbisect, name)
        if not isinstance(thing, type) or name in {"ExitCode", "Compile", "AnswerKind", "Stage"}:
            continue
        words = pages.quoted(cells[1])
        if name == "Guest":
            words = [word for member in table("python", "Guest") for word in pages.quoted(member[0])]
        listed = {word.partition("(")[0] for word in words if re.match(r"[a-z_]+(\(|$)", word)}
        assert listed == _public(thing), (name, listed ^ _public(thing))


@pytest.mark.parametrize(
    ("name", "example"), [("crash-format", "acme_crashes"), ("strategy", "oldest_first")]
)
def test_the_test_on_a_page_passes(tmp_path: Path, name: str, example: str) -> None:
    (test,) = [
        block.text
        for block in pages.blocks("python")
        if block.page.endswith(f"contributing/{name}.md") and "\ndef test_" in block.text
    ]
    (tmp_path / f"{example}.py").write_text(pages.plugin(f"{example}.py"))
    (tmp_path / f"test_{example}.py").write_text(textwrap.dedent(test))
    path = os.pathsep.join((str(tmp_path), str(pages.ROOT / "tests" / "bisection"), *sys.path))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", example, "--kbisect-runs=1", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_error_is_public() -> None:
    assert set(_error_names()) <= set(pytest_kbisect.__all__)


def test_what_is_public_is_loaded_when_it_is_used() -> None:
    """The type checker reads an import for each name; the table behind `__getattr__` must say the same."""
    tree = ast.parse(Path(pytest_kbisect.__file__).read_text())
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_kbisect.")
        for alias in node.names
    }
    homes = pytest_kbisect._HOMES.items()
    assert imported == {f"pytest_kbisect.{home}.{name}" for home, names in homes for name in names}
    code = "import sys, pytest_kbisect; sys.exit(any(name.startswith('pytest_kbisect.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = pytest_kbisect.nothing


def test_every_hook_is_in_the_reference() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("pytest_kbisect_")}
    assert {word.partition("(")[0] for word in first(table("python", "Hooks"))} == hooks


def test_what_users_copy_imports_public_names_only() -> None:
    texts = {path.name: path.read_text() for path in (pages.ROOT / "repro").glob("*.py")}
    texts |= {
        block.page: block.text
        for block in pages.blocks("python")
        if block.mark.startswith("played by a test: ")
    }
    assert len(texts) > 2
    for name, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_kbisect"):
                assert node.module == "pytest_kbisect", name
                assert {alias.name for alias in node.names} <= set(pytest_kbisect.__all__), name


# -- messages ----------------------------------------------------------------------------------------------

REMEDY = re.compile(
    r"(?:^|[:;,.(]|\band|\bor|-) (?:then )?`?(?:add|answer|build|check|choose|convert|create|decompress|did you mean|drop"
    r"|fetch|free|get|give|git|install|kbisect|leave|lower|move|name|pass|put|raise|remove|run|save|see|set|start|stop|take"
    r"|try|unpack|update|use|wait|write)\b"
)
"""The next step in a message, in the imperative."""
ACCEPTED = re.compile(r"\bmust be\b|\(known: |: only |\bneeds\b|\ballow one\b|apt-get")
"""Or what may be written instead."""


def test_every_message_says_what_to_do_or_the_page_does() -> None:
    rows = TROUBLE.table("Messages that need more explanation")
    explained = {text for cells in rows for text in pages.quoted(cells[0])}
    known = set(messages())
    assert explained <= known, f"no code says: {sorted(explained - known)}"
    mute = {text for text in known - explained if not REMEDY.search(text) and not ACCEPTED.search(text)}
    assert not mute, f"add the next step to the message, or to {TROUBLE.name}: {sorted(mute)}"


def test_frequent_messages_are_in_the_code() -> None:
    source = re.sub(r'"\s*f?"', "", _source())  # texts that are written in several pieces
    for cells in TROUBLE.table("Frequent messages"):
        text = pages.quoted(cells[0])[0]
        assert re.search(re.escape(text).replace("…", "[^\n]*?"), source), text


# -- the examples ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", ["gitlab-ci", "github-workflows"])
def test_ci_examples_fit_their_schemas(schema: str, tmp_path: Path) -> None:
    (block,) = [block for block in pages.blocks("yaml") if block.mark == f"schema: {schema}"]
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

    examples = [block for block in pages.blocks("yaml") if block.mark.startswith("schema: ")]
    gitlab, github = (YAML(typ="safe").load(block.text) for block in examples)
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


def test_cluster_examples_name_what_exists() -> None:
    """Those that nobody has tried: their syntax, and the names in them that are ours."""
    from ruamel.yaml import YAML

    from pytest_kbisect.farm.clusters import WORKER_CLASS

    (slurm,) = [block.text for block in pages.blocks("python") if block.mark == "checked: python"]
    calls = [node for node in ast.walk(ast.parse(slurm)) if isinstance(node, ast.Call)]
    (cluster,) = [call for call in calls if getattr(call.func, "id", "") == "SLURMCluster"]
    given = {keyword.arg: keyword.value for keyword in cluster.keywords}
    assert WORKER_CLASS in ast.literal_eval(given["worker_extra_args"])
    examples = {block.mark: YAML(typ="safe").load(block.text) for block in pages.blocks("yaml")}
    kubernetes = examples["checked: kubernetes"]
    assert kubernetes["kind"] == "DaskCluster"
    (worker,) = kubernetes["spec"]["worker"]["spec"]["containers"]
    assert WORKER_CLASS in worker["args"]
    assert {variable["name"] for variable in worker["env"]} == {"KBISECT_CACHE"}
    tls = examples["checked: dask"]["distributed"]["comm"]["tls"]
    assert tls.keys() == {"ca-file", "scheduler", "worker", "client"}
    module, _, name = WORKER_CLASS.rpartition(".")
    pytest.importorskip("distributed")
    assert hasattr(importlib.import_module(module), name)


def test_the_ini_example_is_read(pytester: pytest.Pytester) -> None:
    (block,) = pages.blocks("ini")
    pytester.makeini(block.text)
    config = pytester.parseconfigure()
    for line in block.lines[1:]:
        name = line.partition(" = ")[0].removeprefix("kbisect_").replace("_", "-")
        assert options.value(config, name) != options.default(name), line


@pytest.mark.parametrize(
    "block",
    [
        block
        for language in ("python", "text")
        for block in pages.blocks(language)
        if block.mark.startswith("from: ")
    ],
    ids=lambda block: block.page,
)
def test_excerpts_are_in_their_files(block: pages.Block) -> None:
    source = (pages.ROOT / block.mark.removeprefix("from: ")).read_text()
    margins = (textwrap.indent(block.text.rstrip(), " " * margin) for margin in (0, 4, 8))
    assert any(text in source for text in margins), f"{block.mark} has not what {block.page} quotes"


def test_development_commands_name_what_exists() -> None:
    lines = [line for block in pages.blocks("console") for line in block.lines]
    assert lines
    for line in lines:
        command = line.partition("    #")[0].partition("  #")[0].removeprefix("$ ")
        for word in command.split():
            if word.startswith(("tests/", "docs")) and word != "docs/build":
                assert (pages.ROOT / word).exists() or word == "build/docs", line
        assert re.match(r"\. \.venv|pytest |ruff |python -m sphinx ", command), line


@pytest.mark.parametrize("culprit", [0, 2, 5])
def test_the_strategy_of_the_page_finds_the_culprit(culprit: int) -> None:
    sys.path.insert(0, str(pages.ROOT / "tests" / "bisection"))
    import worlds

    text = pages.plugin("oldest_first.py")
    namespace: dict[str, type] = {}
    exec(compile(text, "oldest_first.py", "exec"), namespace)
    history = History.line([f"{i:040x}" for i in range(6)])
    strategy = namespace["OldestFirst"](Problem(history, runs=4))
    answer, asked = worlds.drive(strategy, Evidence(history), worlds.world(culprit))
    assert (answer.kind, answer.culprit) == (AnswerKind.CULPRIT, culprit)
    assert asked[0].commit == len(history) - 1


# -- what the code has -------------------------------------------------------------------------------------


def _properties() -> list[str]:
    values = vars(properties).values()
    return [value for value in values if isinstance(value, str) and value.startswith("kbisect.")]


def _exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ImportError:
        return bool(module) and hasattr(importlib.import_module(module), attribute)
    return True


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
    declared = {**getattr(thing, "__dataclass_fields__", {}), **getattr(thing, "__annotations__", {})}
    names |= {name for name in declared if not name.startswith("_")}
    names |= set(re.findall(r"^ +self\.([a-z]\w*)(?:: [^=]+)? = ", _body(thing), re.MULTILINE))
    return names - {"exit_code"} | ({"exit_code"} if thing is errors.KbisectError else set())


def _body(thing: type) -> str:
    ours = [parent for parent in thing.__mro__ if parent.__module__.startswith("pytest_kbisect.")]
    return "\n".join(inspect.getsource(parent) for parent in ours)


def _kbisect(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_kbisect.commands", *words], capture_output=True, text=True, check=True
    )


@cache
def _source() -> str:
    return "\n".join(path.read_text() for path in (pages.ROOT / "pytest_kbisect").rglob("*.py"))


@cache
def _tests() -> str:
    return "\n".join(path.read_text() for path in (pages.ROOT / "tests").rglob("*.py"))
