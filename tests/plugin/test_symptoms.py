"""Bisections by other symptoms than a crash, as users start them; only guests are played."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from miniature import MAIN
from whole import Place, needs_tools

from pytest_kbisect.errors import ExitCode

pytestmark = [pytest.mark.bisection, needs_tools]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def reproducer(place: Place, *symptoms: str, more: str = "") -> None:
    lines = [f"# kbisect-bad-when: {symptom}" for symptom in symptoms]
    (place.path / "crash.sh").write_text("\n".join([*lines, more, "true\n"]))


def grown(place: Place, word: str, before: str = "") -> str:
    """Commits of which one brings what is played from then on."""
    if before:
        place.play("as it was", before)
    place.grow(2, "before")
    culprit = place.play("The culprit", word)
    place.grow(2, "after")
    return culprit


KINDS = {
    "exit status": ("exit-status", "exit 3", "", "crash: exit status 3"),
    "a signal": ("exit-status", "exit 139", "", "crash: killed by SIGSEGV"),
    "not found": ("exit-status", "exit 1/3", "", "crash: exit status 1"),
    "a subtest": ("subtest b", "print ok 1 a|not ok 2 b", "print ok 1 a|ok 2 b", "not ok: b"),
    "of a suite": (
        "subtest list*",
        "log     ok 1 x|    not ok 2 y|not ok 1 list-test",
        "log     ok 1 x|    ok 2 y|ok 1 list-test",
        "not ok: list-test.y",
    ),
    "a time limit": ("timeout", "slow", "", "crash: not ended in time"),
    "a console line": (
        r"console link is (down|lost)",
        "log eth0: link is lost",
        "",
        "console: /link is (down|lost)/",
    ),
    "a boot": (
        "boot",
        "panic",
        "",
        "boot panic: BUG: unable to handle kernel NULL pointer dereference in start_it",
    ),
    "a boot without a word": ("boot", "no-boot", "", "boot hang: no word"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_commit_that_brings_a_symptom_is_found(place: Place, kind: str) -> None:
    symptom, word, before, title = KINDS[kind]
    reproducer(place, symptom)
    culprit = grown(place, word, before)
    good = (
        place.linux.git("rev-list", "--max-parents=0", "HEAD")
        if not before
        else place.linux.git("rev-parse", "HEAD~5")
    )
    done = place.bisect(f"--kbisect-range={good}..HEAD")
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], told["crash"]) == (culprit, title)
    assert told["confirmation"]["revert"] == "passed"
    folder = place.path / "result"
    for name in ("bisect.log", "report.html", "report.eml", "junit.xml"):
        assert (folder / name).stat().st_size, name


def test_a_commit_that_does_not_build_is_found(place: Place) -> None:
    """In one configuration of two; an older commit has another error, which is no evidence."""
    reproducer(
        place,
        "build wanted_one",
        more="# kbisect-config[a]: CONFIG_TUN=y\n# kbisect-config[b]: CONFIG_UBSAN=y",
    )
    place.grow(1, "before")
    place.linux.commit("another error", {"init/main.c": f"{MAIN}another_one;\n"})
    place.linux.commit("good again", {"init/main.c": MAIN})
    broken = f"#ifdef CONFIG_UBSAN\nint last = wanted_one;\n#endif\n{MAIN}"
    culprit = place.linux.commit("The culprit", {"init/main.c": broken})
    place.change("after")
    done = place.bisect("--kbisect-range=HEAD~5..HEAD")
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], told["symptom"], told["confirmation"]["revert"]) == (culprit, "build", "passed")
    assert told["crash"] == "build: init/main.c: error: 'wanted_one' undeclared here (not in a function)"
    log = (place.path / "result" / "bisect.log").read_text()
    assert "the culprit did not build in" in log
    mail = (place.path / "result" / "report.eml").read_text()
    assert "The commit did not build in" in mail
    assert "crashed" not in mail
    assert "pytest" in (place.path / "result" / "repeat.sh").read_text(), "there is no kernel to boot"


def test_the_fix_of_a_failure_is_found(place: Place) -> None:
    reproducer(place, "exit-status")
    place.play("The bug", "exit 3")
    place.grow(2, "bug")
    fix = place.linux.commit("The fix", {"init/main.c": MAIN})
    place.grow(1, "after")
    done = place.bisect("--kbisect-fix", "--kbisect-range=HEAD~4..HEAD")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert (place.result()["culprit"], place.result()["symptom"]) == (fix, "exit-status")
    mail = (place.path / "result" / "report.eml").read_text()
    assert "crash: exit status 3 is fixed by commit" in mail
    assert "The reproducer failed in 0 of" in " ".join(mail.split())
    assert "crashed" not in mail


def test_a_good_release_is_found_by_a_symptom_of_the_options(place: Place) -> None:
    for number in range(1, 4):
        if number == 3:
            culprit = place.play("The culprit", "log eth0: link is lost")
        place.grow(1, f"v{number}_")
        place.linux.git("tag", f"v6.{number}")
    place.grow(1, "after")
    done = place.bisect("--kbisect-bad-when=console link is lost", "--kbisect-range=..HEAD")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    assert place.journal()[0]["bad_when"] == ["console link is lost"]
    refused = place.bisect("--kbisect-bad-when=timeout", "--kbisect-range=..HEAD")
    assert refused.code == ExitCode.USAGE
    assert "its bad_when is" in refused.err


def test_a_subtest_that_always_failed_hides_no_other(place: Place) -> None:
    """And a commit that has not the subtest, or skips it, says nothing."""
    reproducer(place, "subtest *")
    place.play("as it was", "print not ok 1 old|ok 2 new")
    place.change("before")
    place.play("skips", "print not ok 1 old|ok 2 new # SKIP")
    place.play("has it not", "print not ok 1 old")
    place.play("as it was again", "print ok 2 new|not ok 1 old")
    culprit = place.play("The culprit", "print not ok 1 old|not ok 2 new")
    place.change("after")
    done = place.bisect("--kbisect-range=HEAD~6..HEAD")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert (place.result()["culprit"], place.result()["crash"]) == (culprit, "not ok: new")


def test_a_crash_that_is_not_looked_for_makes_no_run_bad(place: Place) -> None:
    reproducer(place, "exit-status")
    place.play("crashes in each run", "crash")
    place.linux.commit("not any more", {"init/main.c": MAIN})
    culprit = place.play("The culprit", "exit 3")
    place.change("after")
    done = place.bisect("--kbisect-range=HEAD~4..HEAD")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit


ASSERTS = """
import time

def test_speed(vm):
    seconds = time.time() if "bad" in vm.run("true").stdout else 0.5
    if seconds > 100:
        raise AssertionError(f"assert {seconds} < 100")
"""


def test_an_assertion_may_name_another_number_each_time(place: Place) -> None:
    (place.path / "test_speed.py").write_text(ASSERTS)
    culprit = grown(place, "print bad")
    done = place.bisect("--kbisect-range=HEAD~5..HEAD", "test_speed.py")
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = place.result()
    assert (told["culprit"], told["crash"]) == (culprit, "test failed: assert NUM < NUM")
    assert told["confirmation"]["culprit"][0] == told["confirmation"]["culprit"][1]
    assert "may be the same bug" not in done.out
    assert "bad: test failed: assert 1" in (place.path / "result" / "bisect.log").read_text()


# -- what cannot be used -----------------------------------------------------------------------------------


def test_a_subtest_that_no_run_prints_ends_it_with_those_that_are(place: Place) -> None:
    reproducer(place, "subtest tls*")
    grown(place, "print ok 1 netns|not ok 2 vlan")
    done = place.bisect("--kbisect-range=HEAD~5..HEAD")
    assert done.code == ExitCode.USAGE
    assert "no subtest of crash matches 'tls*': name one of those that it prints (netns, vlan)" in done.err


def test_a_program_that_is_not_in_the_guest_ends_it(place: Place) -> None:
    reproducer(place, "exit-status")
    grown(place, "exit 127")
    done = place.bisect("--kbisect-range=HEAD~5..HEAD")
    assert done.code == ExitCode.USAGE
    assert "crash.sh cannot be run: the guest has no program sh (exit status 127)" in done.err


WRONG = {
    "in a file": (["krash"], [], "crash.sh: unknown symptom 'krash' (known: crash, exit-status, "),
    "of the options": (
        [],
        ["--kbisect-bad-when=console ("],
        "--kbisect-bad-when: write another symptom than 'console ('",
    ),
    "and a title": (["timeout\n# kbisect-crash: WARNING in foo"], [], "kbisect-crash names a crash, and"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_symptom_ends_it_before_anything_is_built(place: Place, kind: str) -> None:
    symptoms, words, message = WRONG[kind]
    reproducer(place, *symptoms)
    grown(place, "exit 3")
    done = place.bisect("--kbisect-range=HEAD~5..HEAD", *words)
    assert (done.code, place.linux.builds) == (ExitCode.USAGE, 0)
    assert message in done.err
    assert "Traceback" not in done.out + done.err


def test_a_python_test_has_no_exit_status(place: Place) -> None:
    (place.path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.kbisect(bad_when='exit-status')\ndef test_it(vm): pass\n"
    )
    grown(place, "exit 3")
    done = place.bisect("--kbisect-range=HEAD~5..HEAD", "test_it.py")
    assert done.code == ExitCode.USAGE
    assert "exit-status is for C and shell files" in done.err


# -- suites of the kernel's own ------------------------------------------------------------------------------


def test_a_kunit_suite_that_fails_in_one_boot_of_three(place: Place) -> None:
    (place.path / "list.kunitconfig").write_text("# The suites of lib/\nCONFIG_TUN=y\n")
    kconfig = place.linux.path / "Kconfig"
    symbols = "".join(f"config {name}\n\tbool\n\n" for name in ("KUNIT", "RUNTIME_TESTING_MENU"))
    place.linux.commit("KUnit", {"Kconfig": f"{kconfig.read_text()}{symbols}"})
    place.play("as it was", "log     ok 1 x|    ok 2 y|ok 1 list-test")
    place.change("before")
    culprit = place.play("The culprit", "log     ok 1 x|    not ok 2 y|not ok 1 list-test/3")
    place.change("after")
    done = place.bisect("--kbisect-range=HEAD~3..HEAD", "list.kunitconfig::list")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert (place.result()["culprit"], place.result()["crash"]) == (culprit, "not ok: list-test.y")
    request = next((place.path / "result" / "sessions").rglob("request.json")).read_text()
    assert "list.kunitconfig" in request


def test_a_kselftest_is_of_the_end_of_the_range_at_each_commit(place: Place) -> None:
    folder = "tools/testing/selftests/timers"
    makefile = (place.linux.path / "Makefile").read_text()
    tests = {
        f"{folder}/Makefile": "$(OUTPUT)/%: %.c\n\t$(CC) -o $@ $<\n",
        f"{folder}/one.c": "int main(void) { return 0; }\n",
    }
    more = {"Makefile": f"{makefile}\nheaders:\n\t@:\n", "include/x": "", "scripts/x": "", "arch/x86/x": ""}
    (place.path / "one.sh").write_text("# kbisect-selftest: timers/one\n")
    place.play("as it was", "print # ok 1 a|ok 1 selftests: timers: one")
    culprit = place.play("The culprit", "print # not ok 1 a|not ok 1 selftests: timers: one # exit=1")
    place.linux.commit("The test comes last", {**tests, **more})
    done = place.bisect("--kbisect-range=HEAD~2..HEAD", "one.sh")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert (place.result()["culprit"], place.result()["crash"]) == (culprit, "not ok: timers:one.a")
    end = place.linux.git("rev-parse", "HEAD")
    for request in (place.path / "result" / "sessions").rglob("request.json"):
        assert json.loads(request.read_text())["selftests"] == end
    (place.path / "one.sh").write_text("# kbisect-selftest: timers/two\n")
    refused = place.bisect("--kbisect-range=HEAD~2..HEAD", "one.sh", to="other")
    assert refused.code == ExitCode.USAGE
    assert "has no kselftest timers/two: name one of one" in refused.err
