"""Bisections as users start them, to their exit codes, their last words and their files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from played_guests import TITLE
from whole import Place

from pytest_kbisect.errors import ExitCode

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-system-x86_64", "gcc", "perl"))), reason="this host builds no kernels"
)


class Finished(Place):
    """A bisection of five commits that found `culprit`; to be continued from its journal, never to be changed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.grow(2, "before")
        self.culprit = self.play("The culprit", "crash")
        self.grow(2, "after")
        self.done = self.bisect()

    def again(self, to: str, *words: str, **environment: str):
        """The same command with only the journal there: nothing is tested again, the answer is known at once."""
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


# -- exit codes --------------------------------------------------------------------------------------------


def test_a_good_end_that_crashes_has_an_exit_code_of_its_own(place: Place) -> None:
    place.play("The bug", "crash")
    good = place.linux.git("rev-parse", "HEAD")
    place.grow(2, "after")
    done = place.bisect(f"--kbisect-range={good}..HEAD", "--kbisect-strategy=classic", "--kbisect-runs=2")
    assert done.code == ExitCode.BAD_AT_GOOD_END == 8
    assert "runs crashed on the good end" in done.err
    assert place.result()["kind"] == "bad-at-good-end"
