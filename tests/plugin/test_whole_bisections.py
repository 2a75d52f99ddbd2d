"""Bisections as users start them, to their exit codes, their last words and their files."""

from __future__ import annotations

import os
import re
import shutil
import time
from email import message_from_bytes
from pathlib import Path

import pytest
from junitparser import JUnitXml
from miniature import MAIN
from played_guests import TITLE, plays
from whole import Place, needs_tools

from pytest_kbisect.errors import ExitCode
from pytest_kbisect.reports import bisectlog
from pytest_kbisect.reports.words import count, duration, percent

pytestmark = [pytest.mark.bisection, needs_tools]


class Finished(Place):
    """A bisection of five commits that found `culprit`; others go on from its journal, and change nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.grow(2, "before")
        self.culprit = self.play("The culprit", "crash")
        self.grow(2, "after")
        began = time.monotonic()
        self.done = self.bisect()
        self.took = time.monotonic() - began

    def again(self, to: str, *words: str, **environment: str):
        """The same command with the journal alone: nothing is tested again, the answer is known at once."""
        (self.path / to).mkdir()
        shutil.copy(self.path / "result" / "journal.jsonl", self.path / to)
        return self.bisect(*words, to=to, **environment)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return Finished(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_culprit_is_found(finished: Finished) -> None:
    assert finished.done.code == ExitCode.FOUND, finished.done.out + finished.done.err
    told = finished.result()
    assert (told["kind"], told["culprit"], told["crash"]) == ("culprit", finished.culprit, TITLE)
    assert told["confirmation"]["revert"] == "passed"
    assert f"first bad commit: {finished.culprit} The culprit" in finished.done.out


# -- an answer that is known is not lost -------------------------------------------------------------------

FAULTS = {
    "kernel.maintainers:recipients": "no recipients",
    "kernel.tree:LinuxTree.parents": "the culprit's parents are not known",
    "kernel.tree:LinuxTree.tags_at": "not known whether the culprit is a release",
    "kernel.tree:LinuxTree.describe": "git does not show the culprit",
    "kernel.symbols:functions_in": "no source lines for the crash",
    "reports.consoles:bound": "the consoles were not cut",
    "reports.page:render": "report.html was not written",
    "reports.mail:render": "report.eml was not written",
    "reports.gitlog:text": "git-bisect.log was not written",
    "reports.junit:write": "junit.xml was not written",
    "reports.repeat:write": "repeat.sh was not written",
}
"""What adds to an answer, and what is said where it fails."""

RAISED = {
    "foreseen": ("HostError('the disk is full\\nof books')", "the disk is full"),
    "of the system": ("OSError(28, 'No space left on device')", "No space left on device"),
    "unforeseen": ("ZeroDivisionError('by nothing')", "ZeroDivisionError: by nothing (in faults.py, line "),
}


def faults(place: Place, raised: str, *places: str) -> None:
    """A plugin by which these functions fail."""
    lines = ["import importlib", "from pytest_kbisect.errors import *"]
    lines += ["def fail(*_, **__):", f"    raise {raised}"]
    for one in places:
        module, _, name = one.partition(":")
        *inside, name = name.split(".")
        holder = "".join(f".{part}" for part in inside)
        lines.append(f"importlib.import_module('pytest_kbisect.{module}'){holder}.{name} = fail")
    (place.path / "faults.py").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", RAISED)
def test_what_adds_to_an_answer_does_not_take_it_away(finished: Finished, kind: str) -> None:
    raised, why = RAISED[kind]
    faults(finished, raised, *FAULTS)
    done = finished.again(f"faults {kind}", "-p", "faults", PYTHONPATH=str(finished.path))
    assert done.code == ExitCode.FOUND, done.err
    assert not done.err
    assert "Traceback" not in done.out
    assert f"{finished.culprit} is the first bad commit" in done.out
    assert finished.result(f"faults {kind}")["culprit"] == finished.culprit
    notes = [note for note in done.notes if why in note]
    assert sorted(note.partition(": ")[0] for note in notes) == sorted(FAULTS.values())


def test_an_answer_that_cannot_be_stored_is_told(finished: Finished) -> None:
    faults(finished, RAISED["of the system"][0], "reports.result:write")
    done = finished.again("unstored", "-p", "faults", PYTHONPATH=str(finished.path))
    assert done.code == ExitCode.FOUND, done.err
    assert f"first bad commit: {finished.culprit} The culprit" in done.out
    assert "result.json was not written: No space left on device" in done.notes
    assert not (finished.path / "unstored" / "report.html").exists(), "of which answer would it be?"


SCRIPTS = {
    "not executable": ("#!/bin/sh\necho 'Sue <sue@example.org> (maintainer:KBX)'\n", 0o644, ""),
    "no interpreter": (
        "#!/nowhere/interpreter\n",
        0o755,
        "perl scripts/get_maintainer.pl ended with exit status ",
    ),
    "broken": ("#!/bin/sh\necho 'cannot open MAINTAINERS' >&2\nexit 2\n", 0o755, "(cannot open MAINTAINERS)"),
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_whatever_get_maintainer_pl_is_the_answer_is_told(finished: Finished, kind: str) -> None:
    text, mode, why = SCRIPTS[kind]
    script = finished.linux.path / "scripts" / "get_maintainer.pl"
    script.write_text(text)
    script.chmod(mode)
    try:
        done = finished.again(f"script {kind}")
    finally:
        script.unlink()
    assert done.code == ExitCode.FOUND, done.err
    told = finished.result(f"script {kind}")
    assert told["culprit"] == finished.culprit
    asked = [] if why else ["sue@example.org"]
    assert told["recipients_to"] == ["author@example.org", *asked]
    notes = [
        note for note in done.notes if note.startswith("the maintainers of what the commit changes are not")
    ]
    assert [why in note for note in notes] == [True] * bool(why)


def test_the_answer_is_stored_before_anything_else_is_asked(finished: Finished) -> None:
    """Whoever is tired of waiting for get_maintainer.pl has it."""
    script = finished.linux.path / "scripts" / "get_maintainer.pl"
    stored = finished.path / "impatient" / "result.json"
    script.write_text(f"#!/bin/sh\ncp {stored} {finished.path / 'early.json'}\n")
    try:
        done = finished.again("impatient")
    finally:
        script.unlink()
    assert done.code == ExitCode.FOUND
    assert finished.culprit in (finished.path / "early.json").read_text()


def test_a_revert_that_cannot_be_tested_does_not_take_the_answer_away(finished: Finished) -> None:
    folder = finished.path / "no revert"
    folder.mkdir()
    journal = (finished.path / "result" / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text(
        "".join(line for line in journal if '"phase": "revert"' not in line)
    )
    faults(
        finished,
        "HostError('too little memory to build a kernel')",
        "bisection.launcher:SessionLauncher.begin",
    )
    done = finished.bisect("-p", "faults", to="no revert", PYTHONPATH=str(finished.path))
    assert done.code == ExitCode.FOUND, done.err
    told = finished.result("no revert")
    assert told["culprit"] == finished.culprit
    assert told["confirmation"]["revert"] == "not-tried"
    assert "the end of the range without the culprit was not tested: too little memory to build" in done.out


# -- exit codes --------------------------------------------------------------------------------------------


def test_a_good_end_that_crashes_has_an_exit_code_of_its_own(place: Place) -> None:
    place.play("The bug", "crash")
    good = place.linux.git("rev-parse", "HEAD")
    place.grow(2, "after")
    done = place.bisect(f"--kbisect-range={good}..HEAD", "--kbisect-strategy=classic", "--kbisect-runs=2")
    assert done.code == ExitCode.BAD_AT_GOOD_END == 8
    assert "runs crashed on the good end" in done.err
    assert place.result()["kind"] == "bad-at-good-end"


# -- builds ------------------------------------------------------------------------------------------------


def test_the_store_size_holds_for_the_build_that_symbols_are_made_of(finished: Finished) -> None:
    """A store of 12 GiB, the default being 10; the kernel that crashed is no longer in it."""
    cache = finished.path / "large"
    shutil.copytree(finished.path / "cache", cache, symlinks=True)
    for entry in (cache / "kernels").glob("?" * 40):
        shutil.rmtree(entry)
    old = cache / "kernels" / ("0" * 40)
    old.mkdir()
    (old / "kernel.json").write_text('{"sizes": {}}')
    with (old / "vmlinux").open("wb") as file:
        file.truncate(12 << 30)
    done = finished.again("stored", f"--kbisect-cache={cache}", "--kbisect-store-size=100")
    assert done.code == ExitCode.FOUND, done.err
    assert (
        "make" in done.out.rpartition("first bad commit")[2]
        or "build" in done.out.rpartition("recipients")[2]
    )
    assert old.exists()


def test_a_full_build_builds_each_commit_and_is_recorded(place: Place) -> None:
    place.grow(2, "before")
    culprit = place.play("The culprit", "crash")
    place.grow(2, "after")
    done = place.bisect("--kbisect-full-build", "--kbisect-strategy=classic", "--kbisect-runs=1")
    assert done.code == ExitCode.FOUND, done.err
    told = place.result()
    assert (told["culprit"], told["full_build"]) == (culprit, True)
    assert "no build:" not in done.out
    assert told["builds"] == len(
        {one["tested"]["commit"] for one in place.journal() if one["kind"] == "tested"}
    )
    assert place.journal()[0]["full_build"] is True
    refused = place.bisect("--kbisect-strategy=classic", "--kbisect-runs=1")
    assert refused.code == ExitCode.USAGE
    assert "belongs to another bisection: its full_build is true, now it is false" in refused.err


# -- named configurations ----------------------------------------------------------------------------------

NAMED = "# kbisect-config[plain]: CONFIG_TUN=y\n# kbisect-config[ubsan]: CONFIG_UBSAN=y\ntrue\n"


def test_what_is_kept_of_a_crash_is_of_the_configuration_that_crashed(place: Place) -> None:
    """Only the second of two configurations crashes, and no test has the one without a name."""
    (place.path / "crash.sh").write_text(NAMED)
    place.change("before")
    culprit = place.play("The culprit", "crash", configured="CONFIG_UBSAN")
    place.change("after")
    done = place.bisect()
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], told["crash_configuration"]) == (culprit, "ubsan")
    built = list((place.path / "cache" / "kernels").glob("*/config"))
    assert built
    assert all(
        "CONFIG_TUN=y" in kernel.read_text() or "CONFIG_UBSAN=y" in kernel.read_text() for kernel in built
    )
    runs = [
        run for record in place.journal() if record["kind"] == "tested" for run in record["tested"]["runs"]
    ]
    assert {run["configuration"] for run in runs if run["outcome"] == "crashed"} == {"ubsan"}
    signatures = {run["signature"] for run in runs if run["outcome"] == "crashed"}
    assert {told["crash_signature"]} == signatures
    assert len(told["crash_signature"]) == 64
    folder = place.path / "result"
    assert "CONFIG_UBSAN=y" in (folder / "config").read_text()
    assert b"plays:crash" in (folder / "repeat" / "bzImage").read_bytes()
    assert f"crashed: {TITLE} (configuration ubsan)" in (folder / "report.html").read_text()


def test_a_configuration_that_is_not_selected_is_not_built(place: Place) -> None:
    (place.path / "crash.sh").write_text(NAMED)
    place.play("The culprit", "crash", configured="CONFIG_UBSAN")
    place.bisect("-k", "ubsan", "--kbisect-strategy=classic", "--kbisect-runs=1")
    assert place.result()["kind"] == "culprit"
    built = [entry.read_text() for entry in (place.path / "cache" / "kernels").glob("*/config")]
    assert ["CONFIG_UBSAN=y" in text for text in built] == [True] * len(built)
    assert not any("CONFIG_TUN=y" in text for text in built)


# -- options -----------------------------------------------------------------------------------------------


def test_a_budget_ends_with_candidates_and_a_larger_one_goes_on(place: Place) -> None:
    place.change("before")
    culprit = place.play("The culprit", "crash")
    place.change("after")
    done = place.bisect("--kbisect-budget=1s")
    assert done.code == ExitCode.INCONCLUSIVE, done.err
    told = place.result()
    assert (told["kind"], told["culprit"]) == ("candidates", "")
    assert told["reason"].startswith("the budget is spent")
    assert culprit in [sha for sha, _, _ in told["candidates"]]
    assert "bisection is inconclusive, the first bad commit could be any of:" in done.out
    known = len(place.journal())
    assert place.bisect("--kbisect-budget=2h").code == ExitCode.FOUND
    assert place.result()["culprit"] == culprit
    assert len(place.journal()) > known


def test_an_answer_less_sure_than_was_asked_for_has_an_exit_code_of_its_own(place: Place) -> None:
    """A second cause: without the culprit the end still crashes, and the answer is doubted for that."""
    second = {"include/linux/second.h": "\n", "init/main.c": f"#include <linux/second.h>\n{MAIN}"}
    place.linux.commit("before", second)
    place.linux.commit("The culprit", {"init/main.c": f"#include <linux/second.h>\n{MAIN}{plays('crash')}"})
    culprit = place.linux.git("rev-parse", "HEAD")
    place.linux.commit("A second cause", {"include/linux/second.h": 'const char too[] = "plays:crash";\n'})
    range_ = f"--kbisect-range={place.linux.base}..HEAD"
    done = place.bisect(range_)
    told = place.result()
    assert (told["culprit"], told["confirmation"]["revert"]) == (culprit, "crashed")
    assert 0.5 < told["confidence"] < 0.95
    assert done.code == ExitCode.INCONCLUSIVE
    assert (
        f"the answer is {told['confidence']:.0%} sure, 95% were asked for (--kbisect-confidence)" in done.err
    )
    assert f"first bad commit: {culprit} The culprit" in done.out
    assert place.bisect(range_, "--kbisect-confidence=0.5").code == ExitCode.FOUND


def test_a_boot_ends_at_its_time_limit(place: Place) -> None:
    """In a real QEMU, with an image that does nothing for ever where the kernel's first code is."""
    image = bytearray(1 << 16)
    image[0x1F1] = 4  # sectors of setup code; see Documentation/arch/x86/boot.rst
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x200:0x202] = b"\xeb\xfe"  # jmp to itself
    image[0x202:0x208] = b"HdrS\x04\x02"
    image[0x211] = 1  # loaded high
    image[0x22C:0x230] = b"\xff\xff\xff\x7f"  # where the initramfs may be
    path = place.linux.path / "scripts" / "image"
    path.write_bytes(image)
    place.linux.git("add", "-f", "scripts/image")
    place.linux.commit("does not boot", {})
    options = ["--kbisect-accel=tcg", "--kbisect-runs=1", "--junitxml=junit.xml", "crash.sh"]
    done = place.pytest("--kbisect-boot-timeout=4", *options, played=False)
    assert done.code == ExitCode.FAILED, done.out + done.err
    assert "boot failed: " in done.out
    assert " 4 s" in done.out
    (case,) = [case for suite in JUnitXml.fromfile(str(place.path / "junit.xml")) for case in suite]
    assert "kbisect.outcome" in str(case.tostring())
    assert "boot-failed" in str(case.tostring())


# -- figures -----------------------------------------------------------------------------------------------


def journal_of(finished: Finished) -> list[dict]:
    return [record["tested"] for record in finished.journal() if record["kind"] == "tested"]


def seconds_of(tested: dict) -> float:
    return tested["build_seconds"] + tested["test_seconds"]


def test_the_result_counts_what_the_journal_has(finished: Finished) -> None:
    told, tested = finished.result(), journal_of(finished)
    assert told["runs"] == sum(len(one["runs"]) for one in tested)
    assert told["builds"] == sum(not (one["cached"] or one["build_error"]) for one in tested)
    assert told["revisions_tested"] == len({one["commit"] for one in tested})
    seconds = told["seconds"]
    assert seconds["total"] == pytest.approx(sum(map(seconds_of, tested)))
    assert seconds["total"] == pytest.approx(seconds["build"] + seconds["test"])
    assert seconds["total"] < finished.took
    for one in tested:  # one guest at a time, one configuration: nothing overlaps
        assert sum(one["seconds_by"].values()) == pytest.approx(seconds_of(one), abs=0.01)
    at = told["confirmation"]["culprit"]
    assert at[0] == at[1] == sum(run["outcome"] == "crashed" for one in tested for run in one["runs"])


def test_every_figure_of_the_page(finished: Finished) -> None:
    told, tested = finished.result(), journal_of(finished)
    page = (finished.path / "result" / "report.html").read_text()
    work = (
        f"{told['revisions_tested']} commits tested, {count(told['builds'], 'kernel')} built, "
        f"{told['runs']} runs in {duration(told['seconds']['total'])}"
    )
    assert f"<dt>Work</dt><dd>{work}</dd>" in page
    (culprit, parent) = (told["confirmation"][name] for name in ("culprit", "parent"))
    assert f"<dt>At this commit</dt><dd>{culprit[0]} of {culprit[1]} runs crashed</dd>" in page
    assert f"<dt>At its parent</dt><dd>{parent[0]} of {parent[1]} runs crashed</dd>" in page
    assert f"first bad commit of {told['commits']} commits between" in page
    assert f"The probability that this answer is right is {percent(told['confidence'])}." in page
    steps = re.findall(
        r'<span class="facts">(?:[^<]*; )?([^<;]+)</span>', page.partition('<ol class="steps')[2]
    )
    assert [step for step in steps if re.fullmatch(r"[\d.]+ (s|min.*|h.*)", step)] == [
        duration(seconds_of(one)) for one in tested
    ]
    all_counts = re.findall(r'<span class="counts">[^<]*, ([^<]+)</span>', page)
    by_commit: dict[str, float] = {}
    for one in tested:
        by_commit[one["commit"]] = by_commit.get(one["commit"], 0.0) + seconds_of(one)
    assert all_counts == [duration(seconds) for seconds in by_commit.values()]
    for table, runs in (("Where the time went", False), ("Time in guests, summed over all guests", True)):
        rows = re.findall(
            r'<th scope="row">(\w+)</th><td class="number">([^<]+)</td>',
            page.partition(f"<caption>{table}</caption>")[2].partition("</table>")[0],
        )
        parts = [part["seconds_by"] for one in tested for part in (one["runs"] if runs else [one])]
        sums = {
            kind: sum(part.get(kind, 0.0) for part in parts) for kind in {k for part in parts for k in part}
        }
        assert dict(rows) == {kind: duration(seconds) for kind, seconds in sums.items() if seconds}
        assert all(told["seconds"][kind] == pytest.approx(sums[kind], abs=0.01) for kind, _ in rows)


def test_every_figure_of_the_log_the_mail_and_the_xml(finished: Finished) -> None:
    told = finished.result()
    folder = finished.path / "result"
    total, build, test = (bisectlog.duration(told["seconds"][part]) for part in ("total", "build", "test"))
    log = (folder / "bisect.log").read_text()
    assert (
        f"\nrevisions tested: {told['revisions_tested']}, total time: {total} (build: {build}, test: {test})\n"
        in log
    )
    (culprit, parent) = (told["confirmation"][name] for name in ("culprit", "parent"))
    assert (
        f"# confidence: {told['confidence']:.1%}; the culprit crashed in {culprit[0]} of {culprit[1]} runs, "
        f"its parent in {parent[0]} of {parent[1]} runs\n"
    ) in log
    mail = " ".join(
        message_from_bytes((folder / "report.eml").read_bytes()).get_payload()[0].get_payload().split()
    )
    seen = f"crashed the kernel in {culprit[0]} of {culprit[1]} runs at this commit and in {parent[0]} of {parent[1]}"
    assert seen in mail
    assert f"bisection of the {told['commits']} commits between" in mail
    assert f"probability that it is the culprit is {percent(told['confidence'])}" in mail
    xml = JUnitXml.fromfile(str(folder / "junit.xml"))
    (answer,) = [case for suite in xml for case in suite if case.classname == "kbisect.result"]
    assert answer.time == pytest.approx(told["seconds"]["total"], abs=0.01)


@pytest.mark.parametrize(
    ("seconds", "words"), [(59.96, "1m0.0s"), (119.97, "2m0.0s"), (3599.98, "1h0m0.0s"), (59.9, "59.9s")]
)
def test_a_duration_has_no_sixty_seconds(seconds: float, words: str) -> None:
    assert bisectlog.duration(seconds) == words


# -- compilers and remedies --------------------------------------------------------------------------------


def test_one_compiler_and_its_remedies_hold_for_the_whole_range(place: Place) -> None:
    """A compiler that is installed later is not taken; the remedy is that of commits in the middle."""
    helper = "tools/lib/subcmd/subcmd-util.h"
    folder = place.path / "bin"
    folder.mkdir()

    def install(name: str, version: str) -> None:
        path = folder / name
        gcc = shutil.which("gcc")
        path.write_text(f'#!/bin/sh\n[ "$*" = --version ] && exec echo "{name} {version}"\nexec {gcc} "$@"\n')
        path.chmod(0o755)

    place.grow(1, "before")
    place.linux.commit("Old", {helper: "\t\tret = realloc(ptr, 1);\n"})
    culprit = place.play("The culprit", "crash")
    place.linux.commit("New", {helper: "\n"})
    install("gcc-90", "90.1.0")
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = place.bisect("--kbisect-strategy=classic", "--kbisect-runs=1", PATH=path)
    assert done.code == ExitCode.FOUND, done.err
    told = place.result()
    assert told["culprit"] == culprit
    assert told["compiler"].startswith("gcc-90 90.1.0, GNU ld")
    assert told["remedies"][0].startswith("WERROR=0 (52a9dab6d892")
    log = (place.path / "result" / "bisect.log").read_text()
    assert "# compiler: gcc-90 90.1.0, GNU ld" in log
    assert "# remedy: WERROR=0 (52a9dab6d892: objtool does not compile" in log
    assert "WERROR=0" in (place.path / "result" / "report.eml").read_text()
    built = [
        line
        for text in (place.path / "cache" / "kernels").glob("*/build.log")
        for line in text.read_text().splitlines()
        if line.startswith("$ make ")
    ]
    assert built
    assert all(" WERROR=0" in line and " HOSTCC=gcc-90 " in line for line in built)
    install("gcc-91", "91.1.0")
    again = place.bisect("--kbisect-strategy=classic", "--kbisect-runs=1", PATH=path)
    assert again.code == ExitCode.USAGE
    assert 'its compiler is "gcc-90 90.1.0' in again.err
    assert "choose that one (--kbisect-cc" in again.err
    words = ("--kbisect-strategy=classic", "--kbisect-runs=1", "--kbisect-cc=gcc-90")
    assert place.bisect(*words, PATH=path).code == ExitCode.FOUND
    without = place.bisect(*words, "--kbisect-no-remedies", PATH=path)
    assert without.code == ExitCode.USAGE
    assert "its remedies is " in without.err
