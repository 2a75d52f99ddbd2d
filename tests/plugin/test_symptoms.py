"""Bisections by other symptoms than a crash, as users start them; only guests are played."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from played_guests import TITLE
from whole import Place

from pytest_kbisect.errors import ExitCode

pytestmark = [
    pytest.mark.bisection,
    pytest.mark.skipif(
        not all(map(shutil.which, ("qemu-system-x86_64", "gcc", "perl"))),
        reason="this host builds no kernels",
    ),
]


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
