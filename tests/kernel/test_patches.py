"""Patches on top of commits: applied, contained, in conflict; mails and diffs; the store."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pytest_kbisect.errors import BuildError, PatchError, UsageError
from pytest_kbisect.kernel import config, patches
from pytest_kbisect.kernel.patches import Patch, Patched
from pytest_kbisect.kernel.provide import provide
from pytest_kbisect.kernel.rules import BuildRules
from pytest_kbisect.kernel.tree import LinuxTree

LINES = [f"int line{n};" for n in range(40)]
FILE = "init/many.c"


def text(**changed: str) -> str:
    return "".join(f"{changed.get(f'line{n}', line)}\n" for n, line in enumerate(LINES))


@pytest.fixture
def tree(linux, cache) -> LinuxTree:
    return LinuxTree(linux.path, cache)


@pytest.fixture
def fix(linux, tmp_path) -> Path:
    """The mail of a commit on a branch of its own, which changes line 20."""
    linux.commit("many lines", {FILE: text()})
    linux.git("checkout", "-q", "-b", "fix")
    linux.commit("fix it\n\nÄ body.", {FILE: text(line20="int fixed;")})
    mail = tmp_path / "fix.patch"
    mail.write_text(linux.git("format-patch", "-1", "--stdout") + "\n")
    linux.git("checkout", "-q", "master")
    return mail


def read_file(tree: LinuxTree, commit: str) -> str:
    return next(text for _, text in tree.read_files(commit, [FILE]))


def test_it_is_applied_to_a_commit_of_our_own(linux, tree, fix) -> None:
    top = linux.git("rev-parse", "HEAD")
    before = linux.git("for-each-ref"), linux.git("count-objects", "-v")
    wanted = patches.read(fix)
    found = patches.with_patches(tree, top, wanted)
    assert (found.applied, found.contained, found.conflict) == (("fix.patch",), (), "")
    assert tree.parents(found.commit) == (top,)
    assert read_file(tree, found.commit) == text(line20="int fixed;")
    assert patches.with_patches(tree, top, wanted) == found, "the same patch makes the same commit"
    assert before == (linux.git("for-each-ref"), linux.git("count-objects", "-v"))
    assert patches.with_patches(tree, top, ()) == Patched(top)


def test_lines_may_have_moved(linux, tree, fix) -> None:
    moved = linux.commit("above", {FILE: "int above;\n" * 30 + text()})
    found = patches.with_patches(tree, moved, patches.read(fix))
    assert found.applied
    assert "int fixed;" in read_file(tree, found.commit)


def test_its_context_may_have_changed_as_for_git_am(linux, tree, fix) -> None:
    near = linux.commit("near", {FILE: text(line23="int near;")})
    found = patches.with_patches(tree, near, patches.read(fix))
    assert found.applied, found.conflict
    assert read_file(tree, found.commit) == text(line20="int fixed;", line23="int near;")


def test_what_contains_it_is_left_alone(linux, tree, fix) -> None:
    contains = linux.commit("fixed upstream", {FILE: text(line20="int fixed;", line3="int other;")})
    assert patches.with_patches(tree, contains, patches.read(fix)) == Patched(contains, (), ("fix.patch",))


def test_an_addition_that_would_fit_twice_is_contained(linux, tree, tmp_path) -> None:
    """Forward it fits a second place, at an offset; backward it fits where it says."""
    block = "int a;\nint b;\nint c;\n"
    linux.commit("blocks", {FILE: f"{block}{block}"})
    linux.commit("added", {FILE: f"{block}int added;\n{block}"})
    mail = tmp_path / "add.patch"
    mail.write_text(linux.git("diff", "HEAD~1", "HEAD") + "\n")
    again = linux.commit("again", {FILE: f"{block}int added;\n{block}{block}"})
    assert patches.with_patches(tree, again, patches.read(mail)).contained == ("add.patch",)


def test_a_conflict_says_where(linux, tree, fix) -> None:
    other = linux.commit("other", {FILE: text(line20="int another;")})
    found = patches.with_patches(tree, other, patches.read(fix))
    assert found == Patched(conflict=f"fix.patch does not apply: {FILE}:18")
    with pytest.raises(PatchError, match=f"^{other[:12]}: fix.patch does not apply: "):
        patches.to_build(tree, other, patches.read(fix))


def test_a_series_in_a_mailbox_and_one_patch_on_another(linux, tree, tmp_path) -> None:
    top = linux.commit("many lines", {FILE: text()})
    linux.git("checkout", "-q", "-b", "series")
    linux.commit("one", {FILE: text(line20="int one;")})
    linux.commit("two", {FILE: text(line20="int two;"), "init/new.c": "int new;\n"})
    box = tmp_path / "series.mbox"
    box.write_text(linux.git("format-patch", "-2", "--cover-letter", "--stdout") + "\n")
    found = patches.with_patches(tree, top, patches.read(box))
    assert found.applied == ("series.mbox (1 of 2)", "series.mbox (2 of 2)")
    assert read_file(tree, found.commit) == text(line20="int two;")


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_a_mail_may_be_encoded(linux, tree, fix, tmp_path, encoding) -> None:
    body = fix.read_text().partition("\n\n")[2]
    if encoding == "base64":
        body = base64.encodebytes(body.encode()).decode()
    else:
        body = body.replace("=", "=3D").replace("int fixed", "int =\nfixed")
    mail = tmp_path / "mail.eml"
    mail.write_text(
        "From: A U Thor <author@example.org>\r\nSubject: [PATCH] fix it\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"
    )
    found = patches.with_patches(tree, linux.git("rev-parse", "HEAD"), patches.read(mail))
    assert read_file(tree, found.commit) == text(line20="int fixed;")


def test_what_is_no_patch(tree, linux, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the patch .*: No such file"):
        patches.read(tmp_path / "nothing")
    note = tmp_path / "note.txt"
    note.write_text("not a patch\n")
    with pytest.raises(UsageError, match="holds no patch: give a mail"):
        patches.read(note)
    note.write_text("--- a/init/main.c\n+++ b/init/main.c\n@@ -1,3 +1,4 @@\n int\n")
    with pytest.raises(UsageError, match=r"note.txt is no patch: git says: corrupt patch at line"):
        patches.require(tree, patches.read(note), linux.base, ())


def test_one_that_applies_nowhere_is_found_before_anything_is_built(linux, tree, fix) -> None:
    good = linux.git("rev-parse", "HEAD")
    bad = linux.commit("other", {FILE: text(line20="int another;")})
    wanted = patches.read(fix)
    patches.require(tree, wanted, good, ())
    with pytest.raises(
        UsageError, match=f"fix.patch does not apply: {FILE}:18 at {bad[:12]}, the end that must"
    ):
        patches.require(tree, wanted, bad, patches.touching(tree, wanted, good, bad))
    later = linux.commit("later", {"init/else.c": ""})
    worse = linux.commit("worse", {FILE: text(line20="int worse;")})
    others = patches.touching(tree, wanted, bad, worse)
    assert others == (bad, worse)
    assert later not in others
    with pytest.raises(UsageError, match="it applies nowhere in the range"):
        patches.require(tree, wanted, worse, others)


def test_the_store_has_kernels_with_and_without_it(linux, tree, tmp_path) -> None:
    """By its files: a commit that contains the patch is the same kernel as one to which it was applied."""
    main = linux.git("show", "HEAD:init/main.c") + "\n"
    linux.commit("fixed upstream", {"init/main.c": main + "int fixed = 7;\n"})
    mail = tmp_path / "fix.patch"
    mail.write_text(linux.git("format-patch", "-1", "--stdout") + "\n")
    rules = {
        "plain": BuildRules(10 << 30),
        "patched": BuildRules(10 << 30, patches=patches.read(mail)),
    }
    signatures, commits = {}, {}
    for name, one in rules.items():
        with provide(tree, linux.base, config.request(), jobs=1, rules=one) as kernel:
            signatures[name], commits[name] = kernel.signature, kernel.commit
            assert (kernel.source == linux.base) == (name == "plain")
            assert not kernel.cached
    assert signatures["plain"] != signatures["patched"]
    assert commits == dict.fromkeys(rules, linux.base)
    assert linux.builds == 2
    fixed = linux.git("rev-parse", "HEAD")
    with provide(tree, fixed, config.request(), jobs=1, rules=rules["patched"]) as kernel:
        assert (kernel.signature, kernel.source) == (signatures["patched"], fixed)
    assert linux.builds == 2, "nothing that is read differs"


def test_a_patch_that_breaks_the_build_breaks_it_at_the_users_commit(linux, tree, tmp_path) -> None:
    linux.commit("broken", {"init/main.c": "nonsense\n"})
    broken = Patch("break.patch", linux.git("diff", "HEAD~1", "HEAD").encode() + b"\n")
    rules = BuildRules(10 << 30, patches=(broken,))
    failing = provide(tree, linux.base, config.request(), jobs=1, rules=rules)
    with pytest.raises(BuildError, match=f"^{linux.base[:12]} does not build"), failing:
        pass
