"""The plugin's face: options, ini keys, start-up, and errors that end with exit code 4."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_kbisect import options

if TYPE_CHECKING:
    from conftest import Tree


def test_help_has_one_group_with_every_option_and_ini_key(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest("--help").stdout.str()
    assert text.count("(kbisect):") == 1
    for option in options.OPTIONS:
        assert option.flag in text
        assert f"\n  {option.key} (" in text
    assert "kbisect_repro_dirs" in text


def test_the_marker_is_documented(pytester: pytest.Pytester) -> None:
    pytester.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.kbisect(*"])


def test_an_ini_key_is_as_good_as_an_option_and_the_option_wins(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkbisect_runs = 3\n")
    pytester.makepyfile("def test_it(vm): pass")

    def count(*words):
        return len([x for x in pytester.runpytest("--collect-only", "-q", *words).outlines if "::" in x])

    assert count() == 3
    assert count("--kbisect-runs=2") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kbisect-runs=0"], "*--kbisect-runs: '0' cannot be used: must be 1 or more*"),
        (["--kbisect-runs=ten"], "*--kbisect-runs: 'ten' cannot be used: must be a whole number*"),
        (
            ["--kbisect-timeout=5x"],
            "*: '5x' cannot be used: must be seconds, or a number followed by s, m, h or d*",
        ),
        (["--kbisect-confidence=95%"], "*: '95%' cannot be used: must be at least 0.5 and below 1*"),
        (["--kbisect-accel=xen"], "*--kbisect-accel: 'xen' cannot be used: must be one of: auto, kvm, tcg*"),
        (["--kbisect-timeout=0"], "*--kbisect-timeout: '0' cannot be used: must be more than 0*"),
        (
            ["--kbisect-commit="],
            "*--kbisect-commit: '' cannot be used: give a value, or remove the option",
        ),
        (["--kbisect-range="], "*--kbisect-range: '' is not a range: write A..B, or remove the option"),
        (
            ["--kbisect-kernel=~nobody-here/linux"],
            "*no kernel tree at *~nobody-here/linux: there is no such*",
        ),
        (["--kbisect-fix"], "ERROR: --kbisect-fix needs a range: add --kbisect-range A..B"),
        (
            ["--kbisect-range=A..B", "--kbisect-commit=B"],
            "ERROR: --kbisect-commit and --kbisect-range exclude each other: *",
        ),
        (["-o", "kbisect_memory=lots"], "*ini key kbisect_memory: 'lots' cannot be used*"),
    ],
)
def test_values_that_cannot_be_used(pytester: pytest.Pytester, words: list[str], message: str) -> None:
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest(*words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_nothing_of_ours_is_imported_for_who_does_not_use_it(pytester: pytest.Pytester) -> None:
    """Start-up: the plugin loads its options and fixtures, and none of the heavy packages."""
    pytester.makepyfile("import sys\n\ndef test_it():\n    print(sorted(sys.modules))\n")
    heavy = ("paramiko", "git", "junitparser", "qemu", "elftools", "numpy", "platformdirs", "asyncio")
    probe = (
        "import sys, pytest\n"
        "from pytest_kbisect import plugin\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    alone = subprocess.run(
        [sys.executable, "-c", probe.replace("from pytest_kbisect import plugin\n", "")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == alone.stdout


def test_without_pytests_debugger(pytester: pytest.Pytester, linux: Tree) -> None:
    pytester.makepyfile("def test_it(): pass")
    words = ["-p", "no:debugging", f"--kbisect-kernel={linux.path}"]
    pytester.runpytest(*words).assert_outcomes(passed=1)
    assert pytester.runpytest(*words, "--kbisect-range=HEAD..HEAD").ret == pytest.ExitCode.USAGE_ERROR


def test_no_kernel_given_is_said_in_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(vm): pass")
    result = pytester.runpytest("--kbisect-runs=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*no kernel to test: give --kbisect-kernel DIR*"])
    assert "Traceback" not in result.stdout.str()


def test_an_unknown_revision_ends_the_session_before_it_begins(
    pytester: pytest.Pytester, linux: Tree
) -> None:
    pytester.makepyfile("def test_it(vm): pass")
    result = pytester.runpytest(f"--kbisect-kernel={linux.path}", "--kbisect-commit=nonsense")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: unknown revision 'nonsense' in *"])
    assert not Path(os.environ["KBISECT_CACHE"]).exists()


@pytest.mark.parametrize("words", [["--co"], ["--kbisect-range=HEAD~1..HEAD"]])
def test_an_ini_file_is_not_passed_over_because_of_a_path(
    pytester: pytest.Pytester, linux: Tree, words: list[str]
) -> None:
    pytester.makeini("[pytest]\nkbisect_repro_dirs = mine\n")
    pytester.mkdir("mine").joinpath("it.sh").write_text("true\n")
    result = pytester.runpytest("--kbisect-kernel", str(linux.path), *words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"ERROR: pytest does not read {pytester.path}/tox.ini, because *: write --kbisect-kernel={linux.path}"
        ]
    )
    alright = ["mine/it.sh", "--kbisect-kernel", str(linux.path)]
    assert (
        pytester.runpytest(*alright, "--co", "-q", "--kbisect-runs=1").outlines[0] == "mine/it.sh::it[run0]"
    )
    joined = pytester.runpytest(f"--kbisect-kernel={linux.path}", "--co", "-q", "--kbisect-runs=1")
    assert joined.outlines[0] == "mine/it.sh::it[run0]"


@pytest.mark.parametrize(
    ("above", "here", "refused"),
    [
        ("", "[pytest]\naddopts =\n  --kbisect-runs=3\n", True),
        ("[pytest]\nkbisect_runs = 3\n", "[pytest]\nmarkers = slow\n", False),
        ("", "[pytest]\n[testenv]\ncommands = pytest --kbisect-runs=3\n", False),
    ],
)
def test_only_an_ini_file_that_would_matter_is_missed(
    pytester: pytest.Pytester,
    linux: Tree,
    monkeypatch: pytest.MonkeyPatch,
    above: str,
    here: str,
    refused: bool,
) -> None:
    """pytest reads the nearest one, which may have options of ours in addopts, or none."""
    pytester.makefile(".ini", tox=above)
    folder = pytester.mkdir("here")
    (folder / "pytest.ini").write_text(here)
    (folder / "test_it.py").write_text("def test_it(): pass")
    monkeypatch.chdir(folder)
    result = pytester.runpytest("--co", "--kbisect-kernel", str(linux.path))
    assert ("pytest does not read" in result.stderr.str()) == refused


def test_pytest_keeps_no_cache_in_the_tree(
    pytester: pytest.Pytester, linux: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (linux.path / "setup.cfg").write_text("[tool:pytest]\n")  # or no folder but / above both
    monkeypatch.chdir(tmp_path)
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest("--kbisect-kernel", str(linux.path))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: pytest treats * as a test path and would write its cache there: write --*"]
    )
    assert not (linux.path / ".pytest_cache").exists()


def test_a_cache_folder_that_cannot_be_looked_into(pytester: pytest.Pytester, linux: Tree) -> None:
    pytester.makepyfile("def test_it(vm): pass")
    cache = pytester.path / ("x" * 300)  # one of another user would do, but not where tests are run by root
    result = pytester.runpytest(f"--kbisect-kernel={linux.path}", f"--kbisect-cache={cache}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: cannot make the cache folder *; give --kbisect-cache"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("parallel", [[], ["-n2"]])
def test_a_source_that_does_not_compile(pytester: pytest.Pytester, linux: Tree, parallel: list[str]) -> None:
    pytester.path.joinpath("broken.c").write_text("int main(void) { return nonsense; }\n")
    result = pytester.runpytest_subprocess(
        f"--kbisect-kernel={linux.path}", "broken.c", "--kbisect-runs=2", *parallel
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "nonsense" in result.stdout.str() + result.stderr.str()
    assert "does not compile" in result.stdout.str() + result.stderr.str()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_tree_of_the_ini_file_is_for_the_tests_that_use_a_kernel(pytester: pytest.Pytester) -> None:
    """One ini file serves hosts with and without that tree."""
    pytester.makeini("[pytest]\nkbisect_kernel = /nowhere/linux\n")
    pytester.makepyfile(
        test_plain="def test_plain(): pass", test_kernel="def test_it(kernel): pass\ndef test_plain(): pass"
    )
    for words in (["test_plain.py"], ["-k", "test_plain"], ["-k", "test_plain", "-n1"]):
        assert pytester.runpytest(*words).ret == pytest.ExitCode.OK, words
    for words in (["test_kernel.py"], ["-n1"]):
        result = pytester.runpytest(*words)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        text = result.stdout.str() + result.stderr.str()
        assert "no kernel tree at /nowhere/linux: there is no such folder" in text
        assert "Traceback" not in text
