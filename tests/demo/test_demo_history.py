from __future__ import annotations

import pytest
from anchors import SAMPLE_RATE, ordinary, tree_files

from pytest_kbisect.demo import commit_graph, key_commits
from pytest_kbisect.errors import UsageError


@pytest.fixture
def laid(tree: dict[str, bytes]) -> commit_graph.History:
    said: list[str] = []
    laid = commit_graph.lay_out("6.1.7", tree, said.append)
    assert not said
    return laid


def ancestors(laid: commit_graph.History, index: int) -> set[int]:
    found, queue = set(), [index]
    while queue:
        if (at := queue.pop()) not in found:
            found.add(at)
            queue.extend(laid.commits[at].parents)
    return found


def test_it_has_the_promised_size_and_every_commit_leads_to_the_last(laid: commit_graph.History) -> None:
    assert len(laid.commits) - 1 == key_commits.TOTAL
    assert len(ancestors(laid, len(laid.commits) - 1)) == len(laid.commits)


def test_one_side_branch_is_merged_late(laid: commit_graph.History) -> None:
    (merge,) = (index for index, commit in enumerate(laid.commits) if len(commit.parents) == 2)
    first, second = laid.commits[merge].parents
    assert len(ancestors(laid, second) - ancestors(laid, first)) == key_commits.SIDE_LENGTH
    assert merge > 0.8 * key_commits.TOTAL
    # What the branch did is in the merge, and nothing else is.
    paths = set(laid.commits[merge].files)
    assert paths
    assert all(path.startswith("fs/") for path in paths)


def test_the_culprit_and_its_parent_can_be_told_apart(laid: commit_graph.History) -> None:
    (parent,) = laid.commits[laid.culprit].parents
    assert not {laid.culprit, parent} & {*laid.unbuildable, *laid.unbootable, *laid.words}
    assert set(laid.commits[laid.culprit].files) == {"net/core/skbuff.c"}


def test_there_are_as_many_bad_commits_and_words_as_promised(laid: commit_graph.History) -> None:
    assert (len(laid.unbuildable), len(laid.unbootable), len(laid.words)) == (3, 1, 10)


def test_words_are_documentation_or_lines_that_stay_lines(
    laid: commit_graph.History, tree: dict[str, bytes]
) -> None:
    prepared = tree | dict(laid.commits[0].files)
    for index in laid.words:
        for path, content in laid.commits[index].files.items():
            assert path.startswith("Documentation/") or content.count(b"\n") == prepared[path].count(b"\n")


def test_nobody_touches_a_header(laid: commit_graph.History) -> None:
    """A header that everything includes would make each step of a bisection a whole build."""
    assert not [path for commit in laid.commits for path in commit.files if path.endswith(".h")]
    assert not [path for path in commit_graph.paths() if path.endswith(".h")]


def test_dates_grow_and_subjects_differ(laid: commit_graph.History) -> None:
    for commit in laid.commits:
        assert all(laid.commits[parent].seconds < commit.seconds for parent in commit.parents)
    subjects = [commit.message.splitlines()[0] for commit in laid.commits]
    assert len(set(subjects)) == len(subjects)
    assert max(map(len, subjects)) <= 75


def test_the_first_commit_names_the_version(laid: commit_graph.History) -> None:
    assert laid.commits[0].message.startswith("Linux 6.1.7\n\n")


@pytest.mark.parametrize("form", [1, -1], ids=["second form", "last form"])
def test_where_the_code_looks_different_another_form_of_a_change_is_made(form: int) -> None:
    laid = commit_graph.lay_out("7.1.8", tree_files(form), lambda _: None)
    assert len(laid.commits) - 1 == key_commits.TOTAL
    assert (len(laid.unbuildable), len(laid.unbootable), len(laid.words)) == (3, 1, 10)
    forms = [change for change in ordinary() if len(change.forms) > 1]
    assert len(forms) > 10
    for change in forms:
        assert change.apply(tree_files(form)), change.subject


def test_an_ordinary_change_that_does_not_fit_is_replaced(tree: dict[str, bytes]) -> None:
    said: list[str] = []
    laid = commit_graph.lay_out("6.1.99", tree | {"mm/vmscan.c": b"rewritten\n"}, said.append)
    assert len(laid.commits) - 1 == key_commits.TOTAL
    assert len(laid.words) == key_commits.WORDS
    assert not said
    assert not [commit for commit in laid.commits if commit.message.startswith("mm: vmscan:")]


def test_it_is_said_if_some_cannot_be_replaced(tree: dict[str, bytes]) -> None:
    poor = {
        path: b"" if path.startswith(("mm/", "net/ipv4/", "drivers/tty/")) else text
        for path, text in tree.items()
    }
    said: list[str] = []
    laid = commit_graph.lay_out("6.1.99", poor, said.append)
    missing = key_commits.TOTAL - (len(laid.commits) - 1)
    assert 0 < missing <= key_commits.TOTAL - key_commits.LEAST
    assert said == [f"{missing} of the demo's 128 commits do not fit Linux 6.1.99"]


def test_a_side_branch_takes_what_fits(tree: dict[str, bytes]) -> None:
    laid = commit_graph.lay_out("6.1.99", tree | {"fs/super.c": b"", "fs/pipe.c": b""}, lambda _: None)
    assert len(laid.commits) - 1 == key_commits.TOTAL
    assert len(laid.words) == key_commits.WORDS


def test_a_tree_that_is_too_different_is_refused(tree: dict[str, bytes]) -> None:
    strange = {
        path: b"" if path.startswith(("mm/", "kernel/", "net/ipv4/")) else content
        for path, content in tree.items()
    }
    for path in ("kernel/umh.c", "kernel/workqueue.c"):
        strange[path] = tree[path]
    with pytest.raises(
        UsageError, match=r"cannot apply 120 of the demo's commits \(only \d+ fit\) to Linux 4\.4\.302: "
    ):
        commit_graph.lay_out("4.4.302", strange, lambda _: None)


class TestBug:
    @pytest.fixture
    def tun(self, tree: dict[str, bytes]) -> dict[str, bytes]:
        """A tree in which nobody checks the length yet."""
        return tree | {
            "drivers/net/tun.c": tree["drivers/net/tun.c"].replace(
                b"if (n > FRAGS ||\n\t    len > (ETH_MAX_MTU - PAD - ALIGN))\n\t\treturn;\n",
                b"if (it->nr_segs > MAX_SKB_FRAGS + 1)\n\t\treturn ERR_PTR(-EMSGSIZE);\n",
            )
        }

    def test_is_the_seeds_where_the_check_can_be_taken_out(self, laid: commit_graph.History) -> None:
        assert laid.bug.crash == "WARNING in pskb_expand_head"
        assert set(laid.commits[0].files) == {"drivers/net/tun.c"}

    def test_needs_no_preparation_where_there_was_no_check_yet(self, tun: dict[str, bytes]) -> None:
        laid = commit_graph.lay_out("5.10.13", tun, lambda _: None)
        assert laid.bug.crash == "WARNING in pskb_expand_head"
        assert not laid.commits[0].files

    @pytest.mark.parametrize("path", ["kernel/events/core.c", "kernel/sysctl.c"])
    @pytest.mark.parametrize("handler", ["perf_event_max_sample_rate_handler", "perf_proc_update_handler"])
    def test_is_another_where_that_one_cannot_be_had(
        self, tree: dict[str, bytes], path: str, handler: str
    ) -> None:
        tree |= {"net/core/skbuff.c": b"", "kernel/events/core.c": f"int {handler}(void);\n".encode()}
        tree[path] = tree.get(path, b"") + SAMPLE_RATE
        laid = commit_graph.lay_out("9.9", tree, lambda _: None)
        assert laid.bug.crash == f"divide error in {handler}"
        assert laid.bug.reproducer == "perf_sample_rate.sh"
        assert set(laid.commits[laid.culprit].files) == {path}
        assert (len(laid.unbuildable), len(laid.unbootable), len(laid.words)) == (3, 1, 10)

    def test_of_none_the_tree_is_refused(self, tree: dict[str, bytes]) -> None:
        with pytest.raises(UsageError, match=r"any of the demo's bugs \(net/core/skbuff\.c: .*--tree"):
            commit_graph.lay_out("6.1.99", tree | {"net/core/skbuff.c": b""}, lambda _: None)


class TestMishaps:
    @pytest.mark.parametrize("path", ["kernel/umh.c", "net/core/stream.c", "init/main.c"])
    def test_others_take_the_place_of_those_that_do_not_fit(self, tree: dict[str, bytes], path: str) -> None:
        laid = commit_graph.lay_out("9.9", tree | {path: b""}, lambda _: None)
        assert (len(laid.unbuildable), len(laid.unbootable)) == (3, 1)

    def test_each_is_repaired_by_the_commit_behind_it(self, laid: commit_graph.History) -> None:
        for mishap in (*key_commits.DO_NOT_BUILD, *key_commits.DO_NOT_BOOT):
            tree = tree_files()
            broken = mishap.broken.apply(tree)
            assert mishap.repair.apply(tree | broken)

    def test_too_few_are_an_error(self, tree: dict[str, bytes]) -> None:
        spoilt = tree | {"kernel/umh.c": b"", "net/core/stream.c": b""}
        with pytest.raises(UsageError, match="cannot apply the commits that do not build or boot to"):
            commit_graph.lay_out("9.9", spoilt, lambda _: None)
