"""What a run comes to where others have a say, fixtures and plugins; with a guest that is none."""

from __future__ import annotations

import pytest
from junitparser import JUnitXml

from pytest_kbisect.bisection.outcome import Outcome
from pytest_kbisect.bisection.session_report import read

CONFTEST = """
    import contextlib
    from types import SimpleNamespace
    import pytest
    from pytest_kbisect.crash import CrashReport
    from pytest_kbisect.errors import KernelCrash
    from pytest_kbisect.reports.testreport import CommandTimeoutError

    CRASH = KernelCrash(CrashReport(title="BUG: in umount", type="BUG", report="at once"))

    class Guest:
        boot_seconds = restore_seconds = 0.0
        boot_number, boot_reports, unsettled, crash = None, (), False, None

        def run(self, command):
            self.unsettled = False
            if command == "umount /at-once":
                raise CRASH
            if command == "umount /later":
                self.crash = CRASH
            if command == "umount /busy":
                raise RuntimeError("busy")
            if command == "umount /stuck":
                raise CommandTimeoutError("'umount' still ran after 30 s")
            self.unsettled = True

        def settle(self):
            self.unsettled = False
            if self.crash:
                raise self.crash

    class Session:
        def console_folder(self, name): return __import__("pathlib").Path(name)
        def guest(self, kernel, needs, name): return contextlib.nullcontext(Guest())
        def watch(self, guest, kernel): return None

    @pytest.fixture
    def kbisect_session(): return Session()

    @pytest.fixture
    def kernel(kbisect_session): return SimpleNamespace()

    @pytest.fixture
    def mounted(vm, request):
        vm.run("mount")
        yield
        vm.run("umount " + request.param)
"""


@pytest.mark.parametrize(
    ("test", "umount", "outcome", "title"),
    [
        ("pass", "/at-once", Outcome.CRASHED, "BUG: in umount"),
        ("pass", "/later", Outcome.CRASHED, "BUG: in umount"),
        ("pass", "/busy", Outcome.INFRA_FAILED, "busy"),
        ("pass", "/stuck", Outcome.CRASHED, "test failed: 'umount' still ran after 30 s"),
        ("pass", "/well", Outcome.OK, ""),
        ("assert 1 == 2", "/busy", Outcome.CRASHED, "test failed: assert 1 == 2"),
        ("assert 1 == 2", "/well", Outcome.CRASHED, "test failed: assert 1 == 2"),
        ("vm.run('umount /at-once')", "/well", Outcome.CRASHED, "BUG: in umount"),
    ],
)
def test_a_crash_while_a_fixture_cleans_up_is_the_runs(
    pytester: pytest.Pytester, test: str, umount: str, outcome: Outcome, title: str
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(f"""
        import pytest

        @pytest.mark.parametrize("mounted", ["{umount}"], indirect=True)
        def test_it(vm, mounted):
            {test}
    """)
    xml = pytester.path / "junit.xml"
    pytester.runpytest("--kbisect-runs", "1", "--junitxml", str(xml))
    (run,) = read(xml, "c0ffee", runs=1, per_run=1, seconds=1.0).runs
    assert (run.outcome, run.title) == (outcome, title)
    assert len(list(JUnitXml.fromfile(str(xml)))) == 1


@pytest.mark.parametrize(
    ("name", "text", "outcome"),
    [
        ("slow.sh", "sleep 20", Outcome.INFRA_FAILED),
        ("test_slow.py", "def test_it(vm): vm.run('sleep 20')", Outcome.CRASHED),
    ],
)
def test_what_a_plugin_fails_in_a_shell_reproducer_is_no_crash(
    pytester: pytest.Pytester, name: str, text: str, outcome: Outcome
) -> None:
    """Such a file says nothing of what is to come out: what it is failed by was not the kernel."""
    pytester.makeconftest(f"""{CONFTEST}
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call():
        pytest.fail("Timeout (>12.0s) from pytest-timeout.")
    """)
    pytester.path.joinpath(name).write_text(text)
    xml = pytester.path / "junit.xml"
    pytester.runpytest(name, "--kbisect-runs", "1", "--junitxml", str(xml))
    (run,) = read(xml, "c0ffee", runs=1, per_run=1, seconds=1.0).runs
    assert run.outcome is outcome
    assert "Timeout (>12.0s) from pytest-timeout." in run.title
