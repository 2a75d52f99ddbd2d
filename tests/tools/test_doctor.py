"""`kbisect doctor`: what it says of hosts and trees that lack something, and its exit code."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from pytest_kbisect import distribution, host
from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.commands import main
from pytest_kbisect.distribution import Family
from pytest_kbisect.doctor import compiler, machine, virtualization
from pytest_kbisect.errors import ExitCode, UsageError
from pytest_kbisect.host import Purpose, Tool
from pytest_kbisect.kernel import compiler_choice, host_limits, toolchain
from pytest_kbisect.kernel.rules import ANY

MAKEFILE = "VERSION = 6\nPATCHLEVEL = 1\nKBUILD_CFLAGS := -fno-PIE\n"

GIT = tuple(tool for tool in host.TOOLS if tool.name == "git")


class Tree:
    """A repository that passes for Linux."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "--template=", "-b", "main")
        self.commit(
            "Linux",
            {"Makefile": MAKEFILE, "Kconfig": "\n", "init/main.c": "prevent_tail_call_optimization();\n"},
        )

    def git(self, *words: str) -> str:
        settings = ("-c", "user.name=A U Thor", "-c", "user.email=author@example.org")
        done = subprocess.run(
            ["git", *settings, *words], cwd=self.path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, title: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", title)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "linux")


@pytest.fixture(autouse=True)
def _no_host_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quick tests boot nothing."""
    monkeypatch.setattr(virtualization, "_host_kernel", lambda: None)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch):
    def set_versions(gcc: tuple[int, ...], ld: tuple[int, ...] = (2, 35)) -> None:
        tools = toolchain.Toolchain(
            "gcc", "gcc", "", DEFAULT, versions={"gcc": gcc, "host gcc": gcc, "ld": ld}
        )
        monkeypatch.setattr(toolchain, "find", lambda *_: tools)
        monkeypatch.setattr(compiler_choice, "installed", lambda _: [ANY])

    return set_versions


def found(tree: Tree, *revisions: str) -> dict[tuple[str, str], list[compiler.Finding]]:
    """Findings by (name, state)."""
    answer: dict[tuple[str, str], list[compiler.Finding]] = {}
    for finding in compiler.check(tree.path, revisions or ("HEAD",), tree.path.parent / "cache"):
        answer.setdefault((finding.name, str(finding.state)), []).append(finding)
    return answer


def test_a_host_without_a_needed_tool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = (
        Tool("flex", Purpose.BUILD, dict.fromkeys(Family, "flex-package"), lambda: False),
        Tool("ccache", Purpose.BUILD, dict.fromkeys(Family, "ccache-package"), lambda: False, optional=True),
    )
    monkeypatch.setattr(host, "TOOLS", lacking)
    for family, line in {
        Family.DEBIAN: "apt-get install flex-package, or kbisect setup",
        Family.FEDORA: "dnf install flex-package",
        Family.RHEL: "dnf install flex-package",
        Family.ARCH: "pacman -S --needed flex-package",
        Family.SUSE: "zypper install flex-package",
        Family.ALPINE: "apk add flex-package",
    }.items():
        monkeypatch.setattr(distribution, "family", lambda family=family: family)
        assert main(["doctor"]) == ExitCode.USAGE
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        at = lines.index("problem tools missing: flex (to build kernels)")
        assert lines[at + 1] == f"-> {line}"
        assert any(line.startswith("warning ccache not installed") for line in lines)
        assert lines[-1] == "A bisection cannot run here yet."
    monkeypatch.setattr(distribution, "family", lambda: None)
    main(["doctor"])
    assert "Debian: apt-get install flex-package; Fedora: dnf install" in capsys.readouterr().out


def test_the_object_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tree: Tree, versions
) -> None:
    monkeypatch.setattr(host, "TOOLS", GIT)
    versions((12, 2, 0))
    assert main(["doctor", "--json", str(tree.path)]) == ExitCode.FOUND
    answer = json.loads(capsys.readouterr().out)
    assert answer["able"] is True
    assert {"tools", "ccache", "memory", "cache", "tree", "compiler"} <= {
        finding["name"] for finding in answer["findings"]
    }
    assert main(["doctor", "--json", str(tree.path / "nowhere")]) == ExitCode.USAGE
    answer = json.loads(capsys.readouterr().out)
    (bad,) = [finding for finding in answer["findings"] if finding["state"] == "problem"]
    assert bad["name"] == "tree"
    assert "there is no such folder" in bad["text"]


def test_fix_installs_what_setup_would(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], versions
) -> None:
    from pytest_kbisect.commands import setup

    versions((12, 2, 0))

    there: list[bool] = []
    monkeypatch.setattr(host, "TOOLS", (Tool("flex", Purpose.BUILD, {}, lambda: bool(there)),))

    def install() -> int:
        there.append(True)
        print("installing")
        return 0

    monkeypatch.setattr(setup, "install", install)
    assert main(["doctor"]) == ExitCode.USAGE
    assert not there
    capsys.readouterr()
    assert main(["doctor", "--fix", "--json"]) == ExitCode.FOUND
    said = capsys.readouterr()
    assert json.loads(said.out)["able"]
    assert said.err == "installing\n"


def test_too_little_of_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host_limits, "memory_available", lambda: 200 << 20)
    assert machine.memory().state == "problem"
    assert "--kbisect-memory" in machine.memory().remedy

    class Usage:
        free = 100 << 20

    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage)
    assert machine.cache_folder(tmp_path / "not" / "there").state == "problem"
    assert not (tmp_path / "not").exists()
    Usage.free = 5 << 30
    low = machine.cache_folder(tmp_path)
    assert (low.state, low.remedy) == ("warning", "--kbisect-store-size 2")
    (tmp_path / "file").touch()
    assert "cannot be written" in machine.cache_folder(tmp_path / "file").text
    assert machine.cache_folder(tmp_path / ("x" * 300)).name == "cache"  # cannot even be asked for


def test_a_folder_that_no_kernel_builds_in(tmp_path: Path) -> None:
    found = machine.cache_folder(tmp_path / "my cache")
    assert found.state == "problem"
    assert found.text.endswith("my cache, because of the space or colon in its path")
    assert "--kbisect-cache" in found.remedy


def test_a_folder_that_runs_no_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", tmp_path], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"mounts nothing here: {done.stderr.decode().strip()}")
    try:
        monkeypatch.setattr(host_limits, "DISK_FOR_TREE", 0)
        monkeypatch.setattr(host_limits, "DISK_FOR_BUILD", 0)
        assert "noexec" in machine.cache_folder(tmp_path).text
        with pytest.raises(UsageError, match="mounted noexec"):
            host_limits.require_path(tmp_path / "cache")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_every_program_of_the_guests_init_is_looked_for() -> None:
    script = resources.files("pytest_kbisect.guest").joinpath("init.sh").read_text()
    lines = [line.partition("#")[0] for line in script.splitlines()]
    commands = re.findall(r"(?:^|\|\||&&|;|\bdo\b)\s*([a-z]+)\b(?!=)", "\n".join(lines), re.MULTILINE)
    assert set(commands) - {"export", "while", "wait", "do", "done", "dropbear"} <= set(machine.APPLETS)
    assert {"mount", "ip", "sleep"} <= set(commands)


def test_a_whole_tree_is_ok(tree: Tree, versions) -> None:
    versions((12, 2, 0))
    assert set(found(tree)) == {("tree", "ok"), ("compiler", "ok")}


def test_a_shallow_clone_is_a_warning(tree: Tree, versions, tmp_path: Path) -> None:
    versions((12, 2, 0))
    tree.commit("more", {"README": "\n"})
    tree.git("clone", "-q", "--depth=1", f"file://{tree.path}", str(tmp_path / "shallow"))
    tree.path = tmp_path / "shallow"
    (finding,) = found(tree)["tree", "warning"]
    assert finding.remedy == f"git -C {tree.path} fetch --unshallow"
    subprocess.run(finding.remedy.split(), check=True, capture_output=True)
    assert ("tree", "ok") in found(tree)


def test_a_partial_clone_is_a_problem_where_files_are_missing(tree: Tree, versions, tmp_path: Path) -> None:
    versions((12, 2, 0))
    old = tree.git("rev-parse", "HEAD")
    tree.commit("more", {"init/main.c": "prevent_tail_call_optimization(); // changed\n"})
    tree.git("config", "uploadpack.allowFilter", "true")
    partial = str(tmp_path / "partial")
    tree.git("clone", "-q", "--filter=blob:none", f"file://{tree.path}", partial)
    tree.path = tmp_path / "partial"
    assert ("tree", "problem") not in found(tree)
    assert ("tree", "warning") in found(tree)
    (finding,) = found(tree, old, "HEAD")["tree", "problem"]
    assert finding.text.endswith(f": {old}")
    subprocess.run(finding.remedy.partition(" (")[0].split(), check=True, capture_output=True)
    assert ("tree", "problem") not in found(tree, old, "HEAD")


def test_a_tree_of_somebody_else(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    (finding,) = found(tree)["tree", "problem"]
    assert f"git config --global --add safe.directory {tree.path}" in finding.text


def test_the_line_that_makes_git_read_it_can_be_pasted(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the folder's name, and where it is a link."""
    (tmp_path / "link").symlink_to(tree.path.rename(tmp_path / "my linux"))
    tree.path = tmp_path / "link"
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (finding,) = found(tree)["tree", "problem"]
    line = finding.text.partition("another user: ")[2]
    assert line.startswith("git config --global")
    subprocess.run(["sh", "-c", line], check=True)
    assert ("tree", "problem") not in found(tree)


def test_files_in_lfs_are_a_warning(tree: Tree, versions) -> None:
    versions((12, 2, 0))
    tree.commit("lfs", {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
    (finding,) = found(tree)["tree", "warning"]
    assert "git LFS" in finding.text


def test_both_ends_of_a_range_are_looked_at(
    tree: Tree, versions, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "TOOLS", GIT)
    versions((12, 2, 0))
    tree.git("tag", "v1")
    helper = "tools/lib/subcmd/subcmd-util.h"
    tree.commit("old", {helper: "ret = realloc(ptr, 1);\n"})
    tree.git("tag", "v2")
    tree.commit("repaired", {helper: "void *ret = realloc(ptr, size);\n"})
    assert main(["doctor", str(tree.path), "--kbisect-range", "v1..HEAD"]) == ExitCode.FOUND
    said = capsys.readouterr().out
    assert "gcc 12.2.0, ld 2.35 (the newest installed gcc): v1 and HEAD with remedies" in said
    assert "WERROR=0 (52a9dab6d892: objtool does not compile" in said, "the middle of the range needs it"
    words = ["doctor", "--kbisect-kernel", str(tree.path), "--kbisect-range", "v2..HEAD"]
    assert main([*words, "--kbisect-no-remedies"]) == ExitCode.USAGE
    said = capsys.readouterr().out
    assert "host gcc 12.2.0 is too new for v2: objtool does not compile" in said
    assert "leave out --kbisect-no-remedies" in said


def test_a_compiler_that_cannot_be_used(
    tree: Tree, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["doctor", str(tree.path)]
    assert main([*words, "--kbisect-cc=gcc-99"]) == ExitCode.USAGE
    said = capsys.readouterr().out
    assert "--kbisect-cc=gcc-99: gcc-99 is not installed: apt-get install gcc-99" in said
    wrapper = tmp_path / "cc"
    wrapper.write_text("#!/bin/sh\necho mine\n")
    wrapper.chmod(0o755)
    assert main([*words, f"--kbisect-cc={wrapper}"]) == ExitCode.USAGE
    assert "--version prints no version of gcc or clang ('mine')" in capsys.readouterr().out
    assert main([*words, "--kbisect-llvm=old"]) == ExitCode.USAGE
    assert "--kbisect-llvm: 'old' cannot be used: must be a suffix (-19)" in capsys.readouterr().err


def test_without_a_tree_it_says_how_far_back_builds_go(versions, tmp_path: Path) -> None:
    versions((12, 2, 0), (2, 40))
    (finding,) = compiler.check(None, ("HEAD",), tmp_path)
    assert finding.text.startswith("gcc 12.2.0, ld 2.40: Linux of any age; before 5.17 with remedies")
    (finding,) = compiler.check(None, ("HEAD",), tmp_path, compiler.Wanted(remedies=False))
    assert finding.text.startswith("gcc 12.2.0, ld 2.40: Linux 5.17 and later; stable releases may")
