"""Bisections by a metric, as users start them; only guests are played."""

from __future__ import annotations

import email
import email.policy
import json
from pathlib import Path

import pytest
from whole import Place, needs_tools

from pytest_kbisect.errors import ExitCode

pytestmark = [pytest.mark.bisection, needs_tools]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    reproducer(place, "metric ms higher")
    return place


def reproducer(place: Place, *symptoms: str) -> None:
    lines = [f"# kbisect-bad-when: {symptom}" for symptom in symptoms]
    lines.append('echo "kbisect-metric: ms 1"  # what a reproducer prints asks for nothing')
    (place.path / "crash.sh").write_text("\n".join([*lines, "true\n"]))


def like(word: str, number: int) -> str:
    """What another kernel plays that measures nearly the same."""
    plays, _, rest = word.partition(" ")
    usual, _, spread = rest.partition(" ")
    return f"{plays} {float(usual) + (number + 1) / 100} {spread}"


def history(place: Place, before: str, after: str, *then: str) -> tuple[str, list[str]]:
    """A range that starts with what `before` plays: its beginning, and the commits that change that."""
    good = place.play("As it was", before)
    found = []
    for word in (after, *then):
        for n in range(2 if then else 0):  # kernels of their own: one that is odd proves nothing
            place.play(f"More {len(found)} {n}", like([before, after, *then][len(found)], n))
        place.grow(2, f"file{len(found)}")
        found.append(place.play(f"Change {len(found)}", word))
    place.grow(2, "last")
    return f"--kbisect-range={good}..HEAD", found


def test_a_slower_benchmark_is_found(place):
    range_, (culprit,) = history(place, "measure 100 2", "measure 120 2")
    done = place.bisect(range_)
    result = place.result()
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert result["culprit"] == culprit
    assert result["symptom"] == "metric"
    assert result["crash"].startswith("ms: 120 instead of 100 (+20 %)")
    assert result["confirmation"]["revert"] == "passed"
    assert [(step["high"], step["commits"]) for step in result["metric"]["steps"]] == [(culprit, 1)]
    assert result["metric"]["worse"] == "higher"
    log = (place.path / "result" / "bisect.log").read_text()
    assert "run #0: measured: ms 100" in log
    assert "like the bad end" in log
    assert "the culprit measures 120 (" in log
    assert "crash" not in log.partition("# confidence")[2].partition("recipients")[0]
    mail = email.message_from_bytes(
        (place.path / "result" / "report.eml").read_bytes(), policy=email.policy.default
    )
    assert mail["Subject"] == '[REGRESSION] ms: 120 instead of 100 (+20 %) since "Change 0"'
    text = mail.get_body().get_content()
    assert "Call Trace" not in text
    assert "higher is worse" in text
    page = (place.path / "result" / "report.html").read_text()
    assert 'id="values"' in page
    assert "crashed" not in page
    junit = (place.path / "result" / "junit.xml").read_text()
    assert 'name="kbisect.metric"' in junit
    again = place.bisect(range_)
    assert again.code == ExitCode.FOUND
    assert "run 1 of" not in again.out  # the journal has all of it
    assert place.result()["metric"] == result["metric"]


def test_where_it_becomes_faster_again(place):
    range_, (culprit,) = history(place, "measure 120 2", "measure 100 2")
    done = place.bisect(range_, "--kbisect-fix")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    assert place.result()["crash"].startswith("ms: 100 instead of 120 (-17 %)")


def test_several_steps_are_reported(place):
    range_, both = history(place, "measure 100 1", "measure 110 1", "measure 130 1")
    done = place.bisect(range_)
    result = place.result()
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert result["culprit"] == both[1]
    assert "ms changes in 2 steps" in done.out
    steps = result["metric"]["steps"]
    assert len(steps) == 2
    assert steps[1]["high"] == both[1]
    assert round(steps[0]["before"]), round(steps[0]["after"]) == (100, 110)


def test_a_good_end_among_the_releases(place):
    place.linux.commit("Linux 6.2", {"Makefile.version": "6.2\n"})
    place.play("Linux 6.2", "measure 100 2")
    place.linux.git("tag", "v6.2")
    place.grow(2, "before")
    culprit = place.play("The culprit", "measure 150 2")
    place.linux.git("tag", "v6.3")
    place.grow(2, "after")
    done = place.bisect("--kbisect-range=..HEAD")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    assert "testing release v6.3" in done.out


def test_a_known_verdict_counts(place):
    range_, (culprit,) = history(place, "measure 100 2", "measure 120 2")
    (place.path / "known").write_text(f"bad {culprit} 3 runs\n")
    done = place.bisect(range_, "--kbisect-known=known")
    assert done.code == ExitCode.FOUND, done.out + done.err
    assert place.result()["culprit"] == culprit
    assert not place.result()["known"][0]["outvoted"]


NO_DIFFERENCE = {
    "constant": (
        "print kbisect-metric: ms 5",
        "print kbisect-metric: ms 5|",
        "ms is 5 in all 10 runs at both ends",
    ),
    "the wrong direction": ("measure 120 2", "measure 100 2", "write metric ms lower, or look for a fix"),
    "alike": ("measure 100 20", "measure 100.5 20", "would have been seen"),
}


@pytest.mark.parametrize(("before", "after", "words"), NO_DIFFERENCE.values(), ids=NO_DIFFERENCE)
def test_ends_that_do_not_differ(place, before, after, words):
    range_, _ = history(place, before, after)
    done = place.bisect(range_)
    assert done.code == ExitCode.NOT_REPRODUCED, done.out + done.err
    assert words in done.err
    assert words in place.result()["reason"]


UNUSABLE = {
    "never printed": (
        "print kbisect-metric: other 5",
        "prints no line 'kbisect-metric: ms VALUE', and only other",
    ),
    "nothing printed": ("print hello", "and no metric"),
    "not a number": ("print kbisect-metric: ms nan", "'kbisect-metric: ms nan' has no finite number"),
    "no value": ("print kbisect-metric: ms", "has no finite number"),
}


@pytest.mark.parametrize(("word", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_value(place, word, words):
    range_, _ = history(place, word, word + "|")
    done = place.bisect(range_)
    assert done.code == ExitCode.USAGE, done.out + done.err
    assert words in done.err
    assert "Traceback" not in done.out + done.err


REFUSED = {
    "joined": (("metric ms higher", "exit-status"), (), "the symptom metric cannot be joined with others"),
    "no direction": (("metric ms",), (), "write metric NAME higher, or metric NAME lower"),
    "classic": (("metric ms higher",), ("--kbisect-strategy=classic",), "use --kbisect-strategy bayes"),
    "KVM": (("metric ms higher",), ("--kbisect-icount", "--kbisect-accel=kvm"), "remove --kbisect-accel kvm"),
    "processors": (("metric ms higher",), ("--kbisect-icount", "--kbisect-cpus=2"), "asks for 2"),
}


@pytest.mark.parametrize(("stated", "words", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_for(place, stated, words, message):
    reproducer(place, *stated)
    place.grow(1, "more")
    done = place.bisect(*words)
    assert done.code == ExitCode.USAGE, done.out + done.err
    assert message in done.err


def test_one_reproducer_at_a_time(place):
    (place.path / "other.sh").write_text("# kbisect-bad-when: metric ms lower\n")
    place.grow(1, "more")
    done = place.bisect("crash.sh", "other.sh")
    assert done.code == ExitCode.USAGE
    assert "name one file, or use -k" in done.err


def test_the_instruction_clock_is_part_of_the_bisection(place):
    range_, _ = history(place, "measure 100 2", "measure 120 2")
    assert place.bisect(range_, "--kbisect-icount").code == ExitCode.FOUND
    assert place.result()["icount"] is True
    assert "Clock" in (place.path / "result" / "report.html").read_text()
    assert "-icount shift=0,sleep=off" in (place.path / "result" / "repeat.sh").read_text()
    again = place.bisect(range_)
    assert again.code == ExitCode.USAGE
    assert "its icount is true" in again.err
    subject = json.loads((place.path / "result" / "journal.jsonl").read_text().splitlines()[0])
    assert subject["icount"] is True


def test_the_journal_of_a_metric_holds_verdicts(place):
    range_, (culprit,) = history(place, "measure 100 2", "measure 120 2")
    assert place.bisect(range_).code == ExitCode.FOUND
    done = place.bisect(range_, "--kbisect-known=result/journal.jsonl", to="again")
    assert done.code == ExitCode.FOUND, done.out + done.err
    told = {one["commit"]: one["verdict"] for one in place.result("again")["known"]}
    assert told[culprit] == "bad"
    assert "good" in told.values()
    replayed = place.pytest("--kbisect-replay=result/journal.jsonl")
    assert f"{culprit[:12]} bad" in replayed.out
    assert "here: culprit" in replayed.out


def test_values_of_other_guests_are_not_mixed(place):
    range_, _ = history(place, "measure 100 2", "measure 120 2")
    assert place.bisect(range_).code == ExitCode.FOUND
    other = place.bisect(range_, "--kbisect-memory=1024")
    assert other.code == ExitCode.USAGE
    assert "belongs to another bisection: its measured on" in other.err
