"""Whole bisections over real git histories; only the kernels are made up: a file says whether they crash."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from worlds import KINDS

from pytest_kbisect.bisection.commit_request import CommitRequest
from pytest_kbisect.bisection.conclusion import crash_words, last_words, looked_up, reason_of, result_of
from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
from pytest_kbisect.bisection.remarks import remarks
from pytest_kbisect.bisection.replay import read_log
from pytest_kbisect.bisection.search import Rules, Search
from pytest_kbisect.bisection.stages import Bisection, Plan
from pytest_kbisect.evidence.by_kernel import Evidence
from pytest_kbisect.evidence.journal import Journal, read_records
from pytest_kbisect.evidence.outcome import CommitResult as Found
from pytest_kbisect.evidence.outcome import Outcome, Run, Verdict
from pytest_kbisect.history.candidates import GOOD_END, History
from pytest_kbisect.kernel.tree import LinuxTree
from pytest_kbisect.reports.terminal import TerminalReporter
from pytest_kbisect.strategies.bayes import Bayes
from pytest_kbisect.strategies.strategy import Answer, AnswerKind, Experiment, Strategy

CRASH = Run(Outcome.CRASHED, title="WARNING in foo", type="WARNING", frame="foo", seconds=1)
OK = Run(Outcome.OK, seconds=1)


class Ended:
    """A session that is over as soon as anybody looks."""

    def __init__(self, tested):
        self.tested = tested

    def poll(self, seconds):
        return self.tested

    def close(self):
        pass


_known = {}


def contents(tree, commit):
    """What a commit's file `bug` says, and the hash of its tree; equal commits of all tests are read once."""
    if commit not in _known:
        _known[commit] = tree.read("show", f"{commit}:bug").strip(), tree.tree_hash(commit)
    return _known[commit]


class FakeLauncher:
    """Finds in a commit what its file `bug` says: yes, no, broken (does not build).

    `arrives`: runs come to the function of the crash.
    """

    def __init__(self, tree, *, arrives=True):
        self.tree = tree
        self.arrives = arrives
        self.asked = []

    def begin(self, order, **_):
        self.asked.append(order.commit)
        return Ended(self._found(order))

    def _found(self, order):
        commit, watch = order.commit, order.watch
        word, signature = contents(self.tree, commit)
        if word == "broken":
            return Found(commit, build_error="error: it does not build", build_seconds=1)
        if signature in order.known:
            return Found(commit, signature=signature, build_seconds=1)
        ok = replace(OK, reached=watch) if self.arrives else replace(OK, unreached=watch)
        crash = replace(CRASH, reached=watch, idle=("",) if order.idle else ())
        ends = [crash if word == "yes" else ok] * order.runs
        ends = ends[:1] if order.stop is not None and word == "yes" else ends
        build = 0 if commit in self.asked[:-1] else 60
        return Found(commit, tuple(ends), signature, "gcc", build_seconds=build, test_seconds=5)


@pytest.fixture(params=["bayes", "bayes, three at once", "classic"])
def bisect(request, tmp_path, linux):
    strategy, _, more = request.param.partition(", ")
    at_once = 3 if more else 1

    def run(range_, *, folder="result", launcher=None, **wishes):
        tree = LinuxTree(linux.path, tmp_path / "cache")
        ends = tree.parse_range(range_)
        plan = Plan(ends=ends, strategy=KINDS[strategy], at_once=at_once, **wishes)
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        reporter = TerminalReporter()
        reporter.open(path / "bisect.log")
        bench = launcher or FakeLauncher(tree)
        runner = ExperimentRunner(
            bench, Journal(path / "journal.jsonl", {"range": range_}), reporter, per_run=1
        )
        return Bisection(plan, tree, runner, reporter).run()

    run.at_once, run.strategy = at_once, strategy
    return run


def culprit_of(finding):
    assert finding.answer.kind is AnswerKind.CULPRIT, finding.answer
    return finding.search.sha(finding.answer.culprit)


def test_the_culprit_and_the_end_without_it(linux, bisect):
    good = linux.git("rev-parse", "HEAD")
    linux.grow(5, "before")
    bad = linux.commit("the culprit", bug="yes\n")
    linux.grow(6, "after")
    finding = bisect(f"{good}..HEAD")
    assert culprit_of(finding) == bad
    assert finding.revert.outcome == "passed"
    assert finding.revert.total >= 4
    assert finding.answer.confidence >= 0.95


class TwoCauses(FakeLauncher):
    """A file `second` may say that there is another cause of the same crash."""

    def _found(self, order):
        found = super()._found(order)
        status, text, _ = self.tree.ask("show", f"{order.commit}:second")
        crashes = not status and text == b"yes\n" and found.runs
        return replace(found, runs=(CRASH,) * len(found.runs)) if crashes else found


def test_a_revert_that_does_not_help_lowers_the_confidence(linux, bisect, tmp_path):
    good = linux.git("rev-parse", "HEAD")
    linux.grow(3, "before")
    culprit = linux.commit("the culprit", bug="yes\n")
    linux.commit("a second cause", second="yes\n")
    linux.grow(2, "after")
    tree = LinuxTree(linux.path, tmp_path / "cache")
    finding = bisect(f"{good}..HEAD", launcher=TwoCauses(tree))
    assert culprit_of(finding) == culprit
    assert finding.revert.outcome == "crashed"
    assert finding.revert.crashed == finding.revert.total > 0
    assert 0.5 < finding.answer.confidence < 0.95
    told = result_of(finding)
    assert told.confidence == finding.answer.confidence
    words = "\n".join(last_words(finding, told, tree, pytest.fail))
    assert "WARNING: the end of the range without the culprit crashed in" in words
    assert "there is more to this crash" in words


def test_a_kernel_that_does_not_build_is_none_that_was_built(linux, bisect):
    good = linux.git("rev-parse", "HEAD")
    linux.commit("does not build", bug="broken\n")
    linux.commit("the culprit", bug="yes\n")
    made = bisect(f"{good}..HEAD").search.runner.made
    assert any(one.build_error for one in made)
    assert result_of(bisect(f"{good}..HEAD")).builds == sum(not one.build_error for one in made)


def test_a_revert_that_fails_for_another_reason_leaves_the_confidence(linux, bisect, tmp_path):
    """It does not build without the culprit: that says nothing of the answer."""
    good = linux.git("rev-parse", "HEAD")
    linux.grow(3, "before")
    linux.commit("the culprit", bug="yes\n")
    linux.grow(2, "after")
    launcher = FakeLauncher(LinuxTree(linux.path, tmp_path / "cache"))
    found = launcher._found
    launcher._found = lambda order: (
        Found(order.commit, build_error="error: it needs the culprit")
        if order.phase == "revert"
        else found(order)
    )
    finding = bisect(f"{good}..HEAD", launcher=launcher)
    assert (finding.revert.outcome, finding.revert.why) == ("not-built", "error: it needs the culprit")
    assert finding.answer.confidence >= 0.95


def test_what_cannot_be_reverted_is_said(linux, bisect):
    good = linux.git("rev-parse", "HEAD")
    linux.grow(3, "before")
    culprit = linux.commit("the culprit", bug="yes\n", other="1\n")
    linux.commit("builds on it", other="2\n")
    linux.grow(2, "after")
    finding = bisect(f"{good}..HEAD")
    assert culprit_of(finding) == culprit
    assert (finding.revert.outcome, finding.answer.confidence >= 0.95) == ("conflict", True)


@pytest.mark.parametrize("arrives", [True, False])
def test_whether_the_parent_came_to_the_code_of_the_crash_is_told(linux, bisect, tmp_path, arrives):
    good = linux.git("rev-parse", "HEAD")
    linux.grow(5, "before")
    bad = linux.commit("the culprit", bug="yes\n")
    linux.grow(6, "after")
    tree = LinuxTree(linux.path, tmp_path / "cache")
    finding = bisect(f"{good}..HEAD", launcher=FakeLauncher(tree, arrives=arrives))
    assert culprit_of(finding) == bad
    told = result_of(finding)
    assert (told.confirmation["reached"], told.confirmation["unreached"]) == (
        (["foo"], []) if arrives else ([], ["foo"])
    )
    assert ("unreached" in told.flags) is not arrives
    words = "\n".join([*last_words(finding, told, tree, pytest.fail), *crash_words(told)])
    assert ("reached foo (its runs reached none of these): the bug may be there" in words) is not arrives
    assert ("does not crash, and its runs reached foo" in words) is arrives


@pytest.fixture
def releases(linux):
    """v6.1 (good) ... v6.9, four commits each; the bug comes in after v6.3."""
    linux.git("tag", "v6.1")
    shas = {}
    for n in range(2, 10):
        linux.grow(3, f"towards{n}-")
        shas[n] = linux.commit(f"Linux 6.{n}", tag=f"v6.{n}")
        if n == 3:
            shas["culprit"] = linux.commit("the culprit", bug="yes\n")
    linux.grow(2, "after")
    return shas


def test_the_good_end_is_found_among_the_releases(releases, bisect, tmp_path):
    finding = bisect("..HEAD")
    assert culprit_of(finding) == releases["culprit"]
    log = (tmp_path / "result" / "bisect.log").read_text()
    assert "testing release v6.9" in log
    assert "picked [v6.9 v6.8 v6.7 v6.5 v6.3 v6.1] out of 9 release tags" in log


def test_the_log_says_what_it_is_of(linux, bisect, tmp_path):
    """So that it can be replayed without its journal."""
    linux.grow(2)
    linux.commit("the culprit", bug="yes\n")
    first, last = linux.git("rev-parse", "HEAD~2", "HEAD").split()
    bisect(f"{first}..{last}")
    log = read_log((tmp_path / "result" / "bisect.log").read_text())
    assert log.marks[:2] == [(Verdict.BAD, last), (Verdict.GOOD, first)]


def test_the_journal_says_where_the_search_began(releases, linux, bisect, tmp_path):
    for _ in range(2):  # resumed, it says so no second time
        finding = bisect("..HEAD")
    records = read_records(tmp_path / "result" / "journal.jsonl")
    begins = [record for record in records if record["kind"] == "search"]
    assert begins == [{"kind": "search", "good": finding.search.good, "trusted": False}]


def test_a_release_of_two_names_is_tested_once(releases, linux, bisect, tmp_path):
    for n in range(2, 10):
        linux.git("tag", f"v6.{n}.0", releases[n])
    finding = bisect("..HEAD")
    assert culprit_of(finding) == releases["culprit"]
    log = (tmp_path / "result" / "bisect.log").read_text()
    assert "picked [v6.9 v6.8 v6.7 v6.5 v6.3 v6.1] out of 9 release tags" in log


def test_every_release_is_bad(linux, bisect):
    linux.commit("the culprit", bug="yes\n")
    for n in range(2, 6):
        linux.grow(1, f"towards{n}-")
        linux.git("tag", f"v6.{n}")
    linux.grow(2, "after")
    finding = bisect("..HEAD")
    assert finding.answer.kind is AnswerKind.BAD_AT_OLDEST
    assert "v6.2, the oldest release to test" in finding.answer.reason


class Rare(FakeLauncher):
    """A launcher where the bug shows in every other run, but at first in none of v6.9.

    `journal`: runs that were made before are counted too.
    """

    def __init__(self, tree, linux, journal):
        super().__init__(tree)
        self.late = {linux.git("rev-parse", "v6.9"): 8}
        self.made = {}
        for line in journal.read_text().splitlines() if journal.exists() else ():
            tested = json.loads(line).get("tested", {"commit": "", "runs": ()})
            self.made[tested["commit"]] = self.made.get(tested["commit"], 0) + len(tested["runs"])

    def _found(self, order):
        commit, runs = order.commit, order.runs
        if contents(self.tree, commit)[0] != "yes":
            return super()._found(order)
        made = self.made.get(commit, 0)
        shows = [n >= self.late.get(commit, 0) and n % 2 == 0 for n in range(made, made + runs)]
        first = shows.index(True) + 1 if order.stop is not None and True in shows else runs
        self.made[commit] = made + first
        ends = tuple(CRASH if shown else replace(OK, reached=order.watch) for shown in shows[:first])
        return Found(commit, ends, f"of {commit}", "gcc", build_seconds=60, test_seconds=5)


def test_a_release_that_crashes_after_all_is_no_good_end(releases, linux, bisect, tmp_path):
    """A few runs of v6.9 ended ok by chance: the search from there finds out, and the walk goes on."""
    if bisect.strategy == "classic":
        pytest.skip("git bisect's order believes what it was told")

    def rare(folder):
        journal = tmp_path / folder / "journal.jsonl"
        launcher = Rare(LinuxTree(linux.path, tmp_path / "cache"), linux, journal)
        return bisect("..HEAD", folder=folder, launcher=launcher)

    whole = rare("result")
    assert culprit_of(whole) == releases["culprit"]
    log = (tmp_path / "result" / "bisect.log").read_text()
    assert "# v6.9 crashes too: on to an older release" in log
    if bisect.at_once > 1:
        return
    lines = (tmp_path / "result" / "journal.jsonl").read_text().splitlines(keepends=True)
    for count in range(1, len(lines) + 1, 4):
        folder = tmp_path / f"cut{count}"
        folder.mkdir()
        (folder / "journal.jsonl").write_text("".join(lines[:count]))
        again = rare(folder.name)
        assert again.answer == whole.answer
        assert [one.commit for one in again.search.runner.made] == [
            one.commit for one in whole.search.runner.made
        ]


def test_no_release_at_all(linux, bisect):
    linux.commit("the culprit", bug="yes\n")
    finding = bisect("..HEAD")
    assert finding.answer.kind is AnswerKind.UNTESTABLE
    assert "contains no release tag" in finding.answer.reason


def test_not_reproduced_tests_no_release(releases, linux, bisect):
    linux.commit("repaired", bug="no\n")
    finding = bisect("..HEAD")
    assert finding.answer.kind is AnswerKind.NOT_REPRODUCED
    assert len(finding.search.found) == 1


def test_ends_on_two_branches(linux, bisect, tmp_path):
    linux.grow(2, "common")
    linux.git("checkout", "-q", "-b", "stable")
    linux.grow(2, "stable")
    linux.git("checkout", "-q", "main")
    linux.grow(3, "main")
    culprit = linux.commit("the culprit", bug="yes\n")
    linux.grow(2, "after")
    finding = bisect("stable..main")
    assert culprit_of(finding) == culprit
    base = linux.git("merge-base", "stable", "main")
    assert -1 in finding.search.found
    assert finding.search.good == base
    told = result_of(finding)
    assert told.named_good == linux.git("rev-parse", "stable")


def test_ends_on_two_branches_that_part_after_the_bug(linux, bisect):
    linux.commit("the culprit", bug="yes\n")
    linux.git("checkout", "-q", "-b", "stable")
    linux.commit("repaired", bug="no\n")
    linux.git("checkout", "-q", "main")
    linux.grow(5, "main")
    finding = bisect("stable..main")
    assert finding.answer.kind is AnswerKind.BAD_AT_GOOD_END


def test_a_repair(linux, bisect):
    bad = linux.commit("the bug", bug="yes\n")
    linux.grow(5, "before")
    repair = linux.commit("the repair", bug="no\n")
    linux.grow(6, "after")
    finding = bisect(f"{bad}..HEAD", fix=True)
    assert culprit_of(finding) == repair
    assert finding.revert.outcome == "passed", "without the repair it crashes again"


def test_no_repair(linux, bisect):
    bad = linux.commit("the bug", bug="yes\n")
    linux.grow(5, "after")
    assert bisect(f"{bad}..HEAD", fix=True).answer.kind is AnswerKind.NOT_FIXED
    good = linux.commit("never there", bug="no\n")
    linux.grow(3, "more")
    finding = bisect(f"{good}..HEAD", fix=True, folder="other")
    assert finding.answer.kind is AnswerKind.NOT_REPRODUCED


def test_a_branch_older_than_the_bug_is_no_repair(linux, bisect):
    linux.git("checkout", "-q", "-b", "old")
    linux.grow(9, "old")
    linux.git("checkout", "-q", "main")
    bad = linux.commit("the bug", bug="yes\n")
    linux.grow(2, "before")
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'old'", "old")
    linux.grow(2, "between")
    repair = linux.commit("the repair", bug="no\n")
    linux.grow(2, "after")
    finding = bisect(f"{bad}..HEAD", fix=True)
    assert culprit_of(finding) == repair


def test_a_branch_that_began_before_the_good_end(linux, bisect, tmp_path):
    """The culprit is its first commit: the parent is where it began, which no range holds."""
    parent = linux.commit("where the branch began", other="1\n")
    linux.git("checkout", "-q", "-b", "topic")
    culprit = linux.commit("the culprit", bug="yes\n")
    linux.grow(2, "topic")
    linux.git("checkout", "-q", "main")
    good = linux.commit("the good end", more="1\n")
    linux.grow(3)
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'topic'", "topic")
    linux.grow(2, "after")
    finding = bisect(f"{good}..HEAD")
    assert culprit_of(finding) == culprit
    tree = LinuxTree(linux.path, tmp_path / "cache")
    told = looked_up(result_of(finding), tree, pytest.fail)
    assert told.parents == (parent,)
    assert told.parent_signature == tree.tree_hash(parent)
    assert told.confirmation["parent"][0] == 0 < told.confirmation["parent"][1]
    assert told.confidence >= 0.95
    again = bisect(f"{good}..HEAD")
    assert again.search.runner.made == finding.search.runner.made
    assert again.answer == finding.answer


def test_a_branch_that_has_the_bug_from_another_than_the_first_place_it_parts_at(linux, bisect, tmp_path):
    """Two branches have merged the one with the bug; they part there, and where they did before."""
    linux.git("checkout", "-q", "-b", "buggy")
    linux.commit("the bug", bug="yes\n")
    linux.git("checkout", "-q", "main")
    linux.commit("older than the bug", other="1\n")
    linux.git("checkout", "-q", "-b", "topic")
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'buggy' into topic", "buggy")
    linux.grow(4, "topic")
    repair = linux.commit("the repair", bug="no\n")
    linux.grow(4, "repaired")
    linux.git("checkout", "-q", "main")
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'buggy'", "buggy")
    bad = linux.commit("the good end of the range")
    linux.grow(2)
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'topic'", "topic")
    linux.grow(2, "after")
    tree = LinuxTree(linux.path, tmp_path / "cache")
    first, second = tree.merge_bases(bad, repair)
    assert {contents(tree, base)[0] for base in (first, second)} == {"yes", "no"}
    assert culprit_of(bisect(f"{bad}..HEAD", fix=True)) == repair


def test_a_branch_that_parts_in_two_places_older_than_the_bug_is_no_repair(linux, bisect, tmp_path):
    linux.git("checkout", "-q", "-b", "side")
    linux.commit("another branch")
    linux.git("checkout", "-q", "main")
    linux.commit("older than the bug", other="1\n")
    linux.git("checkout", "-q", "-b", "topic")
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'side' into topic", "side")
    linux.grow(5, "topic")
    linux.git("checkout", "-q", "main")
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'side'", "side")
    bad = linux.commit("the bug", bug="yes\n")
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'topic'", "topic")
    linux.grow(2, "between")
    repair = linux.commit("the repair", bug="no\n")
    linux.grow(2, "after")
    assert culprit_of(bisect(f"{bad}..HEAD", fix=True)) == repair
    log = (tmp_path / "result" / "bisect.log").read_text()
    bases = LinuxTree(linux.path, tmp_path / "cache").merge_bases(bad, "topic")
    assert len(bases) == 2
    if "is not tested" in log:
        assert f"branched off at {bases[0][:12]} and {bases[1][:12]}, which do not crash" in log


class Noisy(FakeLauncher):
    """Its second run at one commit crashes as the bug does, once, whatever that commit is."""

    def __init__(self, tree, commit):
        super().__init__(tree)
        self.commit, self.made = commit, 0

    def _found(self, order):
        found = super()._found(order)
        if order.commit != self.commit:
            return found
        self.made += len(found.runs)
        return replace(found, runs=(OK, CRASH)) if self.made == len(found.runs) else found


def test_a_single_crash_where_a_branch_began_does_not_make_it_the_repair(linux, bisect, tmp_path):
    base = linux.git("rev-parse", "HEAD")
    linux.git("checkout", "-q", "-b", "old")
    linux.grow(9, "old")
    linux.git("checkout", "-q", "main")
    bad = linux.commit("the bug", bug="yes\n")
    linux.grow(2, "before")
    repair = linux.commit("the repair", bug="no\n")
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'old'", "old")
    linux.grow(2, "after")
    launcher = Noisy(LinuxTree(linux.path, tmp_path / "cache"), base)
    assert culprit_of(bisect(f"{bad}..HEAD", fix=True, launcher=launcher)) == repair
    assert launcher.asked.count(base) > 1


def test_the_fix_is_a_merge_with_a_branch_older_than_the_bug(linux, bisect):
    """No commit of that branch can be the fix, and its end need not crash for the merge to be it."""
    if bisect.strategy == "classic":
        pytest.skip("git bisect's order skips that branch, and cannot tell")
    linux.git("checkout", "-q", "-b", "old")
    linux.grow(9, "old")
    linux.git("checkout", "-q", "main")
    bad = linux.commit("the bug", bug="yes\n")
    linux.grow(2, "before")
    linux.git("merge", "-q", "--no-ff", "--no-commit", "old")
    fix = linux.commit("Merge branch 'old', which fixes it", bug="no\n")
    linux.grow(2, "after")
    finding = bisect(f"{bad}..HEAD", fix=True)
    assert culprit_of(finding) == fix
    assert finding.answer.confidence >= 0.95
    assert finding.answer.candidates == ((finding.answer.culprit, pytest.approx(1, abs=0.05)),)


def test_a_branch_whose_beginning_does_not_build_is_said_to_be_that(linux, bisect, tmp_path):
    linux.commit("does not build", bug="broken\n")
    linux.git("checkout", "-q", "-b", "old")
    linux.commit("builds", bug="no\n")
    linux.grow(9, "old")
    linux.git("checkout", "-q", "main")
    bad = linux.commit("the bug", bug="yes\n")
    repair = linux.commit("the repair", bug="no\n")
    linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'old'", "old")
    linux.grow(2, "after")
    finding = bisect(f"{bad}..HEAD", fix=True)
    assert culprit_of(finding) == repair
    log = (tmp_path / "result" / "bisect.log").read_text()
    assert "which does not crash" not in log
    assert "which cannot be tested" in log


def test_where_it_branched_off_is_tested_beside_the_others_with_a_share_as_theirs(linux, tmp_path):
    base = linux.git("rev-parse", "HEAD")
    linux.git("checkout", "-q", "-b", "old")
    old = linux.commit("old")
    linux.git("checkout", "-q", "main")
    bad = linux.commit("the bug", bug="yes\n")
    tree, history = LinuxTree(linux.path, tmp_path / "cache"), History.line([old, bad])
    runner = ExperimentRunner(
        FakeLauncher(tree), Journal(tmp_path / "journal.jsonl", {}), TerminalReporter(), per_run=1
    )
    course = Bisection(
        Plan(ends=tree.parse_range(f"{base}..{bad}"), strategy=KINDS["bayes"], fix=True),
        tree,
        runner,
        TerminalReporter(),
    )
    runner.begin(CommitRequest(bad, 4, "", at_once=3))
    evidence = Evidence(history)
    evidence.add(history.bad_end, Found(bad, (CRASH,) * 10, "of the bug"))
    assert base[:12] in course._test_base(bad, old, evidence).absent
    assert [record["at_once"] for record in runner.journal.records] == [3]


def test_a_good_end_that_crashes_otherwise_is_told_with_what_may_be_meant(linux, tmp_path):
    end = linux.commit("the end")
    tree, history = LinuxTree(linux.path, tmp_path / "cache"), History.line([end])
    runner = ExperimentRunner(
        FakeLauncher(tree), Journal(tmp_path / "journal.jsonl", {}), TerminalReporter(), per_run=1
    )
    search = Search("good", history, Evidence(history), Denies(), runner, TerminalReporter(), Rules())
    other = replace(CRASH, title="WARNING in bar", frame="bar")
    search.evidence.add(0, Found(end, (other,) * 9 + (CRASH,), "of the end"))
    search.evidence.add(GOOD_END, Found("good", (other,) * 9 + (OK,), "of the good end"))
    reason = reason_of(search, Answer(AnswerKind.BAD_AT_GOOD_END))
    assert reason.startswith("9 of 10 runs crashed on the good end, good, already: name an older one; or is ")
    assert "is it WARNING in foo? then say so in the reproducer (kbisect-crash:)" in reason


def test_an_end_that_is_not_fixed_for_another_crash_is_told_with_what_may_be_meant(linux, tmp_path):
    end = linux.commit("the end")
    tree, history = LinuxTree(linux.path, tmp_path / "cache"), History.line([end])
    runner = ExperimentRunner(
        FakeLauncher(tree), Journal(tmp_path / "journal.jsonl", {}), TerminalReporter(), per_run=1
    )
    evidence = Evidence(history, reported=GOOD_END)
    search = Search(
        "good", history, evidence, Bayes(history, fix=True), runner, TerminalReporter(), Rules(fix=True)
    )
    other = replace(CRASH, title="KASAN: use-after-free Read in bar", frame="bar")
    search.evidence.add(GOOD_END, Found("good", (CRASH,) * 6 + (other,) * 3 + (OK,), "of the good end"))
    search.evidence.add(0, Found(end, (other,) * 20 + (OK,) * 10, "of the end"))
    answer = search.strategy.decide(search.evidence)
    assert answer.kind is AnswerKind.NOT_FIXED
    reason = reason_of(search, answer)
    assert reason.startswith("the bad end still crashes; or is it WARNING in foo? then say so in the repro")


def test_a_crash_that_is_taken_for_another_bug_is_told(linux, tmp_path):
    end = linux.commit("the end")
    tree, history = LinuxTree(linux.path, tmp_path / "cache"), History.line([end])
    runner = ExperimentRunner(
        FakeLauncher(tree), Journal(tmp_path / "journal.jsonl", {}), TerminalReporter(), per_run=1
    )
    evidence = Evidence(history, trusted=True)
    search = Search("good", history, evidence, Bayes(history), runner, TerminalReporter(), Rules())
    other = replace(CRASH, title="WARNING in bar", frame="bar")
    search.evidence.add(0, Found(end, (CRASH,) * 7 + (other,) * 3, "of the end"))
    search.evidence.add(GOOD_END, Found("good", (OK,) * 7 + (other,) * 3, "of the good end"))
    told = remarks(search, GOOD_END)
    assert told[0] == "# WARNING in bar: another bug, the good end shows it as often as the bad end"


class AsksTwice(Strategy):
    """A strategy that wants two runs of the only commit, one after the other."""

    def decide(self, evidence):
        if evidence.counts(0).total < 2:
            return Experiment(0, 1)
        return self.conclude(evidence)

    def conclude(self, evidence):
        return Answer(AnswerKind.UNTESTABLE)


def test_a_commit_that_was_run_is_not_said_to_be_older_than_the_bug_later(linux, tmp_path):
    """What is thought of where it branched off may change with the evidence."""
    end = linux.commit("the end")
    launcher, history = FakeLauncher(LinuxTree(linux.path, tmp_path / "cache")), History.line([end])
    runner = ExperimentRunner(
        launcher, Journal(tmp_path / "journal.jsonl", {}), TerminalReporter(), per_run=1
    )
    thoughts = iter([None, Found(end, absent="it branched off before the bug", never=True)])
    rules = Rules(absent=lambda commit, evidence: next(thoughts))
    Search("good", history, Evidence(history), AsksTwice(), runner, TerminalReporter(), rules).run()
    assert launcher.asked == [end, end]


class Denies(Strategy):
    """A strategy that is sure of no repair, by the runs of others with the end's signature."""

    def decide(self, evidence):
        return Answer(AnswerKind.NOT_FIXED, confidence=0.97)

    conclude = decide


@pytest.mark.parametrize(("bug", "asked"), [("yes", 1), ("no", 4)])
def test_an_end_that_never_crashed_itself_is_asked_before_a_repair_is_denied(linux, tmp_path, bug, asked):
    end = linux.commit("the end", bug=f"{bug}\n")
    tree = LinuxTree(linux.path, tmp_path / "cache")
    launcher, history = FakeLauncher(tree), History.line([end])
    runner = ExperimentRunner(
        launcher, Journal(tmp_path / "journal.jsonl", {}), TerminalReporter(), per_run=1
    )
    evidence = Evidence(history, reported=GOOD_END)
    search = Search("good", history, evidence, Denies(), runner, TerminalReporter(), Rules(runs=10, fix=True))
    assert search.run().kind is AnswerKind.NOT_FIXED
    assert launcher.asked == [end] * asked


def test_a_budget_ends_with_what_is_known(linux, bisect, tmp_path):
    good = linux.git("rev-parse", "HEAD")
    before = linux.grow(16, "before")
    culprit = linux.commit("the culprit", bug="yes\n")
    linux.grow(16, "after")
    finding = bisect(f"{good}..HEAD", budget=300.0 / bisect.at_once)
    assert finding.answer.kind is AnswerKind.CANDIDATES
    assert finding.answer.reason.startswith("the budget is spent: ")
    left = {finding.search.sha(i): chance for i, chance in finding.answer.candidates}
    assert left.get(before[0], 0.0) < left[culprit] / 5
    told = result_of(finding)
    found = {(one["verdict"], one["affected"]) for one in told.tested}
    assert ("bad", True) in found
    assert ("bad", False) not in found
    assert ("good", True) not in found  # of some it is not certain yet
    assert culprit_of(bisect(f"{good}..HEAD", budget=20_000.0)) == culprit, "a greater one goes on"


def test_interrupted_anywhere_it_ends_the_same(releases, bisect, tmp_path):
    """The journal cut between records: the same experiments follow."""
    whole = bisect("..HEAD")
    lines = (tmp_path / "result" / "journal.jsonl").read_text().splitlines(keepends=True)
    for count in (1, 3, len(lines) // 2, len(lines) - 1, len(lines)):
        folder = tmp_path / f"cut{count}"
        folder.mkdir()
        (folder / "journal.jsonl").write_text("".join(lines[:count]))
        again = bisect("..HEAD", folder=folder.name)
        assert again.answer.culprit == whole.answer.culprit
        if bisect.at_once > 1:
            continue  # what was running then is not known, and chosen anew
        assert again.answer == whole.answer
        assert [one.commit for one in again.search.runner.made] == [
            one.commit for one in whole.search.runner.made
        ]


def test_what_is_known_of_a_kernel_is_not_run_again(linux, bisect, tmp_path):
    good = linux.git("rev-parse", "HEAD")
    linux.grow(3, "before")
    linux.commit("changes and", bug="yes\n")
    linux.grow(8, "after")
    finding = bisect(f"{good}..HEAD")
    launcher = FakeLauncher(LinuxTree(linux.path, tmp_path / "cache"))
    again = bisect(f"{good}..HEAD", launcher=launcher)
    assert launcher.asked == []
    assert again.answer == finding.answer
