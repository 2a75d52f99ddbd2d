"""A bisection's JUnit XML: read back by junitparser, whatever was in a console or a title."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from junitparser import Failure, JUnitXml

from pytest_kbisect import properties
from pytest_kbisect.reports import junit
from pytest_kbisect.reports.result import Result

SESSION = """<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="1" timestamp="2021-01-13T08:18:19">
<testcase classname="repro.x.c" name="x[run0]" time="1.0"><properties>
<property name="{console}" value="{path}"/></properties>
<failure message="WARNING in foo">the report</failure></testcase></testsuite></testsuites>"""


def session(folder: Path, console: bytes) -> Path:
    run = folder / "runs" / "x-run0"
    run.mkdir(parents=True)
    (run / "console.log").write_bytes(console)
    xml = SESSION.format(console=properties.CONSOLE, path="/where/it/was/x-run0/console.log")
    (folder / "junit.xml").write_text(xml)
    return folder


def found(**facts: object) -> Result:
    facts = {"kind": "culprit", "range": ("a", "b"), "culprit": "c" * 40, "title": "net: x", **facts}
    return Result(**facts, seconds={"build": 1.0, "test": 2.0})


def test_a_suite_a_commit_and_one_for_the_result(tmp_path: Path) -> None:
    told = {"commit": "d" * 40, "title": "mm: <b>&", "verdict": "bad"}
    sessions = [(told, [session(tmp_path / "s", b"boot\r\n\x1b[31m\x00\xff<script>\r\n")])]
    junit.write(tmp_path / "out" / "all.xml", sessions, found())
    commit, answer = JUnitXml.fromfile(str(tmp_path / "out" / "all.xml"))
    assert commit.name == "dddddddddddd mm: <b>&"
    assert {item.name: item.value for item in commit.properties()}["kbisect.verdict"] == "bad"
    (case,) = commit
    assert case.classname == "dddddddddddd.repro.x.c"
    assert isinstance(case.result[0], Failure)
    assert "<script>" in case.system_out
    assert "\x1b" not in case.system_out
    (case,) = answer
    assert not case.result
    assert case.system_out == f"{'c' * 40} net: x"
    text = (tmp_path / "out" / "all.xml").read_text()
    assert "skipped=" not in text.partition("<testsuite ")[0]


def test_no_culprit_is_a_failure_with_the_candidates(tmp_path: Path) -> None:
    result = found(kind="candidates", culprit="", reason="why", candidates=(("e" * 40, "one", 0.5),))
    junit.write(tmp_path / "all.xml", [], result)
    ((case,),) = JUnitXml.fromfile(str(tmp_path / "all.xml"))
    assert case.result[0].message == "why"
    assert case.result[0].text == f"{'e' * 40} one (50%)"


def test_a_huge_console_is_cut_to_its_end(tmp_path: Path) -> None:
    told = {"commit": "d" * 40, "title": "", "verdict": "bad"}
    folder = session(tmp_path / "s", b"x" * (10 << 20) + b"the end\n")
    junit.write(tmp_path / "all.xml", [(told, [folder])], found())
    assert (tmp_path / "all.xml").stat().st_size < 200_000
    assert "the end" in (tmp_path / "all.xml").read_text()


def test_many_consoles_share_a_bound(tmp_path: Path) -> None:
    commits = []
    for i in range(40):
        told = {"commit": f"{i:040x}", "title": "", "verdict": "bad", "runs": 50}
        commits.append((told, [session(tmp_path / f"s{i}", b"a line of a console\n" * 50_000)]))
    junit.write(tmp_path / "all.xml", commits, found())
    assert (tmp_path / "all.xml").stat().st_size < 1 << 20


def test_runs_stand_in_order_and_sessions_apart(tmp_path: Path) -> None:
    cases = "".join(
        f'<testcase classname="repro.{n}.c" name="{n}[run{i}]"/>' for i in (10, 2, 0) for n in "ba"
    )
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "junit.xml").write_text(f"<testsuites><testsuite name='s'>{cases}</testsuite></testsuites>")
    told = {"commit": "d" * 40, "title": "", "verdict": "bad", "build_error": "", "seconds_by": {"a": 1}}
    junit.write(tmp_path / "all.xml", [(told, folders)], found())
    suite, _ = JUnitXml.fromfile(str(tmp_path / "all.xml"))
    names = [(case.classname, case.name) for case in suite]
    assert len(set(names)) == 12
    assert names[:4] == [
        ("dddddddddddd.repro.a.c", "a[run0]"),
        ("dddddddddddd.repro.a.c", "a[run2]"),
        ("dddddddddddd.repro.a.c", "a[run10]"),
        ("dddddddddddd.repro.b.c", "b[run0]"),
    ]
    assert names[6][0] == "dddddddddddd-2.repro.a.c"
    assert "kbisect.seconds_by" not in {item.name for item in suite.properties()}


def test_a_repair_is_the_first_good_commit(tmp_path: Path) -> None:
    junit.write(tmp_path / "all.xml", [], found(fix=True))
    ((case,),) = JUnitXml.fromfile(str(tmp_path / "all.xml"))
    assert case.name == "first good commit"


def test_without_the_sessions_files_the_verdict_is_still_told(tmp_path: Path) -> None:
    told = {"commit": "d" * 40, "title": "", "verdict": "good"}
    junit.write(tmp_path / "all.xml", [(told, [tmp_path / "gone"])], found())
    suites = list(JUnitXml.fromfile(str(tmp_path / "all.xml")))
    assert [case.name for case in suites[0]] == ["verdict good"]


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    from xml.etree import ElementTree as ET

    element = ET.Element("x")
    element.text = junit.clean(text)
    ET.fromstring(ET.tostring(element, encoding="utf-8"))
