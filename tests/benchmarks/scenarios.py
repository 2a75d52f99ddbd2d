"""The bisection scenarios of syzkaller's own tests, played through our whole bisection on a real repository.

    python tests/benchmarks/scenarios.py SCENARIOS.json [NAME ...]

The file says how the repository is made, how its kernels behave, what each scenario must end with, and
how many builds and runs syzkaller took. Everything here is the shipped code from the range to the check by
a revert; only the kernels are rules. Printed by scenario: what must come out, what came out, whether it
holds, and builds and runs of syzkaller, of git bisect's order and of the Bayesian search.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kbisect.bisection.commit_request import CommitRequest
from pytest_kbisect.bisection.experiment_runner import ExperimentRunner
from pytest_kbisect.bisection.stages import Bisection, Plan
from pytest_kbisect.errors import KbisectError
from pytest_kbisect.evidence.journal import Journal
from pytest_kbisect.evidence.outcome import CommitResult, Outcome, Run
from pytest_kbisect.kernel.tree import LinuxTree
from pytest_kbisect.reports.terminal import TerminalReporter
from pytest_kbisect.strategies.bayes import BAYES
from pytest_kbisect.strategies.classic import CLASSIC
from pytest_kbisect.strategies.strategy import AnswerKind

WIDTH = 10
"""Runs side by side, as many as syzkaller makes of a commit."""
NO_ANSWER = {
    AnswerKind.NOT_REPRODUCED,
    AnswerKind.BAD_AT_OLDEST,
    AnswerKind.BAD_AT_GOOD_END,
    AnswerKind.NOT_FIXED,
    AnswerKind.UNTESTABLE,
}


def git(repo: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(repo), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def make_repo(path: Path, operations: list[dict[str, str]]) -> Path:
    """The repository that the scenarios are about, with the file by which a tree is known as Linux."""
    path.mkdir()
    for words in (
        ("init", "-q", "-b", "master"),
        ("config", "user.email", "a@b"),
        ("config", "user.name", "A"),
    ):
        git(path, *words)
    (path / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\n")
    (path / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\n")
    (path / "Kconfig").touch()
    git(path, "add", "Makefile", "Kconfig")
    for number, step in enumerate(operations[1:]):
        title = step.get("title", "")
        match step["op"]:
            case "commit_file":
                if "branch" in step:
                    git(path, "checkout", "-q", "-B", step["branch"])
                (path / step["file"]).write_text(f"{title} {number}\n")
                git(path, "add", step["file"])
                git(path, "commit", "-q", "-m", title)
            case "commit":
                git(path, "commit", "-q", "--allow-empty", "-m", title)
            case "checkout_new":
                git(path, "checkout", "-q", "-b", step["branch"], _named(path, step["at"]))
            case "checkout":
                git(path, "checkout", "-q", _named(path, step["ref"]))
            case "merge":
                git(path, "merge", "-q", "-m", title, _named(path, step["other"]))
            case "tag":
                git(path, "tag", step["name"])
    return path


def _named(repo: Path, name: str) -> str:
    """A revision by its name in the file: a title that is a number, else what git knows."""
    if not name.isdigit():
        return name
    return git(repo, "log", "--all", "--reflog", "--format=%H", f"--grep=^{name}$", "-1")


@dataclass
class Ended:
    """A session that is over as soon as anybody looks."""

    tested: CommitResult

    def poll(self, _seconds: float) -> CommitResult:
        return self.tested

    def close(self) -> None:
        pass


@dataclass
class Kernels:
    """The launcher of a scenario: says what a session at a commit finds, and counts."""

    repo: Path
    given: dict[str, Any]

    def __post_init__(self) -> None:
        self.builds: Counter[str] = Counter()
        self.runs = 0

    def begin(self, order: CommitRequest, **_: Any) -> Ended:
        return Ended(self._tested(order))

    def _tested(self, order: CommitRequest) -> CommitResult:
        commit, runs = order.commit, order.runs
        self.builds[commit] += 1
        title = git(self.repo, "log", "-1", "--format=%s", commit)
        number = int(title) if title.isdigit() else None
        signature = "same" if self._within("same_binary_range", number) else commit
        if signature in order.known:
            return CommitResult(commit, signature=signature)
        made: list[Run] = []
        while len(made) < runs:
            wave = self._wave(commit, number, runs, len(made), min(WIDTH, runs - len(made)))
            made += wave
            if order.stop is not None and any(run.outcome is Outcome.CRASHED for run in wave):
                break
        self.runs += len(made)
        return CommitResult(commit, tuple(made), signature, build_seconds=300, test_seconds=60)

    def _within(self, name: str, number: int | None) -> bool:
        span = self.given[name]
        return bool(span) and number is not None and span[0] <= number <= span[1]

    def _contains(self, commit: str, title: str) -> bool:
        return title in git(self.repo, "log", "--format=%s", commit).splitlines()

    def _wave(self, commit: str, number: int | None, runs: int, done: int, count: int) -> list[Run]:
        """`count` runs after `done` of a batch of `runs`."""
        given = self.given
        if self._within("broken_range", number):
            return [Run(Outcome.BOOT_FAILED, "kernel doesn't boot", seconds=60)] * count
        ok = Run(Outcome.OK, seconds=60)
        if self._within("infra_range", number):
            failed = Run(Outcome.INFRA_FAILED, "failed to create a VM", seconds=60)
            return [failed if 2 * (done + i) <= runs else ok for i in range(count)]
        introduced, fixed = given["introduced"], given["fixed_by"]
        bad = not introduced or self._contains(commit, introduced)
        if bad and not (fixed and self._contains(commit, fixed)):
            crash = Run(Outcome.CRASHED, "crashes at crash occurs", type=given["report_type"], seconds=60)
            first = max(2, runs // 6) if given["flaky"] else runs
            return [crash if done + i < first else ok for i in range(count)]
        strange = 1 if given["inject_syz_failure"] else runs // 3 if given["inject_lost_connection"] else 0
        title = "SYZFATAL: test" if given["inject_syz_failure"] else "lost connection to test machine"
        noise = Run(Outcome.CRASHED, title, seconds=60)
        return [noise if done + i < strange else ok for i in range(count)]


@dataclass
class Played:
    """What came of a scenario."""

    words: str
    holds: bool
    builds: int
    runs: int
    again: int = 0
    """Builds of the last checks, among `builds`: the revert."""


KINDS = {kind.name: kind for kind in (BAYES, CLASSIC)}


def play(scenario: dict[str, Any], repo: Path, strategy: str, scratch: Path) -> Played:
    given, wanted = scenario["input"], scenario["expect"]
    kernels = Kernels(repo, given)
    fix = given["mode"] == "fix"
    start = _named(repo, str(given["start_commit"]))
    tree = LinuxTree(repo, scratch / "cache")
    reporter = TerminalReporter()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            ends = tree.parse_range(f"{start}..master" if fix else f"..{start}")
            journal = Journal(scratch / f"{scenario['name']}.{strategy}.jsonl", {"of": scenario["name"]})
            runner = ExperimentRunner(kernels, journal, reporter, per_run=1)
            plan = Plan(ends=ends, fix=fix, strategy=KINDS[strategy], width=WIDTH)
            finding = Bisection(plan, tree, runner, reporter).run()
            reverted = len({tested.commit for tested in runner.of_phase("revert")})
    except KbisectError as error:
        holds = bool(wanted["error"]) and "empty range" in str(error)
        return Played(str(error), holds, len(kernels.builds), kernels.runs)
    answer, search = finding.answer, finding.search
    culprit = "" if answer.culprit is None else search.title(answer.culprit)
    candidates = {search.title(i) for i, _ in answer.candidates}
    words = str(answer.kind)
    if answer.kind is AnswerKind.CULPRIT:
        words = f"{culprit} ({answer.confidence:.2f})"
        holds = culprit == wanted["culprit"]
    elif answer.kind is AnswerKind.CANDIDATES:
        words = f"{len(candidates)} candidates"
        holds = wanted["n_commits"] > 1 and (given["introduced"] or given["fixed_by"]) in candidates
        # Rather a set than no answer, where the host's faults hide what commits do.
        holds |= wanted["error_type"] == "InfraError" and given["introduced"] in candidates
    else:
        holds = wanted["n_commits"] == 0 and answer.kind in NO_ANSWER
    return Played(words, holds, len(kernels.builds), kernels.runs, reverted)


def expected(scenario: dict[str, Any]) -> str:
    wanted = scenario["expect"]
    if wanted["culprit"]:
        return str(wanted["culprit"])
    return f"{wanted['n_commits']} candidates" if wanted["n_commits"] else "no commit"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenarios", type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    facts = json.loads(arguments.scenarios.read_text())
    row = "{:<44} {:<14} {:>8}   {:<26} {:>8}   {:<26} {:>8}"
    print(row.format("scenario", "wanted", "syzk.", "classic", "", "bayes", ""))
    failed = more = 0
    totals = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        repo = make_repo(scratch / "repo", facts["repo"]["ops"])
        for scenario in facts["scenarios"]:
            if arguments.names and scenario["name"] not in arguments.names:
                continue
            peer = scenario["measured"]["real"]
            ours = [play(scenario, repo, strategy, scratch) for strategy in ("classic", "bayes")]
            told = [
                cell
                for played in ours
                for cell in (
                    f"{'' if played.holds else 'NOT '}{played.words}"[:26],
                    f"{played.builds}/{played.runs}",
                )
            ]
            peers = f"{peer['builds']}/{peer['vm_runs']}"
            print(row.format(scenario["name"], expected(scenario)[:14], peers, *told), flush=True)
            totals.update(peer=peer["builds"], peer_runs=peer["vm_runs"])
            totals.update(ours=ours[-1].builds, our_runs=ours[-1].runs)
            failed += not ours[-1].holds
            more += ours[-1].builds > peer["builds"] or ours[-1].runs > peer["vm_runs"]
    print(
        f"\nbayes: {failed} do not hold, {more} take more builds or runs than syzkaller; in all {totals['ours']}"
    )
    print(f"builds and {totals['our_runs']} runs, syzkaller {totals['peer']} and {totals['peer_runs']}")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
