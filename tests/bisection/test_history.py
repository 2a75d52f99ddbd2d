"""Histories from real repositories, and from graphs that no healthy repository has."""

from __future__ import annotations

import random
import subprocess

import numpy as np
import pytest
from graphs import make_repo, random_parents, read_history
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_kbisect.history.ancestry import Ancestry
from pytest_kbisect.history.candidates import GOOD_END, History

GRAPHS = st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=1, max_size=90).map(
    lambda rows: [tuple(dict.fromkeys(max(GOOD_END, i - back) for back in row)) for i, row in enumerate(rows)]
)


def sets(parents):
    """Ancestor sets, the plain way."""
    found = []
    for i, row in enumerate(parents):
        found.append({i}.union(*(found[p] for p in row if p >= 0)))
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines that build kernels are busy
@given(GRAPHS, st.randoms(use_true_random=False))
def test_ancestry_of_any_graph(parents, rng):
    expected, ancestry = sets(parents), Ancestry(parents)
    members = np.array([rng.random() < 0.5 for _ in parents])
    chosen = set(np.flatnonzero(members).tolist())
    assert [set(np.flatnonzero(ancestry.ancestors(i)).tolist()) for i in range(len(parents))] == expected
    assert ancestry.count(members).tolist() == [len(row & chosen) for row in expected]


def test_reads_a_real_repository(tmp_path):
    parents = random_parents(random.Random(3), 60)
    titles = [f"net: fix {i} — “quoted” \x01" for i in range(60)]
    repo = make_repo(tmp_path / "r.git", parents, [10**9 + i for i in range(60)], titles)
    history = read_history(repo)
    listed = subprocess.run(
        ["git", "-C", str(repo), "rev-list", "--parents", "A..B"], capture_output=True, text=True, check=True
    ).stdout
    expected = {line.split()[0]: line.split()[1:] for line in listed.splitlines()}
    assert set(history.commits) == set(expected)
    for i, sha in enumerate(history.commits):
        assert [history.commits[p] for p in history.parents[i] if p >= 0] == [
            p for p in expected[sha] if p in expected
        ]
        assert (GOOD_END in history.parents[i]) == any(p not in expected for p in expected[sha])
    assert set(history.titles) <= set(titles)
    assert history.suspects.all()
    assert not history.repairs


def log(*rows):
    return "".join(f"{sha}\0{' '.join(parents)}\x0010\0title of {sha}\n" for sha, parents in rows)


def test_cycle_is_cut_and_said():
    history = History.from_log(log(("a", ["c"]), ("b", ["a"]), ("c", ["b"])))
    assert sorted(history.commits) == ["a", "b", "c"]
    assert len(history.repairs) == 1
    assert "its own ancestor" in history.repairs[0]
    assert all(p < i for i, row in enumerate(history.parents) for p in row)


def test_children_printed_first_are_put_in_order():
    history = History.from_log(log(("c", ["b", "x"]), ("b", ["a"]), ("a", [])))
    assert history.commits == ("a", "b", "c")
    assert history.parents == ((), (0,), (1, GOOD_END))


def test_octopus_with_one_parent_twice_and_several_roots():
    history = History.from_log(log(("a", []), ("b", []), ("c", ["a", "b", "a", "x", "y"])))
    assert history.parents[2] == (0, 1, GOOD_END)
    assert history.is_merge(2)


def test_parents_outside_are_told_from_the_good_end():
    text = log(("a", ["good"]), ("b", ["old"]), ("c", ["b", "a", "older"]), ("d", ["old", "c"]))
    history = History.from_log(text, good="good")
    assert history.parents == ((GOOD_END,), (-2,), (1, 0, -3), (-2, 2))
    assert history.outside == ("old", "older")
    assert [history.sha(i) for i in (0, -2, -3)] == ["a", "old", "older"]
    assert [history.index(sha) for sha in ("c", "older", "good", "nowhere")] == [2, -3, None, None]
    assert history.ancestry.ancestors(1).tolist() == [False, True, False, False]
    assert History.from_log(text).parents[1:3] == ((GOOD_END,), (1, 0, GOOD_END))


@pytest.mark.parametrize("text", ["", "\n", "warning: something\n"])
def test_empty_range(text):
    history = History.from_log(text)
    assert len(history) == 0
    assert not history.suspects.any()


def test_hundred_thousand_commits():
    """The bound is 2 s and 1.5 GiB; a quiet machine takes 0.4 s and 0.2 GiB."""
    rng = random.Random(1)
    parents = random_parents(rng, 100_000, merges=0.08)
    ancestry = Ancestry(parents)
    assert int(ancestry.count(np.ones(len(parents), dtype=bool))[-1]) == int(ancestry.ancestors(99_999).sum())
