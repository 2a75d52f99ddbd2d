"""Release tags: order, choice, and the walk back to a good one."""

from __future__ import annotations

import pytest

from pytest_kbisect.evidence.outcome import Verdict
from pytest_kbisect.strategies.release_tags import WalkEnd, parse_release, pick, releases, walk

MAINS = [f"v6.{n}" for n in range(5, -1, -1)] + [f"v5.{n}" for n in range(19, 3, -1)]


def test_order_and_what_is_left_out():
    tags = [
        "v5.9",
        "v5.10",
        "v5.10-rc3",
        "v5.10.1",
        "v5.10.1",
        "v4.18",
        "v4.19",
        "next-20240101",
        "v2.6.12",
        "v5",
    ]
    assert [r.tag for r in releases(tags, oldest="v4.18")] == ["v5.10.1", "v5.10", "v5.9", "v4.19"]
    assert parse_release("v5.10-rc3") < parse_release("v5.10") < parse_release("v5.10.1")


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        (MAINS, "v6.5 v6.4 v6.3 v6.1 v5.19 v5.17 v5.15 v5.13 v5.10 v5.7 v5.4"),
        (
            [f"v5.15.{n}" for n in range(10, 0, -1)] + [f"v5.{n}" for n in range(15, 3, -1)],
            "v5.15.10 v5.15.9 v5.15.5 v5.15 v5.14 v5.13 v5.11 v5.9 v5.7 v5.5 v5.4",
        ),
    ],
)
def test_same_choice_as_the_peer(tags, wanted):
    assert " ".join(r.tag for r in pick(releases(tags))) == wanted


def play(verdict_of, tags=MAINS):
    chosen, verdicts = pick(releases(tags)), {}
    while (step := walk(chosen, verdicts)).end is None:
        assert step.test not in verdicts
        verdicts[step.test] = verdict_of(parse_release(step.test))
    return step, verdicts


@pytest.mark.parametrize("introduced", ["v6.5", "v6.4", "v5.18", "v5.12", "v5.5"])
def test_finds_a_good_release_below_the_bug(introduced):
    bug = parse_release(introduced)
    step, verdicts = play(lambda release: Verdict.BAD if release >= bug else Verdict.GOOD)
    assert step.end is WalkEnd.FOUND
    assert parse_release(step.good) < bug
    assert step.bad is None or parse_release(step.bad) >= bug
    assert len(verdicts) <= 5


def test_oldest_is_bad():
    step, verdicts = play(lambda _: Verdict.BAD)
    assert (step.end, step.bad) == (WalkEnd.OLDEST_BAD, "v5.4")
    assert len(verdicts) <= 5


def test_nothing_can_be_tested():
    step, verdicts = play(lambda _: Verdict.SKIP)
    assert step.end is WalkEnd.UNTESTABLE
    assert len(verdicts) == 11


def test_oldest_releases_cannot_be_tested():
    """Bad down to v5.16, untestable below v5.15: those passed over are tried before giving up."""
    below, bug = parse_release("v5.15"), parse_release("v5.16")
    step, _ = play(lambda r: Verdict.SKIP if r < below else Verdict.BAD if r >= bug else Verdict.GOOD)
    assert (step.end, step.good) == (WalkEnd.FOUND, "v5.15")


def test_the_oldest_release_that_can_be_tested_is_bad():
    below = parse_release("v5.15")
    step, _ = play(lambda r: Verdict.SKIP if r < below else Verdict.BAD)
    assert (step.end, step.bad) == (WalkEnd.UNTESTABLE, "v5.15")


def test_no_tags():
    assert walk((), {}).end is WalkEnd.NO_TAGS
