"""Whole bisections where something stands before the bug: another report, or a refusal.

The histories are real git; the kernels are made up, by the words in the file `bug` of a commit.
"""

from __future__ import annotations

import pytest
from test_stages import Ended, culprit_of
from worlds import KINDS

from pytest_kbisect.bisection.conclusion import last_words, result_of
from pytest_kbisect.bisection.driver import _exit_code
from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
from pytest_kbisect.bisection.stages import Bisection, Plan
from pytest_kbisect.errors import ExitCode
from pytest_kbisect.evidence.journal import Journal
from pytest_kbisect.evidence.outcome import CommitResult as Found
from pytest_kbisect.evidence.outcome import Outcome, Report, Run
from pytest_kbisect.kernel.tree import LinuxTree
from pytest_kbisect.reports.terminal import TerminalReporter
from pytest_kbisect.strategies.strategy import AnswerKind

STACK = ("store", "check", "control")
TRACE = "Call Trace:\n" + "".join(f" {name}+0x1/0x2\n" for name in (*STACK, "do_syscall_64"))
BUG = Report("WARNING in store", type="WARNING", frame="store", report=TRACE)
MASK = Report("WARNING in check", type="WARNING", frame="check")
ALWAYS = Report("WARNING in boot", type="WARNING", frame="boot")


class FakeLauncher:
    """A commit's file `bug` says what its runs do.

    always: show a warning of no interest; mask: come to another bug first, oops: and die of it; refuses:
    do not come to the bug; lacks: do not have its code; bug: have it.
    """

    def __init__(self, tree):
        self.tree = tree
        self.asked = []

    def begin(self, order, **_):
        self.asked.append(order.commit)
        return Ended(self._found(order))

    def _found(self, order):
        words = self.tree.read("show", f"{order.commit}:bug").split()
        signature = self.tree.tree_hash(order.commit)
        if signature in order.known:
            return Found(order.commit, signature=signature, build_seconds=1)
        run = self._run(words, order)
        ends = order.stop is not None and any(
            not order.stop or report.title in order.stop for report in run.shown
        )
        runs = (run,) * (1 if ends else order.runs)
        return Found(order.commit, runs, signature, "gcc", build_seconds=60, test_seconds=5)

    def _run(self, words, order):
        shown, came_to = [], ["control", "check"]
        if "always" in words:
            shown.append(ALWAYS)
        if "mask" in words or "oops" in words:
            shown.append(MASK)
        alive = "oops" not in words and "refuses" not in words and "lacks" not in words
        if alive:
            came_to.append("store")
            shown += [BUG] if "bug" in words else []
        at = next((n for n, report in enumerate(shown) if report.title in order.expect), None)
        cut = shown if at is None else shown[: at + 1]
        watched = [name for name in order.watch if not ("lacks" in words and name == "store")]
        facts = {
            "reached": tuple(name for name in watched if name in came_to),
            "unreached": tuple(name for name in watched if name not in came_to),
            "absent": tuple(name for name in order.watch if name not in watched),
            "idle": ("",) if order.idle else (),
            "seconds": 1.0,
        }
        if not cut:
            return Run(Outcome.OK, **facts)
        known = cut[-1] if at is not None else cut[0]
        return Run(
            Outcome.CRASHED,
            title=known.title,
            type=known.type,
            frame=known.frame,
            report=known.report,
            reports=tuple(cut) if len(cut) > 1 else (),
            whole=at is None and "oops" not in words,
            **facts,
        )


@pytest.fixture(params=["bayes", "classic"])
def bisect(request, tmp_path, linux):
    def run(*spans, fix=False, crash=()):
        """Commits of these spans, (how many, words); returns their hashes, the finding and the launcher."""
        made = [
            linux.commit(f"{words} {n}", bug=f"{words}\n", number=f"{len(spans)} {i} {n}\n")
            for i, (count, words) in enumerate(spans)
            for n in range(count)
        ]
        tree = LinuxTree(linux.path, tmp_path / "cache")
        ends = tree.parse_range(f"{made[0]}..{made[-1]}")
        plan = Plan(ends=ends, fix=fix, strategy=KINDS[request.param], runs=4, crash=frozenset(crash))
        folder = tmp_path / "result"
        folder.mkdir()
        reporter = TerminalReporter()
        reporter.open(folder / "bisect.log")
        launcher = FakeLauncher(tree)
        runner = ExperimentRunner(launcher, Journal(folder / "journal.jsonl", {}), reporter, per_run=1)
        finding = Bisection(plan, tree, runner, reporter).run()
        told = result_of(finding)
        reporter.lines(last_words(finding, told, tree, pytest.fail))
        run.log = (folder / "bisect.log").read_text()
        run.told, run.exit, run.launcher = told, _exit_code(finding, plan, told), launcher
        run.commits = len(dict.fromkeys(launcher.asked))
        return made, finding

    run.strategy = request.param
    return run


def test_a_warning_before_the_bug_does_not_hide_it(bisect):
    made, finding = bisect((12, "no"), (8, "mask"), (8, "mask bug"), (12, "bug"))
    assert culprit_of(finding) == made[20]
    assert bisect.exit == ExitCode.FOUND
    assert bisect.commits <= 10
    assert "crashed: WARNING in store\n" in bisect.log
    assert "# also reported: WARNING in check (in " in bisect.log
    counts = [one["reports"] for one in bisect.told.tested]
    assert any({"WARNING in check", "WARNING in store"} <= count.keys() for count in counts)


def test_a_warning_of_the_whole_range_is_no_part_of_the_bug(bisect):
    """Both reports come every time at the bad end: which of them is the bug's, the good end knows."""
    made, finding = bisect((15, "always"), (15, "always bug"))
    assert culprit_of(finding) == made[15]
    assert bisect.told.crash == "WARNING in store"
    assert bisect.commits <= 9


def test_of_two_bugs_the_one_that_the_reproducer_names_is_found(bisect):
    spans = (8, "no"), (10, "mask"), (12, "mask bug")
    made, finding = bisect(*spans, crash=["WARNING in store"])
    assert culprit_of(finding) == made[18]


def test_a_refusal_is_not_taken_for_the_bugs_absence(bisect, capsys):
    """The bug is older than the window in which the reproducer does not come to it."""
    made, finding = bisect((8, "no"), (4, "bug"), (20, "refuses bug"), (10, "bug"))
    if finding.answer.kind is AnswerKind.CULPRIT:
        assert culprit_of(finding) == made[8]
    else:
        assert made[8] in {sha for sha, _, _ in bisect.told.candidates}
        assert bisect.exit == ExitCode.INCONCLUSIVE
    assert "ended well without executing store: they say nothing of the bug" in bisect.log
    assert "# runs that come to the bug execute store, check, control" in bisect.log


def test_the_commit_that_brings_the_code_with_the_bug_is_a_sure_answer(bisect):
    made, finding = bisect((15, "lacks"), (15, "bug"))
    assert culprit_of(finding) == made[15]
    assert bisect.exit == ExitCode.FOUND
    assert "# not in this kernel's source: store" in bisect.log
    assert not bisect.told.flags


def test_where_no_commit_without_the_bug_comes_to_its_code_the_answer_is_not_sure(bisect, capsys):
    """Not even the good end: found is what opens the way, and it is said."""
    made, finding = bisect((15, "refuses"), (15, "bug"))
    assert culprit_of(finding) == made[15]
    assert bisect.told.flags == ("unreached",)
    assert bisect.exit == ExitCode.INCONCLUSIVE
    assert "came to the code of the crash: the bug may be older" in capsys.readouterr().err
    assert "the search is for the commit that opens the way there" in bisect.log


def test_a_fix_may_close_the_way(bisect):
    made, finding = bisect((15, "bug"), (15, "refuses bug"), fix=True)
    assert culprit_of(finding) == made[15]
    assert bisect.exit == ExitCode.FOUND
    assert bisect.told.flags == ("unreached",)
