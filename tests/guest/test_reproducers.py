"""The shipped reproducers on a kernel with their bugs and on one without; and a whole small bisection."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import bugs
import pytest
from junitparser import JUnitXml, Properties

from pytest_kbisect import properties
from pytest_kbisect.demo.change import Change, Edit

ROOT = Path(__file__).parent.parent.parent
SHUT = Change(
    "tun: no writes to NAPI frags yet",
    (
        Edit(
            "drivers/net/tun.c",
            r"(\nstatic ssize_t tun_chr_write_iter\([^{]*\{.*?return -EBADFD;\n)",
            r"\1\n\tif (tun_napi_frags_enabled(tfile)) {\n\t\ttun_put(tun);\n\t\treturn -EOPNOTSUPP;\n\t}\n",
            pattern=True,
        ),
    ),
    "",
)
"""The reproducer's write is refused before it comes near the bug."""


def kbisect(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=cwd, capture_output=True, text=True, check=False
    )


def told(case) -> dict[str, str]:
    return {item.name: item.value for item in case.child(Properties) or ()}


def cases(xml: Path) -> list[tuple[str, dict[str, str], list[str]]]:
    return [
        (f"{case.classname}::{case.name}", told(case), [type(end).__name__ for end in case.result])
        for suite in JUnitXml.fromfile(str(xml))
        for case in suite
    ]


@pytest.mark.guest
def test_every_shipped_reproducer_crashes_a_kernel_with_its_bug(
    linux_clone, buggy, configuration, tmp_path
) -> None:
    xml = tmp_path / "out.xml"
    done = kbisect(
        "repro/",
        f"--kbisect-kernel={linux_clone.path}",
        f"--kbisect-commit={buggy}",
        f"--kbisect-config={configuration}",
        "--kbisect-runs=4",
        "-n2",
        f"--junitxml={xml}",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    ends = cases(xml)
    assert len(ends) == 4 * len(bugs.BUGS)
    for bug in bugs.BUGS:
        stem = bug.reproducer.partition(".")[0]
        mine = [(facts, end) for name, facts, end in ends if stem in name]
        crashed = [
            facts for facts, end in mine if facts[properties.OUTCOME] == "crashed" and end == ["Failure"]
        ]
        assert len(crashed) == 4 if bug.certain else crashed, (bug.reproducer, mine)
        assert all(facts[properties.TITLE].startswith(bug.title) for facts in crashed), crashed
        assert all(len(facts[properties.SIGNATURE]) == 64 for facts in crashed)
    assert "Traceback" not in done.stdout


@pytest.mark.guest
def test_a_healthy_kernel_survives_them_all(linux_clone, configuration, tmp_path) -> None:
    xml = tmp_path / "out.xml"
    done = kbisect(
        "repro/",
        f"--kbisect-kernel={linux_clone.path}",
        f"--kbisect-commit={linux_clone.demo.good}",
        f"--kbisect-config={configuration}",
        "--kbisect-runs=1",
        f"--junitxml={xml}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {facts[properties.OUTCOME] for _, facts, _ in cases(xml)} == {"ok"}


@pytest.fixture
def small_range(linux_clone) -> str:
    """Six commits, the culprit the third."""
    demo = linux_clone.demo
    line = linux_clone.git("rev-list", "--first-parent", "--reverse", f"{demo.good}..{demo.bad}").split()
    at = line.index(demo.culprit)
    return f"{line[at - 3]}..{line[at + 3]}"


def bisection(linux_clone, configuration: Path, range_: str, folder: Path) -> list[str]:
    return [
        str(ROOT / "repro" / linux_clone.demo.reproducer),
        f"--kbisect-kernel={linux_clone.path}",
        f"--kbisect-range={range_}",
        f"--kbisect-config={configuration}",
        f"--kbisect-dir={folder}",
        "--kbisect-runs=3",
        "-n2",
    ]


@pytest.mark.kernel
def test_a_bisection_finds_the_commit_and_leaves_the_tree_alone(
    linux_clone, configuration, small_range, tmp_path
) -> None:
    before = _refs_and_worktrees(linux_clone)
    folder = tmp_path / "result"
    words = bisection(linux_clone, configuration, small_range, folder)
    done = kbisect(*words, f"--junitxml={tmp_path / 'out.xml'}", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    demo = linux_clone.demo
    assert f"{demo.culprit} is the first bad commit" in done.stdout
    assert f"crash: {demo.crash}" in done.stdout
    printed = iter(done.stdout.splitlines())
    assert all(line in printed for line in (folder / "bisect.log").read_text().splitlines())
    answer = json.loads((folder / "result.json").read_text())
    assert (answer["kind"], answer["culprit"]) == ("culprit", demo.culprit)
    assert answer["culprit_signature"] != answer["parent_signature"]
    assert answer["crash"] == demo.crash
    reached = answer["confirmation"]["reached"]
    assert reached
    assert not answer["confirmation"]["unreached"]
    assert f"does not crash, and its runs reached {', '.join(reached)}" in done.stdout
    suites = list(JUnitXml.fromfile(str(tmp_path / "out.xml")))
    assert len(suites) == len(answer["tested"]) + 1
    assert suites[-1].name == "kbisect result"
    assert before == _refs_and_worktrees(linux_clone)
    again = kbisect(*words, cwd=tmp_path)
    assert again.returncode == 0
    assert json.loads((folder / "result.json").read_text())["culprit"] == demo.culprit


@pytest.mark.kernel
def test_two_commits_at_a_time(linux_clone, configuration, small_range, tmp_path) -> None:
    folder = tmp_path / "result"
    words = bisection(linux_clone, configuration, small_range, folder)
    done = kbisect(*words, "--kbisect-at-once=2", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((folder / "result.json").read_text())["culprit"] == linux_clone.demo.culprit
    lines = map(json.loads, (folder / "journal.jsonl").read_text().splitlines())
    beside = [line for line in lines if line["kind"] == "tested" and line.get("at_once") == 2]
    spans = [
        (one["time"], one["time"] + one["tested"]["build_seconds"] + one["tested"]["test_seconds"])
        for one in beside
    ]
    assert any(a[0] < b[1] and b[0] < a[1] for n, a in enumerate(spans) for b in spans[:n])


@pytest.mark.kernel
def test_a_parent_that_only_keeps_the_reproducer_out_leaves_the_answer_open(
    linux_clone, configuration, tmp_path
) -> None:
    """The bug is there all along; what the search finds is the commit that lets the reproducer in."""
    if linux_clone.demo.reproducer != "tun_napi_frags.c":
        pytest.skip(f"the demo's bug on Linux {linux_clone.demo.version} is not the one in tun")
    index, bad = tmp_path / "index", linux_clone.demo.bad
    tun = linux_clone.read("drivers/net/tun.c", bad)
    shut = linux_clone.edited(SHUT.subject, [SHUT], index, bad)
    words = linux_clone.commit("A word", {"Documentation/one.rst": "One.\n"}, index, shut)
    opened = linux_clone.commit("tun: writes to NAPI frags", {"drivers/net/tun.c": tun}, index, words)
    end = linux_clone.commit("One more", {"Documentation/two.rst": "Two.\n"}, index, opened)
    folder = tmp_path / "result"
    done = kbisect(*bisection(linux_clone, configuration, f"{shut}..{end}", folder), cwd=tmp_path)
    assert done.returncode == 6, done.stdout + done.stderr
    answer = json.loads((folder / "result.json").read_text())
    assert opened in {answer["culprit"], *(sha for sha, _, _ in answer["candidates"])}
    assert "ended well without executing tun_get_user: they say nothing of the bug" in done.stdout


@pytest.mark.kernel
def test_killed_at_any_moment_it_leaves_nothing_and_goes_on(
    linux_clone, configuration, small_range, tmp_path
) -> None:
    folder = tmp_path / "result"
    words = bisection(linux_clone, configuration, small_range, folder)
    rng = random.Random(1)
    for _ in range(3):
        driver = subprocess.Popen(
            [sys.executable, "-m", "pytest", *words],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        time.sleep(rng.uniform(2, 12))
        driver.kill()
        driver.wait()
        deadline = time.monotonic() + 3
        while (left := _processes_in(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left
    done = kbisect(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((folder / "result.json").read_text())["culprit"] == linux_clone.demo.culprit


@pytest.mark.kernel
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_so(
    linux_clone, configuration, small_range, tmp_path, number: signal.Signals
) -> None:
    words = bisection(linux_clone, configuration, small_range, tmp_path / "result")
    driver = subprocess.Popen(
        [sys.executable, "-m", "pytest", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not (tmp_path / "result" / "journal.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(2)
    driver.send_signal(number)
    output, _ = driver.communicate(timeout=20)
    assert driver.returncode == 2, output
    assert "the same command continues where it stopped" in output
    assert "Traceback" not in output
    assert not _processes_in(tmp_path)


@pytest.mark.kernel
def test_ends_that_are_not_what_they_should_be(linux_clone, configuration, tmp_path) -> None:
    demo = linux_clone.demo
    parent = linux_clone.git("rev-parse", f"{demo.culprit}^").strip()
    older = linux_clone.git("rev-parse", f"{demo.culprit}~2").strip()
    classic = "--kbisect-strategy=classic"  # which makes 20 runs, and tests the good end first of all
    words = bisection(linux_clone, configuration, f"{older}..{parent}", tmp_path / "a")
    done = kbisect(*words, classic, cwd=tmp_path)
    assert done.returncode == 7
    assert "ERROR: 0 of 20 runs crashed on" in done.stderr
    newer = linux_clone.git("rev-list", "--first-parent", "--reverse", f"{demo.culprit}..{demo.bad}").split()[
        0
    ]
    words = bisection(linux_clone, configuration, f"{demo.culprit}..{newer}", tmp_path / "b")
    done = kbisect(*words, classic, cwd=tmp_path)
    assert done.returncode == 8
    assert "crashed on the good end" in done.stderr


def _refs_and_worktrees(linux_clone) -> list[str]:
    """All of the tree's, but for those that test_documented_commands.py makes meanwhile."""
    own = re.compile(r" commit\trefs/(?:heads/reader|tags/v6\.\d)$")
    refs = linux_clone.git("for-each-ref").splitlines()
    worktrees = linux_clone.git("worktree", "list", "--porcelain").splitlines()
    return [line for line in (*refs, *worktrees) if not own.search(line)]


def _processes_in(folder: Path) -> list[str]:
    """Command lines of processes that name a folder (QEMU's console is there) or work in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if str(folder) in command or os.readlink(entry / "cwd").startswith(str(folder)):
                found.append(command)
        except OSError:
            continue
    return found


@pytest.mark.guest
def test_a_kind_that_a_plugin_adds_runs_in_a_guest(linux_clone, configuration, tmp_path) -> None:
    """The documentation's awk scripts."""
    sys.path.insert(0, str(ROOT / "tests" / "plugin"))
    import pages

    (tmp_path / "awk_reproducers.py").write_text(pages.plugin("awk_reproducers.py"))
    (tmp_path / "lib.awk").write_text('function die() { print "c" > "/proc/sysrq-trigger" }\n')
    (tmp_path / "crash.awk").write_text("# library: lib.awk\nBEGIN { die() }\n")
    (tmp_path / "fine.awk").write_text("BEGIN { print 6 * 7 }\n")
    xml = tmp_path / "out.xml"
    words = [f"--kbisect-kernel={linux_clone.path}", f"--kbisect-commit={linux_clone.demo.good}"]
    words += [f"--kbisect-config={configuration}", "--kbisect-runs=2", f"--junitxml={xml}", "-rA"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "awk_reproducers", "crash.awk", "fine.awk", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    outcomes = [(name.partition("::")[2][:5], facts[properties.OUTCOME]) for name, facts, _ in cases(xml)]
    assert outcomes == [("crash", "crashed")] * 2 + [("fine[", "ok")] * 2
    assert "\n42\n" in done.stdout
