from __future__ import annotations

import pytest

from pytest_kbisect.demo import history, story
from pytest_kbisect.errors import UsageError


@pytest.fixture
def prepared(tree: dict[str, bytes]) -> dict[str, bytes]:
    path = story.PREPARATION.path
    return tree | {path: story.PREPARATION.apply(tree[path].decode("latin-1")).encode("latin-1")}


@pytest.fixture
def laid(prepared: dict[str, bytes]) -> history.History:
    said: list[str] = []
    laid = history.lay_out("6.1.7", prepared, said.append)
    assert not said
    return laid


def ancestors(laid: history.History, index: int) -> set[int]:
    found, queue = set(), [index]
    while queue:
        if (at := queue.pop()) not in found:
            found.add(at)
            queue.extend(laid.commits[at].parents)
    return found


def test_it_has_the_promised_size_and_every_commit_leads_to_the_last(laid: history.History) -> None:
    assert len(laid.commits) - 1 == story.TOTAL
    assert len(ancestors(laid, len(laid.commits) - 1)) == len(laid.commits)


def test_one_side_branch_is_merged_late(laid: history.History) -> None:
    (merge,) = (index for index, commit in enumerate(laid.commits) if len(commit.parents) == 2)
    first, second = laid.commits[merge].parents
    assert len(ancestors(laid, second) - ancestors(laid, first)) == story.SIDE_LENGTH
    assert merge > 0.8 * story.TOTAL
    # What the branch did is in the merge, and nothing else is.
    paths = set(laid.commits[merge].files)
    assert paths
    assert all(path.startswith("fs/") for path in paths)


def test_the_culprit_and_its_parent_can_be_told_apart(laid: history.History) -> None:
    (parent,) = laid.commits[laid.culprit].parents
    assert not {laid.culprit, parent} & {*laid.unbuildable, *laid.unbootable, *laid.words}
    assert set(laid.commits[laid.culprit].files) == {"net/core/skbuff.c"}


def test_there_are_as_many_bad_commits_and_words_as_promised(laid: history.History) -> None:
    assert (len(laid.unbuildable), len(laid.unbootable), len(laid.words)) == (3, 1, 10)


def test_words_are_documentation_or_lines_that_stay_lines(
    laid: history.History, prepared: dict[str, bytes]
) -> None:
    for index in laid.words:
        for path, content in laid.commits[index].files.items():
            assert path.startswith("Documentation/") or content.count(b"\n") == prepared[path].count(b"\n")


def test_nobody_touches_a_header(laid: history.History) -> None:
    """A header that everything includes would make each step of a bisection a whole build."""
    assert not [path for commit in laid.commits for path in commit.files if path.endswith(".h")]


def test_dates_grow_and_subjects_differ(laid: history.History) -> None:
    for commit in laid.commits:
        assert all(laid.commits[parent].seconds < commit.seconds for parent in commit.parents)
    subjects = [commit.message.splitlines()[0] for commit in laid.commits]
    assert len(set(subjects)) == len(subjects)
    assert max(map(len, subjects)) <= 75


def test_an_ordinary_change_that_does_not_fit_is_replaced_and_said(prepared: dict[str, bytes]) -> None:
    said: list[str] = []
    laid = history.lay_out("6.1.99", prepared | {"mm/vmscan.c": b"rewritten\n"}, said.append)
    assert len(laid.commits) - 1 == story.TOTAL
    assert any("mm/vmscan.c" in line for line in said)


def test_a_tree_that_is_too_different_is_refused(prepared: dict[str, bytes]) -> None:
    strange = {
        path: b"" if path.startswith(("mm/", "kernel/", "net/ipv4/")) else content
        for path, content in prepared.items()
    }
    strange["kernel/umh.c"] = prepared["kernel/umh.c"]
    with pytest.raises(UsageError, match=r"only \d+ of the demo's commits fit Linux 6\.1\.99"):
        history.lay_out("6.1.99", strange, lambda _: None)


def test_a_tree_without_the_culprits_place_is_refused(prepared: dict[str, bytes]) -> None:
    with pytest.raises(UsageError, match=r"net/core/skbuff\.c"):
        history.lay_out("6.1.99", prepared | {"net/core/skbuff.c": b""}, lambda _: None)
