"""The classic order is git bisect's own: compared with the real one, commit by commit."""

from __future__ import annotations

import random
import re

import pytest
from graphs import git, make_repo, random_parents, read_history

from pytest_kbisect.strategies.halving import Halving, estimate_steps, halve


def git_says(text: str):
    """(commit to test next, the line about revisions left) or (None, set of first bad commits)."""
    found = re.search(r"([0-9a-f]{40}) is the first '?bad'? commit", text)
    if found:
        return None, {found[1]}
    if "only 'skip'ped commits left" in text:
        return None, set(re.findall(r"^[0-9a-f]{40}$", text, re.MULTILINE))
    return re.search(r"^\[([0-9a-f]{40})\]", text, re.MULTILINE)[1], re.search(
        r"^Bisecting: .*", text, re.MULTILINE
    )[0]


@pytest.mark.parametrize("seed", range(12))
def test_same_order_as_git(tmp_path, seed):
    rng = random.Random(seed)
    size = rng.choice([6, 20, 60, 200])
    parents = random_parents(rng, size, merges=rng.choice([0, 0.1, 0.3]))
    dates, now = [], 10**9
    for _ in range(size):
        now += rng.choice([0, 0, 1, 60]) if seed % 3 else rng.randrange(-200, 300)  # clocks are wrong, too
        dates.append(now)
    repo = make_repo(tmp_path / "r.git", parents, dates)
    history = read_history(repo)
    culprit = rng.choice(history.commits)
    skips = rng.choice([0, 0, 0.2, 0.6])
    bad, good, skipped = history.bad_end, set(), set()

    said = git(repo, "bisect", "start", "--no-checkout", "B", "A")
    for _ in range(200):
        step = halve(history, Halving(bad, frozenset(good), frozenset(skipped)))
        commit, line = git_says(said)
        if commit is None:
            assert step.next is None
            assert {history.commits[i] for i in step.left} == line
            break
        assert (history.commits[step.next], str(step)) == (commit, line)
        if rng.random() < skips:
            verdict = "skip"
            skipped.add(step.next)
        elif history.ancestry.ancestors(step.next)[history.position[culprit]]:
            verdict, bad = "bad", step.next
        else:
            verdict = "good"
            good.add(step.next)
        said = git(repo, "bisect", verdict, commit)


def test_same_order_on_a_long_line(tmp_path):
    """From 2,048 commits on git is content with being within 0.1 % of the half."""
    size = 5000
    repo = make_repo(
        tmp_path / "r.git", [(i - 1,) if i else () for i in range(size)], range(10**9, 10**9 + size)
    )
    history = read_history(repo)
    commit, line = git_says(git(repo, "bisect", "start", "--no-checkout", "B", "A"))
    step = halve(history, Halving(history.bad_end))
    assert (history.commits[step.next], str(step)) == (commit, line)


def test_steps_as_git_estimates_them():
    assert [estimate_steps(n) for n in (1, 2, 3, 4, 5, 6, 7, 12, 1000)] == [0, 0, 1, 1, 1, 2, 2, 3, 9]
