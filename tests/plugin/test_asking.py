"""Bisections in which a person is the test."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from asked_person import Person
from miniature import MAIN
from whole import Place

from pytest_kbisect.bisection import answers
from pytest_kbisect.bisection.answers import Answer, Word
from pytest_kbisect.bisection.commit_request import CommitRequest
from pytest_kbisect.errors import ExitCode

whole = pytest.mark.bisection
needs_tools = pytest.mark.skipif(not shutil.which("gcc"), reason="this host builds no kernels")


# -- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("good\n", Answer(Word.GOOD)),
        (" B ", Answer(Word.BAD)),
        ("s", Answer(Word.SKIP)),
        ("undo", Answer(Word.UNDO)),
        ("q", Answer(Word.QUIT)),
        ("3 of 10", Answer(bad=3, tries=10)),
        ("0/4", Answer(bad=0, tries=4)),
    ],
)
def test_what_can_be_typed(text: str, answer: Answer) -> None:
    assert answers.parse(text) == answer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maybe", "write good, bad, skip, 3 of 10, undo or quit"),
        ("", "write good"),
        ("11 of 10", "11 of 10 cannot be: write how many"),
        ("0 of 0", "0 tries cannot be"),
    ],
)
def test_what_cannot(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        answers.parse(text)


def test_a_word_counts_for_the_tries_that_were_asked_for() -> None:
    whole_batch = CommitRequest("c", 4, "why")
    first_is_enough = CommitRequest("c", 4, "why", stop=())
    assert answers.tried(Answer(Word.GOOD), whole_batch) == (0, 4)
    assert answers.tried(Answer(Word.BAD), whole_batch) == (4, 0)
    assert answers.tried(Answer(Word.BAD), first_is_enough) == (1, 0)
    assert answers.tried(Answer(Word.GOOD), first_is_enough) == (0, 4)
    assert answers.tried(Answer(bad=3, tries=10), first_is_enough) == (3, 7)


# -- whole bisections --------------------------------------------------------------------------------------


@pytest.fixture
def sit_down():
    """A person at a terminal, who is gone at the end of the test."""
    with ExitStack() as there:
        yield lambda *words, **more: there.enter_context(Person(*words, **more))


STEPS = 12


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Its kernel has a header for each step: each commit makes another kernel, and can be taken back."""
    place = Place(tmp_path)
    (tmp_path / "crash.sh").unlink()
    headers = {f"include/linux/step{n}.h": "\n" for n in range(STEPS)}
    includes = "".join(f"#include <linux/step{n}.h>\n" for n in range(STEPS))
    place.linux.base = place.linux.commit("headers", {"init/main.c": includes + MAIN, **headers})
    return place


def steps(place: Place, count: int = STEPS) -> list[str]:
    return [
        place.linux.commit(f"step {n}", {f"include/linux/step{n}.h": f"const int step{n} = {n};\n"})
        for n in range(count)
    ]


def by(commits: list[str], culprit: int, *, bad: str = "bad"):
    """The answers of somebody who knows."""
    at = {commit[:12]: n for n, commit in enumerate(commits)}

    def answer(commit: str, title: str) -> str:
        if title.startswith("Revert"):
            return "good"
        return bad if at.get(commit, -1) >= culprit else "good"

    return answer


@whole
@needs_tools
def test_a_person_is_the_test(place: Place, sit_down) -> None:
    commits = steps(place)
    person = sit_down(place)
    first = person.question()
    assert re.search(rf"kbisect: {commits[-1][:12]} step 11: how often does the bad end crash", first)
    image = re.search(r"kbisect: kernel +(\S+)\n", first)
    assert image
    assert Path(image[1]).is_file()
    assert "kbisect: release  6.1.0-kbisect\n" in first
    assert "kbisect: try it 3 times; does it show the bug?\n" in first
    person.type("perhaps")
    assert "write good, bad, skip, 3 of 10, undo or quit" in person.question()
    person.type("undo")
    assert "there is no answer to take back" in person.question()
    person.type("bad")
    assert person.go_on(by(commits, 7)) == ExitCode.FOUND, person.out
    told = place.result()
    assert (told["kind"], told["culprit"], told["asked"]) == ("culprit", commits[7], True)
    assert told["confidence"] >= 0.95
    assert told["confirmation"]["revert"] == "passed"
    assert told["crash"] == answers.TITLE
    assert len({commit for commit, _, _ in person.asked}) == told["revisions_tested"]
    assert (place.path / "result" / "report.html").is_file()
    assert not (place.path / "result" / "repeat.sh").exists()
    mail = " ".join((place.path / "result" / "report.eml").read_text().split())
    assert "A person saw the bug in" in mail
    assert "The crash, at" not in mail
    assert "Traceback" not in person.out
    assert place.bisect("--kbisect-ask").code == ExitCode.USAGE, "crash.sh was named"


@whole
@needs_tools
def test_it_can_be_left_and_continued_a_day_later_and_answers_be_taken_back(place: Place, sit_down) -> None:
    (place.path / "later.py").write_text("import time\nnow = time.time\ntime.time = lambda: now() + 86400\n")
    commits = steps(place)
    knows = by(commits, 4)
    person = sit_down(place)
    for _ in range(3):
        person.question()
        commit, title, _ = person.asked[-1]
        person.type(knows(commit, title))
    person.question()
    open_question = person.asked[-1][0]
    assert person.leave() == ExitCode.INTERRUPTED
    assert "interrupted; the same command continues where it stopped" in person.out
    known = [one["tested"]["commit"] for one in place.journal() if one["kind"] == "tested"]
    assert len(known) == 3

    person = sit_down(place, "-p", "later", PYTHONPATH=str(place.path))
    person.question()
    assert person.asked[-1][0] == open_question, "nothing is asked again"
    wrong = "good" if knows(*person.asked[-1][:2]) == "bad" else "bad"
    person.type(wrong)
    person.question()
    person.type("undo")
    text = person.question()
    assert "kbisect: the last answer is taken back" in text
    assert person.asked[-1][0] == open_question
    person.type("quit")
    assert person.question() == ""

    person = sit_down(place)
    person.question()
    assert person.asked[-1][0] == open_question, "what was taken back is not known any more"
    person.type(knows(*person.asked[-1][:2]))
    assert person.go_on(knows) == ExitCode.FOUND, person.out
    assert place.result()["culprit"] == commits[4]
    times = [one["time"] for one in place.journal() if one["kind"] == "tested"]
    assert max(times) - min(times) > 80_000
    replayed = place.pytest("--kbisect-replay=result/journal.jsonl", played=False)
    assert f"{commits[4][:12]} step 4" in replayed.out
    log = (place.path / "result" / "bisect.log").read_text()
    assert log.count(f"testing commit {open_question}") >= 1


@whole
@needs_tools
def test_a_flaky_bug_and_commits_that_cannot_be_tested(place: Place, sit_down) -> None:
    commits = steps(place)
    at = {commit[:12]: n for n, commit in enumerate(commits)}

    def answer(commit: str, title: str) -> str:
        n = at.get(commit, -1)
        if n == 5:
            return "skip"
        return "0 of 12" if n < 8 or title.startswith("Revert") else "5 of 12"

    person = sit_down(place)
    assert person.go_on(answer) == ExitCode.FOUND, person.out
    told = place.result()
    assert told["culprit"] == commits[8]
    by_commit = {one["commit"]: one for one in told["tested"]}
    assert by_commit[commits[8]]["crashed"] / by_commit[commits[8]]["runs"] == pytest.approx(5 / 12)
    if commits[5] in by_commit:
        assert by_commit[commits[5]]["verdict"] == "skip"


@whole
@needs_tools
def test_a_command_takes_the_kernel_to_the_machine(place: Place, sit_down) -> None:
    """With modules and packages; it fails once, and once for good."""
    commits = steps(place, 5)
    (place.path / "modular.config").write_text("CONFIG_MODULES=y\n")
    (place.path / "deliver.sh").write_text(
        """\
cd "$(dirname "$0")"
env | grep ^KBISECT_ | sort >"told-$KBISECT_COMMIT"
test -f "$KBISECT_IMAGE" && test -f "$KBISECT_CONFIG" || exit 9
test -f "$KBISECT_MODULES/lib/modules/$KBISECT_RELEASE/module.ko" || exit 8
test -f "$KBISECT_PACKAGES" || exit 7
echo "installed $KBISECT_COMMIT"
test -f tried || { touch tried; exit 3; }
test ! -f "refuse-$KBISECT_COMMIT"
"""
    )
    (place.path / f"refuse-{commits[2]}").touch()
    options = ["--kbisect-config=modular.config", f"--kbisect-deliver=sh {place.path}/deliver.sh"]
    person = sit_down(place, *options, "--kbisect-package=bindeb-pkg")
    text = person.question()
    assert f"installed {commits[-1]}\n" in text
    assert "kbisect: --kbisect-deliver failed (exit status 3): type again, skip or quit" in text
    person.type("again")

    knows = by(commits, 3)

    def answer(commit: str, title: str) -> str:
        return "skip" if commit == commits[2][:12] else knows(commit, title)

    assert person.go_on(answer) == ExitCode.INCONCLUSIVE, person.out
    told = place.result()
    assert {sha for sha, _, _ in told["candidates"]} == {commits[2], commits[3]}
    env = dict(line.split("=", 1) for line in (place.path / f"told-{commits[-1]}").read_text().splitlines())
    assert env["KBISECT_COMMIT"] == commits[-1]
    assert env["KBISECT_RELEASE"] == "6.1.0-kbisect"
    assert env["KBISECT_PACKAGES"].endswith("linux-image-6.1.0-kbisect_1_amd64.deb")
    assert "kbisect: modules  " in person.out
    assert "kbisect: package  " in person.out
    left = [path.name for path in (place.path / "result" / "kernels").iterdir()]
    assert len(left) <= 1, "only the last kernel is kept"
    assert not list((place.path / "cache").rglob("*.deb"))


@whole
@needs_tools
def test_a_guest_is_booted_for_the_person(place: Place, sit_down) -> None:
    """Played; see tests/guest for a real one."""
    commits = steps(place, 4)
    (place.path / "logins.py").write_text(
        "import pytest_kbisect.bisection.asking as asking\n"
        "asking.ssh_command = lambda guest: ['ssh', '-p', '2222', str(type(guest).__module__)]\n"
    )
    person = sit_down(
        place, "--kbisect-shell", "-p", "played_guests", "-p", "logins", PYTHONPATH=str(place.path)
    )
    assert "kbisect: guest    ssh -p 2222 played_guests\n" in person.question()
    person.type("bad")
    assert person.go_on(by(commits, 2)) == ExitCode.FOUND, person.out
    assert place.result()["culprit"] == commits[2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kbisect-ask"], "--kbisect-ask needs a range: add --kbisect-range A..B"),
        (
            ["--kbisect-range=HEAD~1..HEAD", "--kbisect-deliver=true"],
            "--kbisect-deliver is for kernels that a person tests",
        ),
        (
            ["--kbisect-range=HEAD~1..HEAD", "--kbisect-ask", "a.sh"],
            "a person is the test, and not a.sh: remove it",
        ),
        (
            ["--kbisect-range=HEAD~1..HEAD", "--kbisect-ask", "--kbisect-shell", "--kbisect-deliver=true"],
            "--kbisect-shell boots a guest, --kbisect-deliver takes kernels elsewhere: remove one",
        ),
    ],
)
def test_what_does_not_fit(pytester: pytest.Pytester, linux, words: list[str], message: str) -> None:
    pytester.path.joinpath("a.sh").write_text("true\n")
    result = pytester.runpytest(f"--kbisect-kernel={linux.path}", *words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()
