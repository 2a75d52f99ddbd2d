"""What a user may name, what is refused in which words, and that nothing of the user's is written."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.kernel import worktrees
from pytest_kbisect.kernel.tree import LinuxTree, Range


@pytest.fixture
def tree(linux, cache):
    return LinuxTree(linux.path, cache)


class TestPath:
    def test_no_such_folder(self, tmp_path, cache):
        with pytest.raises(UsageError, match="there is no such folder"):
            LinuxTree(tmp_path / "nowhere", cache)

    def test_not_a_repository(self, tmp_path, cache):
        with pytest.raises(UsageError, match="is not a git tree: give"):
            LinuxTree(tmp_path, cache)

    def test_a_path_without_coreutils(self, linux, cache, tmp_path, monkeypatch):
        (tmp_path / "git").symlink_to(shutil.which("git"))
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(HostError, match="cannot start env, of coreutils"):
            LinuxTree(linux.path, cache)

    def test_a_folder_inside_a_repository_is_not_one(self, linux, cache):
        with pytest.raises(UsageError, match="is not a git tree"):
            LinuxTree(linux.path / "init", cache)

    def test_another_projects_repository(self, linux, cache):
        linux.git("rm", "-q", "Kconfig")
        linux.commit("No Linux any more", {})
        with pytest.raises(UsageError, match="is not a tree of Linux at HEAD"):
            LinuxTree(linux.path, cache).resolve("HEAD")

    def test_somebody_elses_repository(self, linux, cache, monkeypatch):
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        with pytest.raises(UsageError, match="git config --global --add safe"):
            LinuxTree(linux.path, cache)

    def test_a_repository_that_is_too_new_for_git(self, linux, cache):
        linux.git("config", "core.repositoryFormatVersion", "1")
        linux.git("config", "extensions.ofTomorrow", "true")
        with pytest.raises(UsageError, match=r"git cannot read .*: unknown repository extension"):
            LinuxTree(linux.path, cache)

    def test_bare_repository_and_worktree_are_trees_too(self, linux, cache, tmp_path):
        linux.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
        linux.git("worktree", "add", "-q", "--detach", str(tmp_path / "wt"))
        for path in (tmp_path / "bare.git", tmp_path / "wt"):
            assert LinuxTree(path, cache).resolve("HEAD") == linux.base
        assert LinuxTree(tmp_path / "wt", cache).objects == (linux.path / ".git/objects").resolve()

    def test_one_repository_has_one_name_whichever_way_leads_to_it(self, linux, cache, tmp_path):
        linux.git("worktree", "add", "-q", "--detach", str(tmp_path / "wt"))
        (tmp_path / "link").symlink_to(linux.path)
        ways = (linux.path, linux.path / ".git", tmp_path / "wt", tmp_path / "link")
        names = {LinuxTree(way, cache).identity for way in ways}
        assert len(names) == 1
        assert names.pop().startswith(f"{linux.path.name}-")

    def test_nothing_is_made_before_a_build(self, tree, cache):
        tree.resolve("HEAD")
        assert not cache.exists()


class TestRevision:
    def test_every_kind_of_name(self, linux, tree):
        linux.git("tag", "-a", "v6.1", "-m", "Linux 6.1")
        for name in ("HEAD", "master", "v6.1", linux.base, linux.base[:10], "HEAD^{/Linux}", ":/Linux 6.1"):
            assert tree.resolve(name) == linux.base

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("", "empty revision"),
            ("--output=/etc/passwd", "begins with '-'"),
            ("-n1", "begins with '-'"),
            ("v9.9", "unknown revision 'v9.9'"),
            ("0" * 40, "unknown revision"),
            ("HEAD master", "contains whitespace"),
            ("HEAD:Makefile", "unknown revision"),
        ],
    )
    def test_refused(self, tree, name, words):
        with pytest.raises(UsageError, match=words) as caught:
            tree.resolve(name)
        assert "\n" not in str(caught.value)

    def test_unknown_in_a_shallow_clone(self, linux, cache, tmp_path):
        linux.commit("second", {"a": "a"})
        subprocess.run(
            ["git", "clone", "-q", "--depth=1", f"file://{linux.path}", tmp_path / "shallow"], check=True
        )
        shallow = LinuxTree(tmp_path / "shallow", cache)
        with pytest.raises(UsageError, match="git fetch --unshallow"):
            shallow.resolve(linux.base)


class TestRange:
    @pytest.fixture
    def history(self, linux):
        """base - a - merge - top, with a side branch from base to merge, and a stray one."""
        commits = {"base": linux.base, "a": linux.commit("a", {"a": "1"})}
        linux.git("checkout", "-q", "-b", "side", linux.base)
        commits["s"] = linux.commit("s", {"s": "1"})
        linux.git("checkout", "-q", "master")
        linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'side'", "side")
        commits["merge"] = linux.git("rev-parse", "HEAD")
        commits["top"] = linux.commit("top: fancy\ttitle", {"a": "2"})
        for name, sha in commits.items():
            linux.git("tag", name, sha)
        return commits

    def test_good(self, tree, history):
        assert tree.parse_range("base..top") == Range(history["base"], history["top"])
        assert tree.parse_range("s..") == Range(history["s"], history["top"])

    def test_a_good_end_left_open(self, tree, history):
        assert tree.parse_range("..a") == Range("", history["a"])

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "is not a range"),
            ("..", "is not a range"),
            ("top", "is not a range: write A..B"),
            ("base...top", "is not a range"),
            ("top..top", "empty range"),
            ("top..HEAD", "empty range 'top..HEAD': top and HEAD are the same commit"),
            ("top..base", "it is a descendant: did you mean base..top"),
            ("-x..top", "begins with '-'"),
            ("base..nope", "unknown revision 'nope'"),
        ],
    )
    def test_refused(self, tree, history, text, words):
        with pytest.raises(UsageError, match=words) as caught:
            tree.parse_range(text)
        assert "\n" not in str(caught.value)

    def test_a_branch_that_a_shallow_clone_cuts_off(self, linux, history, cache, tmp_path):
        """Its first commit there would be blamed for all that it contains."""
        linux.git("checkout", "-q", "side")
        linux.commit("another", {"s": "2"})
        linux.git("checkout", "-q", "master")
        linux.git("merge", "-q", "--no-ff", "-m", "Merge branch 'side' again", "side")
        last = linux.commit("last", {"a": "3"})
        url, clone = f"file://{linux.path}", tmp_path / "shallow"
        subprocess.run(["git", "clone", "-q", "--depth=3", "--branch=master", url, clone], check=True)
        shallow = LinuxTree(clone, cache)
        with pytest.raises(UsageError, match="is shallow and lacks commits: git fetch --unshallow"):
            shallow.parse_range(f"{history['top']}..HEAD")
        with pytest.raises(UsageError, match="is shallow and lacks commits: git fetch --unshallow"):
            shallow.log_text(history["top"], last)
        assert shallow.parse_range("HEAD~1..HEAD").bad == last, "nothing is missing there"

    def test_a_hash_in_a_title_makes_nobody_an_ancestor(self, linux, tree, history):
        linux.git("checkout", "-q", "side")
        linux.commit(f"Revert {history['a']} , it is not here", {"s": "2"})
        assert tree.parse_range("a..side").named_good == history["a"]

    def test_diverged_ends_begin_at_the_merge_base(self, tree, history):
        assert tree.parse_range("a..s") == Range(history["base"], history["s"], named_good=history["a"])

    def test_release_tags(self, linux, tree, history):
        linux.git("tag", "v6.1", history["base"])
        linux.git("tag", "-a", "-m", "Linux 6.2", "v6.2", history["a"])
        linux.git("tag", "v6.3", history["top"])
        linux.git("tag", "v6.9", history["s"])
        assert tree.tags_before(history["merge"]) == {
            "v6.1": history["base"],
            "v6.2": history["a"],
            "v6.9": history["s"],
        }
        assert tree.tags_before(history["s"]) == {"v6.1": history["base"]}
        assert tree.tags_at(history["top"]) == ("v6.3",)

    def test_unrelated_histories(self, linux, tree, history):
        linux.git("checkout", "-q", "--orphan", "other")
        linux.commit("Another Linux", {"b": "b"})
        with pytest.raises(UsageError, match="no common history"):
            tree.parse_range("base..other")

    def test_log_has_every_commit_after_its_parents(self, linux, tree, history):
        lines = [line.split("\0") for line in tree.log_text(history["base"], history["top"]).splitlines()]
        seen = {history["base"]}
        for sha, parents, _, _ in lines:
            assert set(parents.split()) <= seen
            seen.add(sha)
        assert seen == set(history.values())
        date = linux.git("log", "-1", "--format=%ct", "top")
        assert lines[-1] == [history["top"], history["merge"], date, "top: fancy\ttitle"]

    def test_the_users_git_settings_change_nothing(self, tree, history, linux):
        before = tree.log_text(history["base"], history["top"]), tree.describe(history["top"])
        for setting in ("log.showSignature", "log.decorate", "log.abbrevCommit"):
            linux.git("config", setting, "true")
        for setting in ("color.ui", "color.diff"):
            linux.git("config", setting, "always")
        assert (tree.log_text(history["base"], history["top"]), tree.describe(history["top"])) == before


class TestCommit:
    def test_described_as_git_show_does(self, linux, tree):
        sha = linux.commit(
            "net: fix it\n\nBecause.\n\nFixes: 1234\n", {"net/core/skbuff.c": "int a;\nint b;\n"}
        )
        info = tree.describe(sha)
        assert info.author == "A U Thor <author@example.org>"
        assert info.date == "Wed Jan 13 08:18:19 2021 -0800"
        assert info.title == "net: fix it"
        assert info.message == "net: fix it\n\nBecause.\n\nFixes: 1234"
        assert info.diffstat == " net/core/skbuff.c | 2 ++\n 1 file changed, 2 insertions(+)"
        assert info.text == linux.git("show", "--stat", sha)

    def test_equal_files_have_equal_tree_hashes(self, linux, tree):
        again = linux.commit("nothing", {})
        assert tree.tree_hash(again) == tree.tree_hash(linux.base)
        assert tree.changes(again, linux.base) == ()


class TestLeftAlone:
    def check_out(self, tree, *commits):
        for commit in commits:
            with worktrees.slot(tree, commit, ".obj-x") as slot:
                yield slot

    def test_user_repository(self, linux, tree):
        second = linux.commit("second", {"a": "1", "init/main.c": "int x;\n"})
        linux.git("bisect", "start", second, linux.base)
        (linux.path / "init/main.c").write_text("work in progress\n")
        linux.git("stash")
        (linux.path / "Kconfig").write_text("more of it\n")
        before = linux.snapshot()
        tree.describe(second)
        tree.log_text(linux.base, second)
        for _ in self.check_out(tree, second, linux.base):
            pass
        assert linux.snapshot() == before
        assert linux.git("worktree", "list").count("\n") == 0

    def test_run_from_a_hook_of_another_repository(self, linux, tree, tmp_path, monkeypatch):
        other = tmp_path / "other"
        subprocess.run(["git", "init", "-q", other], check=True)
        for name, value in {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_WORK_TREE": "."}.items():
            monkeypatch.setenv(name, str(other / value))
        assert tree.resolve("HEAD") == linux.base
        for slot in self.check_out(tree, linux.base):
            assert (slot.tree / "init/main.c").exists()
        assert sorted(os.listdir(other)) == [".git"]
        assert not (other / ".git/index").exists()

    def test_hooks_of_the_users_do_not_run(self, linux, tree, tmp_path, monkeypatch):
        hooks = tmp_path / "hooks"
        hooks.mkdir()
        (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / "post-checkout").chmod(0o755)
        settings = tmp_path / "gitconfig"
        settings.write_text(f"[core]\n\thooksPath = {hooks}\n\tautocrlf = true\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
        for slot in self.check_out(tree, linux.base):
            assert b"\r" not in (slot.tree / "Makefile").read_bytes()
        assert not (tmp_path / "ran").exists()
