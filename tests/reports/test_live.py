"""What a person who watches sees: on a terminal of any width, in a pipe, and with -q and -v."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kbisect.reports import live
from pytest_kbisect.reports.live import Status
from pytest_kbisect.reports.terminal import ANSWER, DETAIL, TerminalReporter

SHA = "abc108fea9eefdc7420aec18bcedb56b9f63c559"
STATUS = Status(
    commit=SHA,
    stage="build",
    percent=45,
    runs=10,
    left=36,
    likely=(("944d36135475" + "0" * 28, 0.24),),
    builds=5,
    spent=760.0,
    remaining=370.0,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What stands on it: carriage returns and erasing obeyed."""
        lines = [""]
        for piece in re.findall(r"\r\x1b\[K|\n|[^\r\n\x1b]+", self.getvalue()):
            if piece == "\n":
                lines.append("")
            elif piece == "\r\x1b[K":
                lines[-1] = ""
            else:
                lines[-1] += piece
        return lines


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Makes standard output one, when it is called: pytest's capture begins anew with the test itself."""

    def begin(term: str = "xterm") -> Terminal:
        made = Terminal()
        monkeypatch.setattr(sys, "stdout", made)
        monkeypatch.setenv("TERM", term)
        monkeypatch.setenv("COLUMNS", "100")
        return made

    return begin


def session(reporter: TerminalReporter) -> None:
    """A step as a session tells it."""
    reporter.begin(STATUS)
    for event in (
        {"say": "note: guests run under TCG"},
        {"say": f"{SHA[:12]}: configure", "stage": "configure"},
        {"say": f"{SHA[:12]}: build, 12 steps", "stage": "build, 12 steps"},
        {"say": f"{SHA[:12]}: build, 57%", "stage": "build", "percent": 57},
        {"say": "note: guests run under TCG"},
        {"outcome": "ok", "title": ""},
        {"outcome": "crashed", "title": "WARNING in foo"},
    ):
        reporter.hear(event, SHA)


def test_a_wide_terminal_shows_all() -> None:
    status = live.heard(STATUS, {"outcome": "crashed", "title": "WARNING in foo"})
    assert live.render([status], 120, elapsed=5.0) == (
        "abc108fea9ee run | 1/10 | WARNING in foo | 36 left | likely 944d36135475 24% | 5 built | 12:45 of ~18:50"
    )


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (79, "abc108fea9ee build 45% | 36 left | 5 built | 12:40 of ~18:50"),
        (39, "abc108fea9ee build 45% | 36 left"),
        (20, "abc108fea9ee build ~"),
    ],
)
def test_a_narrow_one_shows_what_matters_most(width: int, text: str) -> None:
    assert live.render([STATUS], width) == text


def test_several_steps_share_the_line(on_terminal: Callable[[], Terminal]) -> None:
    other = Status(commit="944d36135475" + "0" * 28, runs=10, left=36)
    assert live.render([STATUS, live.heard(other, {"outcome": "ok"})], 79) == (
        "944d36135475 run | 1/10 | abc108fea9ee build 45% | 36 left | 0:00"
    )
    terminal, reporter = on_terminal(), TerminalReporter()
    reporter.begin(STATUS)
    reporter.begin(other)
    reporter.hear({"stage": "run"}, SHA)
    reporter.end(other.commit)
    reporter.hear({"outcome": "ok"}, other.commit)
    assert terminal.screen()[0].startswith("abc108fea9ee run | 0/10 | 36 left")
    reporter.end()
    assert terminal.screen() == [""]


@given(
    st.builds(
        Status,
        commit=st.just(SHA),
        stage=st.text(),
        crash=st.text(),
        done=st.integers(0, 99),
        runs=st.just(9),
    ),
    st.integers(0, 200),
)
def test_the_status_line_never_exceeds_its_width(status: Status, width: int) -> None:
    shown = live.render([live.heard(status, {"stage": status.stage})], width)
    assert live.columns(shown) <= width


def test_wide_letters_count_twice() -> None:
    assert live.columns("内核 e\u0301") == 6
    assert live.cut("内核崩溃", 5) == "内核~"


def test_what_is_left_to_wait() -> None:
    assert live.remaining(None, [10.0]) is None
    assert live.remaining(8, []) is None
    assert live.remaining(8, [1000.0, 10, 10, 10, 10, 10]) == 40.0


def test_on_a_terminal_one_line_comes_and_goes(on_terminal: Callable[[], Terminal]) -> None:
    terminal, reporter = on_terminal(), TerminalReporter()
    session(reporter)
    assert terminal.screen()[0] == "note: guests run under TCG"
    assert terminal.screen()[1].startswith("abc108fea9ee run | 2/10 | WARNING in foo | 36 left")
    reporter.line("testing commit abc")
    assert terminal.screen()[1] == "testing commit abc"
    assert terminal.screen()[2].startswith("abc108fea9ee run")
    reporter.end()
    assert terminal.screen() == ["note: guests run under TCG", "testing commit abc", ""]


def test_a_dumb_terminal_gets_lines(on_terminal: Callable[[str], Terminal]) -> None:
    terminal = on_terminal("dumb")
    session(TerminalReporter())
    assert "\r" not in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()
    assert "   abc108fea9ee: configure\n" in terminal.getvalue()


def test_in_a_pipe_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    session(TerminalReporter())
    assert capsys.readouterr().out.splitlines() == [
        "note: guests run under TCG",
        "   abc108fea9ee: configure",
        "   abc108fea9ee: build",
        "   abc108fea9ee: run 1 of 10",
        "   abc108fea9ee: run 2 of 10, crashed: WARNING in foo",
    ]


def test_quiet_prints_the_answer_only_and_verbose_the_details(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = {}
    for verbosity in (-1, 0, 1):
        reporter = TerminalReporter(verbosity)
        reporter.open(tmp_path / "log")
        reporter.line("the answer", level=ANSWER)
        reporter.line("a step")
        reporter.line("a detail", level=DETAIL)
        session(reporter)
        printed[verbosity] = capsys.readouterr().out.splitlines()
        assert (tmp_path / "log").read_text() == "the answer\na step\na detail\n"
    assert printed[-1] == ["the answer"]
    assert printed[0][:2] == ["the answer", "a step"]
    assert "a detail" not in printed[0]
    assert "a detail" in printed[1]


def test_verbose_shows_events_on_a_terminal_too(on_terminal: Callable[[], Terminal]) -> None:
    terminal = on_terminal()
    session(TerminalReporter(1))
    assert "   abc108fea9ee: run 1 of 10" in terminal.screen()


def test_a_full_disk_stops_the_log_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = TerminalReporter(-1)
    reporter.open(tmp_path / "bisect.log")
    real = Path.open

    def full(path: Path, *words: object, **more: object) -> object:
        if path.name == "bisect.log":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *words, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    reporter.lines(["one", "first bad commit: x"], level=ANSWER)
    assert capsys.readouterr().out.splitlines() == [
        "note: cannot write bisect.log: No space left on device; the bisection goes on without it",
        "one",
        "first bad commit: x",
    ]


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """`pytest ... | head -1`: the bisection goes on, and its log is whole."""
    program = (
        "import sys; from pathlib import Path; from pytest_kbisect.reports.terminal import TerminalReporter\n"
        "reporter = TerminalReporter(); reporter.open(Path(sys.argv[1]))\n"
        "for i in range(20000): reporter.line(f'line {i} of many, long enough to fill a pipe')\n"
        "sys.exit(7)"
    )
    log = tmp_path / "log"
    with subprocess.Popen([sys.executable, "-c", program, str(log)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.wait(60) == 7
    assert log.read_text().count("\n") == 20000


@pytest.mark.parametrize("where", ["a full disk", "a terminal that was closed"])
def test_where_nothing_can_be_printed(tmp_path: Path, where: str) -> None:
    program = (
        "import sys; from pathlib import Path; from pytest_kbisect.reports.terminal import TerminalReporter\n"
        "reporter = TerminalReporter(); reporter.open(Path(sys.argv[1]))\n"
        "for i in range(3): reporter.line(f'line {i}')\n"
        "sys.exit(7)"
    )
    if where == "a full disk":
        stdout = os.open("/dev/full", os.O_WRONLY)
    else:
        master, stdout = os.openpty()
        os.close(master)
    log = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", program, str(log)], stdout=stdout, check=False)
    os.close(stdout)
    assert done.returncode == 7
    assert log.read_text() == "line 0\nline 1\nline 2\n"


def test_a_terminal_that_knows_ascii_only_gets_question_marks() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    program = "from pytest_kbisect.reports.terminal import TerminalReporter; TerminalReporter().line('Ñandú')"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert done.stdout == b"?and?\n"
