"""What a session's JUnit XML says of a commit. The XML is pytest's own: small suites, really run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect.bisection import session_report
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.evidence.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path

SUITE = """
import pytest

ENDS = {ends!r}

@pytest.fixture
def guest(request, record_property):
    for name, value in ENDS[request.node.callspec.params["n"]][1].items():
        record_property("kbisect." + name, value)
    if ENDS[request.node.callspec.params["n"]][0] == "error":
        raise RuntimeError("no guest")

@pytest.mark.parametrize("n", range(len(ENDS)), ids=["run%d" % n for n in range(len(ENDS))])
def test_it(guest, n):
    if ENDS[n][0] == "failure":
        raise AssertionError("the words of the crash")
    if ENDS[n][0] == "skip":
        pytest.skip("why")
"""

CRASH = {
    "outcome": "crashed",
    "title": "WARNING in foo",
    "type": "WARNING",
    "signature": "s" * 64,
    "run_seconds": "1.5",
}


@pytest.fixture
def session(pytester: pytest.Pytester):
    def run(*ends: tuple[str, dict[str, str]], words: tuple[str, ...] = ()) -> Path:
        pytester.makeini("[pytest]\njunit_family = xunit1\n")
        pytester.makepyfile(SUITE.format(ends=ends))
        pytester.runpytest("--junitxml=out.xml", *words)
        return pytester.path / "out.xml"

    return run


def test_each_end_is_an_outcome(session) -> None:
    ok = {"outcome": "ok", "signature": "s" * 64, "compiler": "gcc 12", "build_seconds": "3.5"}
    xml = session(
        ("", ok),
        ("failure", CRASH),
        ("error", {"outcome": "boot-failed", "title": "can't ssh"}),
        ("error", {"outcome": "infra-failed", "title": "QEMU died"}),
    )
    tested = session_report.read(xml, "c" * 40, runs=4, per_run=1, seconds=10)
    assert [run.outcome for run in tested.runs] == [
        Outcome.OK,
        Outcome.CRASHED,
        Outcome.BOOT_FAILED,
        Outcome.INFRA_FAILED,
    ]
    assert tested.runs[1].title == "WARNING in foo"
    assert "the words of the crash" in tested.runs[1].report
    assert tested.runs[1].seconds == 1.5
    assert (tested.signature, tested.compiler) == ("s" * 64, "gcc 12")
    assert (tested.build_seconds, tested.test_seconds) == (3.5, 6.5)
    assert not tested.cached


def test_xml_that_met_a_full_disk(tmp_path: Path) -> None:
    for text in ("", "<?xml version='1.0'?><testsuites><testsuite name='py"):
        (tmp_path / "junit.xml").write_text(text)
        with pytest.raises(HostError, match=r"junit\.xml is cut short: is its disk full\?"):
            session_report.read(tmp_path / "junit.xml", "a" * 40, runs=1, per_run=1, seconds=1.0)


def test_what_was_never_reported_is_not_good(session) -> None:
    tested = session_report.read(session(("", {"outcome": "ok"})), "c" * 40, runs=3, per_run=1, seconds=1)
    assert [run.outcome for run in tested.runs] == [Outcome.OK, Outcome.INFRA_FAILED, Outcome.INFRA_FAILED]


def test_passing_without_a_word_is_not_good_either(session) -> None:
    """Our hooks tell the outcome; a test that passed without them may never have seen a guest."""
    tested = session_report.read(session(("", {}), ("error", {})), "c" * 40, runs=2, per_run=1, seconds=1)
    assert {run.outcome for run in tested.runs} == {Outcome.INFRA_FAILED}


def test_a_commit_that_does_not_build_has_no_runs(session) -> None:
    end = ("skip", {"outcome": "build-failed", "title": "make failed"})
    tested = session_report.read(session(end, end), "c" * 40, runs=2, per_run=1, seconds=1)
    assert tested.runs == ()
    assert "why" in tested.build_error


def test_a_kernel_known_already_is_not_run(session) -> None:
    tested = session_report.read(
        session(("skip", {"signature": "s" * 64, "same_kernel": "1"})), "c" * 40, runs=0, per_run=1, seconds=1
    )
    assert (tested.runs, tested.build_error, tested.signature) == ((), "", "s" * 64)


def test_what_the_user_can_mend_is_raised(session) -> None:
    with pytest.raises(UsageError, match="no memory"):
        session_report.read(
            session(("error", {"usage": "no memory"})), "c" * 40, runs=1, per_run=1, seconds=1
        )


def test_runs_of_one_number_end_as_their_worst(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", ["run0", "run1"])
        def test_a(n, record_property):
            record_property("kbisect.outcome", "ok")

        @pytest.mark.parametrize("n", ["kasan-run0", "kasan-run1"])
        def test_b(n, record_property):
            record_property("kbisect.outcome", "crashed" if n == "kasan-run1" else "ok")
            assert n != "kasan-run1"
        """
    )
    pytester.runpytest("--junitxml=out.xml", "-o", "junit_family=xunit1")
    tested = session_report.read(pytester.path / "out.xml", "c" * 40, runs=2, per_run=2, seconds=1)
    assert [run.outcome for run in tested.runs] == [Outcome.OK, Outcome.CRASHED]


def test_a_dead_xdist_worker_is_the_hosts_failure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, pytest

        @pytest.mark.parametrize("n", ["run0", "run1", "run2"])
        def test_it(n, record_property):
            record_property("kbisect.outcome", "ok")
            if n == "run1":
                os._exit(9)
        """
    )
    pytester.runpytest_subprocess("--junitxml=out.xml", "-n2", "--max-worker-restart=0")
    tested = session_report.read(pytester.path / "out.xml", "c" * 40, runs=3, per_run=1, seconds=1)
    assert len(tested.runs) == 3
    assert Outcome.INFRA_FAILED in {run.outcome for run in tested.runs}
    assert Outcome.CRASHED not in {run.outcome for run in tested.runs}


def test_a_reproducer_with_parameters_of_its_own_keeps_its_runs_apart(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("size", ["a", "b"])
        @pytest.mark.parametrize("n", ["run0", "run1", "run2"])
        def test_it(n, size, record_property):
            record_property("kbisect.outcome", "crashed" if (n, size) == ("run1", "b") else "ok")
            assert (n, size) != ("run1", "b")
        """
    )
    pytester.runpytest("--junitxml=out.xml", "-o", "junit_family=xunit1")
    tested = session_report.read(pytester.path / "out.xml", "c" * 40, runs=3, per_run=2, seconds=1)
    assert [run.outcome for run in tested.runs] == [Outcome.OK, Outcome.CRASHED, Outcome.OK]


def test_a_lost_partner_leaves_no_run_good(session) -> None:
    tested = session_report.read(session(("", {"outcome": "ok"})), "c" * 40, runs=1, per_run=2, seconds=1)
    assert [run.outcome for run in tested.runs] == [Outcome.INFRA_FAILED]


def test_of_two_crashes_in_a_run_the_expected_one_counts(session) -> None:
    other = {"outcome": "crashed", "title": "INFO: other", "expected": "WARNING in foo", "run": "0"}
    mine = {**CRASH, "expected": "WARNING in foo", "run": "0"}
    tested = session_report.read(
        session(("failure", other), ("failure", mine)), "c" * 40, runs=1, per_run=2, seconds=1
    )
    assert [run.title for run in tested.runs] == ["WARNING in foo"]


def test_what_one_test_of_a_run_came_to_the_run_came_to(session) -> None:
    """Of several reproducers, one is the bug's."""
    first = {"outcome": "ok", "run": "0", "unreached": "foo"}
    second = {"outcome": "ok", "run": "0", "reached": "foo"}
    tested = session_report.read(session(("", first), ("", second)), "c" * 40, runs=1, per_run=2, seconds=1)
    (run,) = tested.runs
    assert (run.reached, run.unreached) == (("foo",), ())


def test_a_run_shows_what_all_its_tests_show(session) -> None:
    def crash(title: str, **more: str) -> dict[str, str]:
        report = {"title": title, "alt_titles": ["b"], "type": "WARNING", "frame": "f", "text": "the text"}
        return {"outcome": "crashed", "title": title, "run": "0", "report": json.dumps(report), **more}

    xml = session(("failure", crash("WARNING in one", whole="1")), ("failure", crash("WARNING in two")))
    (run,) = session_report.read(xml, "c" * 40, runs=1, per_run=2, seconds=1).runs
    assert (run.title, run.report, run.whole) == ("WARNING in one", "the text", False)
    assert [report.title for report in run.shown] == ["WARNING in one", "WARNING in two"]
    assert run.shown[1].alt_titles == ("b",)
