"""The configuration before the search: what is tried, in which order, and that the journal knows it."""

from __future__ import annotations

import pytest
from miniature import FakeLinux

from pytest_kbisect.bisection import minimizing
from pytest_kbisect.bisection.commit_request import CommitRequest
from pytest_kbisect.bisection.config_wishes import ConfigWishes
from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
from pytest_kbisect.bisection.stages import Plan
from pytest_kbisect.evidence.comparable import is_comparable
from pytest_kbisect.evidence.journal import Journal
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run
from pytest_kbisect.kernel import config
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree, Range
from pytest_kbisect.reports.terminal import TerminalReporter
from pytest_kbisect.strategies.strategy import StrategyKind

EXTRA = ("A", "B", "C", "D", "E", "F", "G", "H", "HIDDEN", "KASAN", "KCOV", "UBSAN", "NEEDED")
UAF = ("KASAN: use-after-free Read in kbx", "KASAN-USE-AFTER-FREE-READ")
OOPS = ("BUG: unable to handle kernel NULL pointer dereference in kbx", "NULL-POINTER-DEREFERENCE")


def crashed(title, kind, code=()):
    return Run(Outcome.CRASHED, title=title, type=kind, frame="kbx", report="Call Trace:\n", code=code)


class Sessions:
    """Sessions on a machine elsewhere: a bug shows where the configuration has all that it needs."""

    def __init__(self, whole, needs, code=("net/needed.o kbx",), crash=UAF, rate=1.0):
        self.whole, self.needs, self.code, self.crash, self.rate = whole, needs, code, crash, rate
        self.texts = []

    def begin(self, order, **_):
        text = order.configuration or self.whole
        self.texts.append(text)
        on = {symbol for symbol, value in config.values(text).items() if value == "y"}
        shown = round(order.runs * self.rate) if self.needs <= on else 0
        runs = [crashed(*self.crash, self.code if order.code else ())] * shown
        runs += [Run(Outcome.OK, code=self.code if order.code else ())] * (order.runs - shown)
        self.result = CommitResult(order.commit, tuple(runs), signature=str(len(on)), build_seconds=60)
        return self

    def poll(self, seconds):
        return self.result

    def close(self):
        pass


@pytest.fixture
def linux(tmp_path):
    linux = FakeLinux(tmp_path / "linux")
    kconfig = (linux.path / "Kconfig").read_text()
    kconfig += "".join(f'config {symbol}\n\tbool "{symbol}"\n\n' for symbol in EXTRA)
    folders = "abcdefgh"
    files = {
        "Kconfig": kconfig,
        "Kbuild": "obj-y += init/ net/\n" + "".join(f"obj-$(CONFIG_{x.upper()}) += {x}/\n" for x in folders),
        "net/Makefile": "obj-$(CONFIG_NEEDED) += needed.o\nobj-$(CONFIG_HIDDEN) += hidden.o\n",
        **{f"{x}/Makefile": f"obj-y += {x}.o\n" for x in folders},
    }
    linux.head = linux.commit("gates", files)
    return linux


@pytest.fixture
def whole(tmp_path, linux):
    symbols = [symbol for symbol, _ in config.for_guest().settings]
    path = tmp_path / "whole.config"
    lines = "".join(f"CONFIG_{symbol}=y\n" for symbol in [*symbols, *EXTRA])
    path.write_text(f"#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1\n#\n{lines}")
    return path


@pytest.fixture
def settle(tmp_path, linux, whole):
    def settle(sessions, *, minimize=True, keep=False, baseline="", name="journal", **plan):
        commit = linux.head
        chosen = Plan(
            ends=Range(good=linux.base, bad=commit),
            strategy=StrategyKind("bayes", lambda problem: None),
            runs=4,
            **plan,
        )
        journal = Journal(tmp_path / f"{name}.jsonl", {})
        reporter = TerminalReporter()
        search = minimizing.ConfigSearch(
            chosen,
            ConfigWishes(minimize, keep, baseline),
            [config.request([whole])],
            BuildRules(None),
            LinuxTree(linux.path, tmp_path / "cache"),
            ExperimentRunner(sessions, journal, reporter, per_run=1),
            reporter,
            tmp_path / "configurations.log",
        )
        settled = search.run()
        return settled, config.values(settled.text), journal

    return settle


def test_what_a_run_executes_is_enough(settle, whole):
    sessions = Sessions(whole.read_text(), {"NEEDED", "KASAN"})
    _settled, now, journal = settle(sessions)
    assert "NEEDED" in now
    assert "KASAN" in now
    assert {"A", "B", "HIDDEN", "UBSAN", "KCOV"}.isdisjoint(now)
    assert "NET" in now  # of the guest
    assert len(sessions.texts) == 3  # the whole one, what it executes, the small one
    assert [record["phase"] for record in journal.records] == ["configuration"] * 3


def test_after_an_interruption_nothing_is_tried_again(settle, whole):
    sessions = Sessions(whole.read_text(), {"NEEDED"})
    first, *_ = settle(sessions)
    assert settle(sessions)[0] == first
    assert len(sessions.texts) == 3


def test_detectors_may_be_kept(settle, whole):
    _, now, _ = settle(Sessions(whole.read_text(), {"NEEDED"}), keep=True)
    assert {"KASAN", "UBSAN", "KCOV"} <= now.keys()
    assert "A" not in now


def test_the_difference_is_halved_until_the_bug_shows(settle, whole, capsys):
    sessions = Sessions(whole.read_text(), {"NEEDED", "F"})
    _settled, now, _ = settle(sessions)
    assert "F" in now
    assert "H" not in now
    assert len(sessions.texts) <= 3 + 4  # ten groups
    assert "halving the difference" in capsys.readouterr().out


def test_a_rate_that_falls_is_no_success(settle, whole):
    class Rare(Sessions):
        def begin(self, order, **words):
            self.rate = 1.0 if not order.configuration or "CONFIG_C=y" in order.configuration else 0.25
            return super().begin(order, **words)

    _, now, _ = settle(Rare(whole.read_text(), {"NEEDED"}))
    assert "C" in now


def test_the_budget_ends_the_halving(settle, whole):
    sessions = Sessions(whole.read_text(), {"NEEDED", "F"})
    settled, _now, _ = settle(sessions, budget=200)
    assert len(sessions.texts) == 4
    assert not settled.text


def test_where_nothing_is_recorded_only_detectors_are_dropped(settle, whole, capsys):
    _settled, now, _ = settle(Sessions(whole.read_text(), {"NEEDED", "KASAN"}, code=()))
    assert {"A", "HIDDEN", "KASAN"} <= now.keys()
    assert {"UBSAN", "KCOV"}.isdisjoint(now)
    assert "not known what a run executes" in capsys.readouterr().out


def test_a_whole_configuration_without_the_bug_is_searched_with(settle, whole):
    settled, *_ = settle(Sessions(whole.read_text(), {"NOTHING HAS IT"}))
    assert not settled.text
    assert "does not show the bug" in settled.words


def test_detectors_are_dropped_in_any_case(settle, whole):
    _, now, _ = settle(Sessions(whole.read_text(), {"NEEDED"}, crash=OOPS), minimize=False)
    assert {"KASAN", "UBSAN", "KCOV"}.isdisjoint(now)
    assert {"A", "HIDDEN", "NEEDED"} <= now.keys()


def test_for_a_crash_that_is_named_the_whole_one_is_not_built(settle, whole):
    sessions = Sessions(whole.read_text(), {"NEEDED", "KASAN"})
    _, now, _ = settle(sessions, minimize=False, crash=frozenset({UAF[0]}))
    assert len(sessions.texts) == 1
    assert "KASAN" in now
    assert "KCOV" not in now


def test_detectors_that_the_bug_needs_after_all_come_back(settle, whole):
    settled, *_ = settle(Sessions(whole.read_text(), {"NEEDED", "KCOV"}), minimize=False)
    assert not settled.text


def test_kept_detectors_cost_no_session(settle, whole):
    sessions = Sessions(whole.read_text(), {"NEEDED"})
    assert not settle(sessions, minimize=False, keep=True)[0].text
    assert not sessions.texts


def test_the_next_bug_begins_with_what_the_last_one_needed(settle, whole):
    settle(Sessions(whole.read_text(), {"NEEDED", "KASAN"}))
    sessions = Sessions(whole.read_text(), {"NEEDED"}, crash=OOPS)
    _settled, now, _ = settle(sessions, name="second")
    assert "NEEDED" in now
    assert {"A", "KASAN", "KCOV"}.isdisjoint(now)
    assert len(sessions.texts) == 2
    assert all("CONFIG_A=y" not in text for text in sessions.texts)


def test_a_baseline_is_tried_first(settle, whole):
    baseline = whole.read_text().replace("CONFIG_A=y\n", "")
    sessions = Sessions(whole.read_text(), {"NEEDED"})
    assert settle(sessions, baseline=baseline)[0].text == baseline
    assert sessions.texts == [baseline]
    useless = whole.read_text().replace("CONFIG_NEEDED=y\n", "")
    sessions = Sessions(whole.read_text(), {"NEEDED"})
    _settled, now, _ = settle(sessions, baseline=useless, name="second")
    assert sessions.texts[0] == useless
    assert "NEEDED" in now


@pytest.mark.parametrize(
    ("small", "whole", "comparable"),
    [
        ((10, 10), (10, 10), True),
        ((0, 10), (1, 10), False),
        ((3, 10), (5, 10), True),
        ((1, 10), (10, 10), False),
    ],
)
def test_comparable_rates(small, whole, comparable):
    assert is_comparable(*small, *whole) is comparable


ORDER = CommitRequest("c" * 40, 3, "the middle", watch=("kbx", "caller"), known=("s",))


@pytest.mark.parametrize(
    ("run", "again"),
    [
        (Run(Outcome.OK, unreached=("kbx",)), True),
        (Run(Outcome.OK, absent=("kbx",), reached=("caller",)), True),
        (Run(Outcome.OK, reached=("kbx",)), False),
        (Run(Outcome.CRASHED, title="x", unreached=("kbx",)), False),
        (Run(Outcome.OK), False),
    ],
)
def test_a_commit_where_no_run_reaches_the_code_is_tested_with_the_whole_configuration(run, again):
    request = minimizing.again_with_whole(ORDER, CommitResult(ORDER.commit, (run,) * 3))
    assert (request is not None) is again
    if request is not None:
        assert request.configuration == ""
        assert not request.known
        assert minimizing.again_with_whole(request, CommitResult(ORDER.commit, (run,))) is None


def test_the_second_session_counts_and_costs_are_of_both(tmp_path):
    class Twice:
        def __init__(self):
            self.orders, self.numbers = [], []

        def begin(self, order, *, number, **_):
            self.orders.append(order)
            self.numbers.append(number)
            outcome = Outcome.OK if order.configuration is None else Outcome.CRASHED
            run = Run(outcome, title="x" * (outcome is Outcome.CRASHED), unreached=("kbx",))
            self.result = CommitResult(order.commit, (run,), build_seconds=10, test_seconds=1)
            return self

        def poll(self, seconds):
            return self.result

        def close(self):
            pass

    launcher, journal = Twice(), Journal(tmp_path / "journal.jsonl", {})
    runner = ExperimentRunner(
        launcher, journal, TerminalReporter(), per_run=1, again=minimizing.again_with_whole
    )
    tested = runner.test(ORDER)
    runner.record(ORDER, tested)
    assert [order.configuration for order in launcher.orders] == [None, ""]
    assert tested.runs[0].outcome is Outcome.CRASHED
    assert (tested.build_seconds, tested.test_seconds) == (20, 2)
    runner.test(ORDER)
    assert launcher.numbers == [1, 2, 3, 4]  # no session takes the folder of another
