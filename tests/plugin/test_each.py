"""`--kbisect-each`, as users start it: several tests, one command, an answer for each; guests are played."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from email import message_from_bytes
from pathlib import Path

import jsonschema
import pages
import pytest
from junitparser import JUnitXml
from miniature import MAIN
from played_guests import plays
from whole import SCHEMA, Place, needs_tools

from pytest_kbisect.errors import ExitCode
from pytest_kbisect.session.several import test_id as id_of

EACH_SCHEMA = json.loads((pages.DOCS / "reference" / "result-each.schema.json").read_text())
whole = pytest.mark.bisection


class Several(Place):
    """Commits that each change the kernel; from its culprit on a test crashes."""

    def __init__(
        self, path: Path, culprits: dict[str, int], count: int = 6, never: tuple[str, ...] = ()
    ) -> None:
        super().__init__(path)
        for name in (*culprits, *never):
            (path / f"{name}.sh").write_text("true\n")
        self.commits = []
        for n in range(count):
            text = f'{MAIN}const char step[] = "{n}";\n'
            text += "".join(plays("crash", to=name) for name, at in culprits.items() if n >= at)
            self.commits.append(self.linux.commit(f"step {n}", {"init/main.c": text}))
        self.files = [f"{name}.sh" for name in (*culprits, *never)]

    def told(self, of: str = "result") -> dict:
        told = json.loads((self.path / of / "result.json").read_text())
        jsonschema.validate(told, EACH_SCHEMA)
        for one in told["tests"]:
            if one["result"]:
                jsonschema.validate({"schema": 1, **one["result"]}, SCHEMA)
                assert self.result(f"{of}/{one['folder']}")["culprit"] == one["result"]["culprit"]
        return told


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Several:
    place = Several(tmp_path_factory.mktemp("each"), {"first": 2, "second": 4}, never=("never",))
    place.done = place.bisect("--kbisect-each", *place.files, "--junitxml=all.xml")
    return place


@whole
@needs_tools
def test_each_test_has_its_own_answer(finished: Several) -> None:
    assert finished.done.code == ExitCode.NOT_REPRODUCED, finished.done.out + finished.done.err
    told = finished.told()
    found = {one["name"]: one for one in told["tests"]}
    assert list(found) == ["first", "second", "never"]
    assert found["first"]["result"]["culprit"] == finished.commits[2]
    assert found["second"]["result"]["culprit"] == finished.commits[4]
    assert [one["exit_code"] for one in told["tests"]] == [0, 0, ExitCode.NOT_REPRODUCED]
    assert "0 of 200 runs crashed" in found["never"]["result"]["reason"]
    assert "ERROR: never: 0 of 200 runs crashed" in finished.done.err
    assert f"first: first bad commit: {finished.commits[2][:12]} step 2" in finished.done.out
    assert "2 of 3 tests answered, 2 commits found" in finished.done.out
    assert told["sessions"][0]["tests"] == ["first", "second", "never"]
    assert told["builds"] <= len({one["commit"] for one in told["sessions"]}) <= 8
    for one in told["tests"]:
        assert one["result"]["seconds"]["total"] <= told["seconds"]["total"] + 0.1


@whole
@needs_tools
def test_one_report_has_a_section_for_each(finished: Several) -> None:
    folder = finished.path / "result"
    page = (folder / "report.html").read_text()
    for name in ("first", "second", "never"):
        assert f'id="t-{name}"' in page
        assert f"each/{name}/report.html" in page
        assert (folder / "each" / name / "report.html").exists()
    log = (folder / "bisect.log").read_text()
    assert [line for line in log.splitlines() if line.startswith("== ")] == [
        f"== {name} ==" for name in ("first", "second", "never")
    ]
    assert f"first bad commit: {finished.commits[4]} step 4" in log
    mail = message_from_bytes((folder / "report.eml").read_bytes())
    assert mail["Subject"].startswith("[REGRESSION] 2 failures since 2 commits between ")
    text = mail.get_payload(decode=True).decode()
    assert f"#regzbot introduced: {finished.commits[2]}" in text
    assert f"#regzbot introduced: {finished.commits[4]}" in text
    assert "never: not-reproduced" in text
    assert (folder / "each" / "first" / "repeat.sh").exists()
    for xml in (folder / "junit.xml", finished.path / "all.xml"):
        suites = list(JUnitXml.fromfile(str(xml)))
        results = {suite.name for suite in suites if suite.name.endswith("kbisect result")}
        assert results == {f"{name}: kbisect result" for name in ("first", "second", "never")}
        cases = [case for suite in suites if suite.name.startswith("first: ") for case in suite]
        assert not any("second" in case.name for case in cases)
        assert any("WARNING: CPU" in (case.system_out or "") for case in cases), "consoles are there"


@whole
@needs_tools
def test_the_reports_can_be_written_again(finished: Several) -> None:
    page = finished.path / "result" / "report.html"
    before = page.read_text()
    page.unlink()
    (finished.path / "result" / "each" / "first" / "report.html").unlink()
    command = [sys.executable, "-m", "pytest_kbisect.commands", "report", "result", "--cache", "cache"]
    done = subprocess.run(command, cwd=finished.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert page.read_text() == before
    assert (finished.path / "result" / "each" / "first" / "report.html").exists()


@whole
@needs_tools
def test_the_common_journal_is_that_of_no_single_bisection(finished: Several) -> None:
    done = finished.pytest("--kbisect-replay=result/journal.jsonl", played=False)
    assert done.code == ExitCode.USAGE
    assert "is of several bisections: name the journal of one, " in done.err
    done = finished.pytest("--kbisect-replay=result/each/first/journal.jsonl", played=False)
    assert finished.commits[2][:12] in done.out
    done = finished.bisect(*finished.files)
    assert done.code == ExitCode.USAGE
    assert "belongs to another bisection: its each is true, now it is false" in done.err


@whole
@needs_tools
def test_killed_it_continues(tmp_path: Path) -> None:
    """With guests side by side: the runs of a test, and what each worker must not run, are the same."""
    place = Several(tmp_path, {"first": 2, "second": 3}, count=5)
    command = ["--kbisect-each", *place.files, "-n2"]
    driver = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-p", "played_guests", f"--kbisect-kernel={place.linux.path}"),
            *(f"--kbisect-cache={tmp_path / 'cache'}", f"--kbisect-range={place.linux.base}..HEAD"),
            *("--kbisect-dir=result", *command),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parent.parent}",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = tmp_path / "result" / "journal.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and driver.poll() is None:
        if journal.exists() and journal.read_text().count('"kind": "session"') >= 2:
            break
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    known = journal.read_text().count('"kind": "session"')
    done = place.bisect(*command)
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.told()
    assert [one["result"]["culprit"] for one in told["tests"]] == [place.commits[2], place.commits[3]]
    assert len(told["sessions"]) > known >= 2
    again = place.bisect(*command)
    assert again.code == ExitCode.FOUND
    assert place.told()["sessions"] == told["sessions"], "what is known is not tested again"


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kbisect-ask"], "--kbisect-each and --kbisect-ask exclude each other: a person is one test"),
        (
            ["--kbisect-minimize-config"],
            "cannot be used with --kbisect-each: a configuration is made smaller",
        ),
        (["--kbisect-known=log"], "with --kbisect-each, good and bad are said of one test: write TEST=LOG"),
        (["--kbisect-known=third=log"], "third is none of the tests: name one of first, second"),
        (["only.py"], "only.py::test_it uses a kernel and makes no runs: use the fixture vm in it"),
    ],
)
@needs_tools
def test_what_cannot_be_used_ends_it_before_a_build(tmp_path: Path, words: list[str], message: str) -> None:
    place = Several(tmp_path, {"first": 1, "second": 1}, count=3)
    (tmp_path / "log").write_text(f"good {place.commits[0]}\n")
    (tmp_path / "only.py").write_text("def test_it(kernel):\n    pass\n")
    done = place.bisect("--kbisect-each", *place.files, *words)
    assert done.code == ExitCode.USAGE, done.out + done.err
    assert message in done.err
    assert "Traceback" not in done.out + done.err
    assert place.linux.builds == 0


def test_it_needs_a_range(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    done = pytester.runpytest("--kbisect-each")
    assert done.ret == ExitCode.USAGE
    done.stderr.fnmatch_lines(["ERROR: --kbisect-each needs a range: add --kbisect-range A..B"])


# -- in a session --------------------------------------------------------------------------------------------


def test_the_id_of_a_test_has_no_run_and_no_configuration(pytester: pytest.Pytester) -> None:
    items = pytester.getitems(
        """
        import pytest

        @pytest.mark.kbisect(configs={"plain": ["CONFIG_A=y"], "run1": ["CONFIG_B=y"]})
        def test_configured(vm): pass

        @pytest.mark.parametrize("size", ["run0", "plain"])
        def test_parametrized(size, vm): pass

        def test_runs(vm): pass

        def test_none(): pass
        """
    )
    ids = {id_of(item).partition("::")[2] for item in items}
    assert ids == {
        "test_configured",
        "test_parametrized[run0]",
        "test_parametrized[plain]",
        "test_runs",
        "test_none",
    }
