"""What a run comes to where others have a say, fixtures and plugins; with a guest that is none."""

from __future__ import annotations

from textwrap import dedent

import pytest
from junitparser import JUnitXml

from pytest_kbisect.bisection.session_report import read
from pytest_kbisect.evidence.outcome import Outcome, Run
from pytest_kbisect.session.session_request import SessionRequest

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
        boot_number, boot_reports, unsettled, due = None, (), False, None

        def expect(self, ends_run):
            pass

        def crash(self):
            return None

        def run(self, command):
            self.unsettled = False
            if command == "umount /at-once":
                raise CRASH
            if command == "umount /later":
                self.due = CRASH
            if command == "umount /busy":
                raise RuntimeError("busy")
            if command == "umount /stuck":
                raise CommandTimeoutError("'umount' still ran after 30 s")
            self.unsettled = True

        def settle(self):
            self.unsettled = False
            if self.due:
                raise self.due

    class Session:
        ran_on = ""

        def console_folder(self, name): return __import__("pathlib").Path(name)
        def guest(self, kernel, needs, name, **_): return contextlib.nullcontext(Guest())
        def watch(self, guest, kernel, asked): return None
        def record(self, guest): return None

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
        ("pass", "/stuck", Outcome.FAILED, "test failed: 'umount' still ran after NUM s"),
        ("pass", "/well", Outcome.OK, ""),
        ("assert 1 == 2", "/busy", Outcome.FAILED, "test failed: assert NUM == NUM"),
        ("assert 1 == 2", "/well", Outcome.FAILED, "test failed: assert NUM == NUM"),
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
        ("test_slow.py", "def test_it(vm): vm.run('sleep 20')", Outcome.FAILED),
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
    assert "Timeout (>12.0s) from pytest-timeout." in (run.said or run.title)


CONSOLE = """
    import contextlib
    from pathlib import Path
    from types import SimpleNamespace
    import pytest
    from pytest_kbisect.guest.console import Console
    from pytest_kbisect.reports.testreport import CommandTimeoutError
    from pytest_kbisect.guest.watch import ConsoleWatch
    from pytest_kbisect.guest.vm import Guest as Real

    def warning(name):
        return "".join(f"[   12.00000{n}][   T50] {line}\\n" for n, line in enumerate([
            f"WARNING: CPU: 0 PID: 50 at fs/pipe.c:211 {name}+0x12/0x40", "Modules linked in:",
            f"RIP: 0010:{name}+0x12/0x40", "Call Trace:", f" {name}+0x12/0x40", " kbx_ioctl+0x1/0x20",
            " do_syscall_64+0x1/0x20", "---[ end trace 0000000000000000 ]---"]))

    def panic(why):
        return f"[   12.100000][   T50] Kernel panic - not syncing: {why}\\n"

    class Guest:
        '''Prints what it is told to run. Its console is read as a real one is.'''
        boot_seconds = restore_seconds = 0.0
        boot_number, boot_reports, unsettled, up = None, (), False, True

        def __init__(self, path):
            self.path, self.ran = path, []
            path.write_bytes(b"")
            self.qemu = SimpleNamespace(
                running=lambda: self.up, ended_by=lambda: "guest-reset", machine=SimpleNamespace(disk=None)
            )
            self._watch = ConsoleWatch(self.qemu, Console(path))

        expect, crash = Real.expect, Real.crash

        def run(self, text):
            self.ran.append(text)
            with self.path.open("a") as file:
                file.write(text)
            self.up = "panic" not in text
            self._watch.look()

        def settle(self):
            self.run("end of run\\n")
            self._watch.read_up_to(b"end of run")

    class Session:
        ran_on = ""

        folder = Path("consoles")
        def console_folder(self, name): return self.folder
        def guest(self, kernel, needs, name, **_):
            self.folder.mkdir(exist_ok=True)
            return contextlib.nullcontext(Guest(self.folder / "console.log"))
        def watch(self, guest, kernel, asked): return None
        def record(self, guest): return None

    @pytest.fixture
    def kbisect_session(): return Session()

    @pytest.fixture
    def kernel(kbisect_session): return SimpleNamespace()
"""


def made(pytester: pytest.Pytester, test: str, **asked: object) -> Run:
    """The one run of a session with this test; `asked` is what the session request asks for."""
    pytester.makeconftest(CONSOLE)
    pytester.makepyfile(f"from conftest import *\n{dedent(test)}")
    xml = pytester.path / "junit.xml"
    request = pytester.path / "request.json"
    SessionRequest(**asked).write(request)
    pytester.runpytest("--kbisect-runs", "1", "--junitxml", str(xml), "--kbisect-request", str(request))
    (run,) = read(xml, "c0ffee", runs=1, per_run=1, seconds=1.0).runs
    return run


def titles(run: Run) -> list[str]:
    return [report.title for report in run.shown]


TWO_BUGS = """
    @pytest.mark.kbisect(crash={crash!r})
    def test_it(vm):
        vm.run(warning("foo"))
        vm.run(warning("bar"))
        vm.run(warning("baz"))
        Path("done").write_text("")
"""


@pytest.mark.parametrize(
    ("crash", "known_by", "shown", "done"),
    [
        ((), "foo", ["foo", "bar", "baz"], True),
        ("WARNING in bar", "bar", ["foo", "bar"], False),
        ("WARNING in foo", "foo", ["foo"], False),
        ("WARNING in another", "foo", ["foo", "bar", "baz"], True),
    ],
)
def test_a_warning_ends_a_run_only_if_it_is_looked_for(pytester, crash, known_by, shown, done) -> None:
    run = made(pytester, TWO_BUGS.format(crash=crash))
    assert (run.outcome, run.title, run.frame) == (Outcome.CRASHED, f"WARNING in {known_by}", known_by)
    assert titles(run) == [f"WARNING in {name}" for name in shown]
    assert all(f"{name}+0x12/0x40" in report.report for name, report in zip(shown, run.shown, strict=True))
    assert (pytester.path / "done").exists() is run.whole is done


def test_a_bisection_says_what_is_looked_for(pytester) -> None:
    run = made(pytester, TWO_BUGS.format(crash=()), expect=("WARNING in bar",))
    assert titles(run) == ["WARNING in foo", "WARNING in bar"]
    assert run.title == "WARNING in bar"


@pytest.mark.parametrize("setting", ["panic_on_warn", ""])
def test_a_panic_ends_a_run_and_the_setting_that_made_it_one_is_told(pytester, setting) -> None:
    why = "kernel: panic_on_warn set ..." if setting else "Attempted to kill init!"
    run = made(
        pytester,
        f"""
        def test_it(vm):
            vm.run(warning("foo") + panic({why!r}))
            vm.run(warning("bar"))
        """,
    )
    assert titles(run)[0] == "WARNING in foo"
    assert "WARNING in bar" not in titles(run)
    assert "unexpected kernel reboot" not in titles(run)
    assert (run.whole, run.cut_short) == (False, setting)


@pytest.mark.parametrize(
    ("end", "more"),
    [
        ("assert 1 == 2", ["test failed: assert NUM == NUM"]),
        (
            "raise CommandTimeoutError('it still ran after 30 s')",
            ["test failed: it still ran after NUM s"],
        ),
        ("pytest.skip('no')", []),
        ("pass", []),
    ],
)
def test_what_a_test_failed_by_itself_is_told_beside_a_warning(pytester, end, more) -> None:
    run = made(
        pytester,
        f"""
        def test_it(vm):
            vm.run(warning("foo"))
            {end}
        """,
    )
    assert titles(run) == ["WARNING in foo", *more]
    assert run.whole is (end == "pass")


def test_what_is_reported_while_a_fixture_cleans_up_is_added(pytester) -> None:
    run = made(
        pytester,
        """
        @pytest.fixture
        def mounted(vm):
            yield
            vm.run(warning("umount"))
            vm.unsettled = True

        def test_it(vm, mounted):
            vm.run(warning("foo"))
        """,
    )
    assert titles(run) == ["WARNING in foo", "WARNING in umount"]
    assert run.title == "WARNING in foo"
