"""What each symptom makes of a run: bad, good, or silent."""

from __future__ import annotations

import pytest

from pytest_kbisect.crash import CrashReport
from pytest_kbisect.errors import UsageError
from pytest_kbisect.symptoms import BootFailure, BuildFailure, RunRecord, stated

OOPS = CrashReport("BUG: unable to handle kernel paging request in foo", type="BUG", report="RIP: foo")
PANIC = CrashReport("kernel panic: Attempted to kill init!", type="PANIC", report="panic")
NOT_BOOTED = {"boot_failure": BootFailure("hang", "boot failed: no sign of user space after 120 s")}
NOT_BUILT = {"build_failure": BuildFailure(("a/b.c:1:2: error: no x", "c.c:9:9: error: no y"))}
CRASHED = {"crashes": (OOPS,), "fatal": True}
SUBTESTS = "ok 1 a\nnot ok 2 b\nok 3 c # SKIP\n"

RUNS = {
    # kind: (symptom, record, what it is known by, else how it is)
    "exit 0": ("exit-status", {"exit_status": 0}, "good"),
    "exit 1": ("exit-status", {"exit_status": 1}, ["r: exit status 1"]),
    "exit 124": ("exit-status", {"exit_status": 124}, ["r: exit status 124"]),
    "exit 125": ("exit-status", {"exit_status": 125}, "silent"),
    "exit 127": ("exit-status", {"exit_status": 127}, ["r: exit status 127"]),
    "a signal": ("exit-status", {"exit_status": 128 + 11}, ["r: killed by SIGSEGV"]),
    "no signal": ("exit-status", {"exit_status": 255}, ["r: exit status 255"]),
    "no end": ("exit-status", {"timed_out": True, "seconds": 20}, "silent"),
    "no status, a crash": ("exit-status", CRASHED, "silent"),
    "no status, no boot": ("exit-status", NOT_BOOTED, "silent"),
    "ended": ("timeout", {"exit_status": 1}, "good"),
    "not ended": ("timeout", {"timed_out": True, "seconds": 20}, ["r: not ended in time"]),
    "crashed before": ("timeout", CRASHED, "silent"),
    "subtest": ("subtest b", {"stdout": SUBTESTS}, ["not ok: b"]),
    "subtest that is ok": ("subtest a", {"stdout": SUBTESTS}, "good"),
    "skipped subtest": ("subtest c", {"stdout": SUBTESTS}, "silent"),
    "absent subtest": ("subtest d", {"stdout": SUBTESTS}, "silent"),
    "pattern": ("subtest '[ab]'", {"stdout": SUBTESTS}, ["not ok: b"]),
    "full name": ("subtest s.b", {"stdout": "    ok 1 a\n    not ok 2 b\nnot ok 1 s\n"}, ["not ok: s.b"]),
    "suite": ("subtest s", {"stdout": "    ok 1 a\n    not ok 2 b\nnot ok 1 s\n"}, ["not ok: s"]),
    "all": ("subtest *", {"stdout": "    ok 1 a\n    not ok 2 b\nnot ok 1 s\n"}, ["not ok: s.b"]),
    "bad, then a crash": ("subtest b", {"stdout": SUBTESTS, **CRASHED}, ["not ok: b"]),
    "ok, then a crash": ("subtest *", {"stdout": "ok 1 a\n", **CRASHED}, "silent"),
    "ok, then no end": ("subtest *", {"stdout": "ok 1 a\n", "timed_out": True}, "silent"),
    "by the kernel": ("subtest b", {"console": "[    1.5] ok 1 a\n[    1.6] not ok 2 b\n"}, ["not ok: b"]),
    "a line": ("console li.k", {"console": "[    1.5] eth0: link is down\n"}, ["console: /li.k/"]),
    "no line": ("console li.k", {"console": "[    1.5] eth0: up\n"}, "good"),
    "a program's line": ("console li.k", {"console": "[    1.5] eth0: up\nlink is down\n"}, "good"),
    "no line, a crash": ("console li.k", {"console": "[    1.5] eth0: up\n", **CRASHED}, "silent"),
    "a line, no boot": ("console li.k", {"console": "[    1.5] link\n", **NOT_BOOTED}, ["console: /li.k/"]),
    "boots": ("boot", {}, "good"),
    "boots, and crashes later": ("boot", CRASHED, "good"),
    "hangs": ("boot", NOT_BOOTED, ["boot hang: no sign of user space after NUM s"]),
    "panics": (
        "boot",
        {"boot_failure": BootFailure("panic", "boot failed: x"), "boot_reports": (OOPS, PANIC)},
        ["boot panic: BUG: unable to handle kernel paging request in foo"],
    ),
    "panics without a word before": (
        "boot",
        {"boot_failure": BootFailure("panic", "boot failed: x"), "boot_reports": (PANIC,)},
        ["boot panic: kernel panic: Attempted to kill init!"],
    ),
    "reports on the way": (
        "boot",
        {"boot_reports": (OOPS,)},
        ["boot crash: BUG: unable to handle kernel paging request in foo"],
    ),
    "cannot boot": ("boot", NOT_BUILT, "silent"),
    "builds": ("build", {}, "good"),
    "does not build": ("build", NOT_BUILT, ["build: a/b.c: error: no x"]),
    "with that message": ("build no y", NOT_BUILT, ["build: c.c: error: no y"]),
    "with another message": ("build no z", NOT_BUILT, "silent"),
    "crashes": ("crash", CRASHED, [OOPS.title]),
    "does not crash": ("crash", {"exit_status": 1}, "good"),
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_is_bad_good_or_silent(kind: str) -> None:
    symptom, record, wanted = RUNS[kind]
    judged = stated(symptom, "r.sh").judge(RunRecord(name="r", **record))
    found = [report.title for report in judged.shown] or ("silent" if judged.silent else "good")
    assert found == wanted
    assert all(report.symptom == symptom.partition(" ")[0] for report in judged.shown)


def test_subtests_that_are_ok_are_cleared() -> None:
    judged = stated("subtest *", "r").judge(
        RunRecord(name="r", stdout="ok 1 a\nok 1 b\nnot ok 2 b\nok 3 c # SKIP\n")
    )
    assert judged.cleared == ("not ok: a",)


def test_a_pattern_without_a_match_is_told_with_what_there_is() -> None:
    judge = stated("subtest tls*", "r").judge
    printed = "".join(f"ok {n} t{n}\n" for n in range(30))
    whole = judge(RunRecord(name="r", exit_status=0, stdout=printed))
    assert whole.unknown.startswith(
        "no subtest of r matches 'tls*': name one of those that it prints (t0, t1, "
    )
    assert whole.unknown.endswith("and 10 more)")
    assert "(none)" in judge(RunRecord(name="r")).unknown
    assert not judge(RunRecord(name="r", timed_out=True, stdout=printed)).unknown


def test_one_build_error_of_several_is_enough_to_know_it() -> None:
    judge = stated("build", "r").judge
    one, other = (
        judge(RunRecord(name="r", build_failure=BuildFailure(lines))).shown[0]
        for lines in (("a.c:1:2: error: no x", "b.c:3:4: error: no y"), ("b.c:5:6: error: no y",))
    )
    assert other.title in one.alt_titles


WRONG = {
    "krash": "unknown symptom 'krash' (known: crash, exit-status, subtest, timeout, console, boot, build, metric)",
    "subtest": "it needs a pattern",
    "console": "it needs a regular expression",
    "console (": "no regular expression: missing ), unterminated subpattern",
    "build [": "no regular expression",
    "exit-status 3": "it takes no argument",
    "timeout 20": "kbisect-timeout: SECONDS",
    "crash foo": "kbisect-crash: TITLE",
    "boot x": "it takes no argument",
    "build warning x": "set CONFIG_WERROR=y",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_symptom_is_said(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        stated(text, "r.sh:3")
    assert str(raised.value).startswith("r.sh:3: ")
    assert WRONG[text] in str(raised.value)
