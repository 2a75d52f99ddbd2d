"""Whom a culprit concerns."""

from __future__ import annotations

import subprocess

import pytest

from pytest_kbisect.kernel import maintainers
from pytest_kbisect.kernel.maintainers import by_role, people_of, recipients

COMMIT = """commit 3226b158e67cfaa677fd180152bfb28989cb2fac
Author: Eric Dumazet <edumazet@google.com>
Date:   Wed Jan 13 08:18:19 2021 -0800

    net: avoid 32 x truesize under-estimation for tiny skbs

    Fixes: fd11a83dd363 ("net: Pull out core bits of __netdev_alloc_skb and add __napi_alloc_skb")
    Signed-off-by: Eric Dumazet <edumazet@google.com>
    Cc: Paolo Abeni <pabeni@redhat.com>
    Cc: stable@vger.kernel.org
    Reviewed-by: Alexander Duyck <AlexanderDuyck@fb.com>
    Acked-by: Michael S. Tsirkin <mst@redhat.com>
    Signed-off-by: Jakub Kicinski <kuba@kernel.org>

diff --git a/x b/x
+Tested-by: Nobody <nobody@example.com>
"""


def test_people_of_a_commit():
    people = people_of(COMMIT)
    assert people.to == ("alexanderduyck@fb.com", "edumazet@google.com", "kuba@kernel.org", "mst@redhat.com")
    assert people.cc == ()


def test_other_trailers():
    message = """Author: A <a@example.com>

    X-and-Reviewed-by: B <b@example.com>
    Tested-by: "C, D" <c@example.com>
    Reported-by: E <e@example.com>
    Signed-off-by: stable@vger.kernel.org
"""
    assert people_of(message).to == ("a@example.com", "b@example.com", "c@example.com")


def test_roles():
    output = """Jane Doe <Jane@example.com> (maintainer:KBX DRIVER)
John Doe <john@example.com> (reviewer:KBX DRIVER,commit_signer:3/4=75%)
Sue <sue@example.com> (supporter:KBX,authored:1/4=25%)
kbx@lists.example.com (open list:KBX DRIVER)
linux-kernel@vger.kernel.org (open list)
"""
    found = by_role(output)
    assert found.to == ("jane@example.com", "kbx@lists.example.com", "sue@example.com")
    assert found.cc == ("john@example.com", "linux-kernel@vger.kernel.org")


def test_the_list_of_all_where_there_is_no_other():
    assert by_role("linux-kernel@vger.kernel.org (open list)\n").to == ("linux-kernel@vger.kernel.org",)


SCRIPT = """#!/bin/sh
case "$*" in *--nogit*) ;; *) [ ! -e slow ] || exec sleep 60 ;; esac
echo "Sue <sue@example.com> (maintainer:KBX)"
echo "kbx@lists.example.com (open list:KBX)"
"""


@pytest.fixture
def tree(tmp_path):
    """A git tree with a get_maintainer.pl of ours; the function commits files and returns the commit."""

    def git(*words):
        author = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        return subprocess.run(
            ["git", "-C", tmp_path, *author, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(*names):
        for name in names:
            (tmp_path / name).write_text(name)
        git("add", "-A")
        git("commit", "-qm", "A change")
        return git("rev-parse", "HEAD")

    git("init", "-q", "--template=")
    script = tmp_path / "scripts" / "get_maintainer.pl"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    script.chmod(0o755)
    return tmp_path, commit


def test_maintainers_are_asked_where_a_commit_names_hardly_anybody(tree):
    path, commit = tree
    assert recipients(path, commit("kbx.c"), pytest.fail).to == (
        "a@example.com",
        "kbx@lists.example.com",
        "sue@example.com",
    )


# As the kernel's: the settings in ~/.get_maintainer.conf count, and what the command says after them.
READING_SCRIPT = """#!/bin/sh
files=$(sed -n 's,^+++ [^/]*/,,p')
case "$*" in *--rolestats*) roles=" (maintainer:KBX)" ;; *) roles= ;; esac
case $files in *net/kbx.c*) echo "Sue <sue@example.com>$roles" ;; *) echo "linux-kernel@vger.kernel.org$roles" ;; esac
"""


def test_the_users_settings_of_git_and_of_the_script_change_nothing(tree, monkeypatch, tmp_path):
    path, commit = tree
    (path / "scripts" / "get_maintainer.pl").write_text(READING_SCRIPT)
    (path / "net").mkdir()
    sha = commit("net/kbx.c")
    settings = tmp_path / "gitconfig"
    settings.write_text(
        "[diff]\n\tnoprefix = true\n[format]\n\tpretty = oneline\n[log]\n\tabbrevCommit = true\n"
        "[color]\n\tdiff = always\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    assert recipients(path, sha, pytest.fail).to == ("a@example.com", "sue@example.com")


def test_a_change_of_the_whole_tree_is_its_authors(tree):
    path, commit = tree
    assert recipients(path, commit(*(f"{number}.c" for number in range(101))), pytest.fail).to == (
        "a@example.com",
    )


# A program that is killed at its deadline leaves the pipe of its output to the garbage collector.
def test_a_large_history_is_done_without(tree, monkeypatch):
    path, commit = tree
    sha = commit("kbx.c")
    (path / "slow").touch()
    monkeypatch.setattr(maintainers, "_SCRIPT_SECONDS", 1.0)
    assert "sue@example.com" in recipients(path, sha, pytest.fail).to


# What it prints before it fails is not lost, and what the commit says itself never is.
@pytest.mark.parametrize(
    ("script", "to", "why"),
    [
        ("sleep 60", (), "perl scripts/get_maintainer.pl has not ended after 0.5 s"),
        (
            "echo 'no tree of Linux'; exit 2",
            (),
            "perl scripts/get_maintainer.pl ended with exit status 2 (no tree of Linux)",
        ),
        ("kill -SEGV $$", (), "perl scripts/get_maintainer.pl ended with exit status "),
        ("echo 'Sue <sue@example.com> (maintainer:KBX)'; exit 1", ("sue@example.com",), ""),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_script_that_fails_costs_the_maintainers_and_is_noted(tree, monkeypatch, script, to, why):
    path, commit = tree
    sha = commit("kbx.c")
    (path / "scripts" / "get_maintainer.pl").write_text(f"#!/bin/sh\n{script}\n")
    monkeypatch.setattr(maintainers, "_SCRIPT_SECONDS", 0.5 if "sleep" in script else 20)
    notes = []
    assert recipients(path, sha, notes.append).to == ("a@example.com", *to)
    what = "the maintainers of what the commit changes are not among the recipients: "
    assert [why in note.removeprefix(what) for note in notes] == [True] * bool(why)


def test_a_script_that_is_not_executable_is_run(tree):
    path, commit = tree
    (path / "scripts" / "get_maintainer.pl").chmod(0o644)
    assert "sue@example.com" in recipients(path, commit("kbx.c"), pytest.fail).to
