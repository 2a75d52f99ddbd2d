"""Files become tests: which ones, under which names, with which needs."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kbisect import errors, needs
from pytest_kbisect.evidence.journal import Journal

if TYPE_CHECKING:
    from conftest import Tree

C_SOURCE = """
/*
 * kbisect-config: CONFIG_TUN=y
 * kbisect-timeout: 7
 * kbisect-crash: WARNING in foo
 */
int main(void) { return 0; }
"""


@pytest.fixture
def repro(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nkbisect_repro_dirs = repro\n")
    folder = pytester.mkdir("repro")
    (folder / "crash.c").write_text(C_SOURCE)
    (folder / "crash2.sh").write_text("# kbisect-memory: 300\ntrue\n")
    (folder / "test_own.py").write_text(
        "def test_it(vm):\n    vm.run('true')\n\ndef test_plain():\n    pass\n"
    )
    (folder / "README").write_text("not a test\n")
    return pytester


def nodes(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_every_kind_is_parametrised_by_run(repro: pytest.Pytester) -> None:
    found = nodes(repro.runpytest("--collect-only", "-q", "--kbisect-runs=2"))
    assert found == [
        "repro/crash.c::crash[run0]",
        "repro/crash.c::crash[run1]",
        "repro/crash2.sh::crash2[run0]",
        "repro/crash2.sh::crash2[run1]",
        "repro/test_own.py::test_it[run0]",
        "repro/test_own.py::test_it[run1]",
        "repro/test_own.py::test_plain",
    ]


def test_ten_runs_by_default_and_the_file_may_say_another_number(repro: pytest.Pytester) -> None:
    (repro.path / "repro" / "crash2.sh").write_text("# kbisect-runs: 3\n")
    found = nodes(repro.runpytest("--collect-only", "-q", "repro/crash.c", "repro/crash2.sh"))
    assert len([name for name in found if "crash.c" in name]) == 10
    assert len([name for name in found if "crash2.sh" in name]) == 3
    overruled = nodes(repro.runpytest("--collect-only", "-q", "repro/crash2.sh", "--kbisect-runs=5"))
    assert len(overruled) == 5


def test_named_configurations_repeat_the_runs(repro: pytest.Pytester) -> None:
    (repro.path / "repro" / "crash.c").write_text(
        "// kbisect-config[plain]: CONFIG_A=y\n// kbisect-config[kasan]: CONFIG_KASAN=y\nint main(){}\n"
    )
    found = nodes(repro.runpytest("--collect-only", "-q", "repro/crash.c", "--kbisect-runs=2"))
    assert sorted(name.partition("[")[2] for name in found) == [
        "kasan-run0]",
        "kasan-run1]",
        "plain-run0]",
        "plain-run1]",
    ]


@pytest.mark.parametrize(
    "title",
    [
        "WARNING in foo",
        "WARNING in foo (2)",
        "[syzbot] [net?] [usb?] WARNING in foo (12)",
        "Re: [syzbot] WARNING in foo",
    ],
)
def test_a_title_may_be_given_as_syzbot_mails_it(title: str) -> None:
    assert needs.from_source(f"# kbisect-crash: {title}\n", "crash.sh").crash == ("WARNING in foo",)
    marks = [pytest.mark.kbisect(crash=title).mark]
    assert needs.from_markers(marks, "test_it").crash == ("WARNING in foo",)


@pytest.mark.parametrize("words", [["-k", "crash2"], ["repro/crash2.sh"], ["repro/crash2.sh::crash2"]])
def test_selecting(repro: pytest.Pytester, words: list[str]) -> None:
    found = nodes(repro.runpytest("--collect-only", "-q", "--kbisect-runs=1", *words))
    assert found == ["repro/crash2.sh::crash2[run0]"]


def test_with_xdist_the_same_tests_are_collected(repro: pytest.Pytester) -> None:
    result = repro.runpytest("-n2", "--kbisect-runs=1", "-k", "test_plain")
    result.assert_outcomes(passed=1)


def test_files_outside_the_folders_are_nobodys_business(pytester: pytest.Pytester) -> None:
    pytester.mkdir("repro").joinpath("crash.c").write_text(C_SOURCE)
    pytester.makepyfile("def test_mine(): pass")
    result = pytester.runpytest("--collect-only", "-q")
    assert nodes(result) == ["test_files_outside_the_folders_are_nobodys_business.py::test_mine"]


def test_a_file_named_on_the_command_line_is_a_reproducer(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("mine.c").write_text(C_SOURCE)
    result = pytester.runpytest("--collect-only", "-q", "--kbisect-runs=1", "mine.c")
    assert nodes(result) == ["mine.c::mine[run0]"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kbisect-tiemout: 3", "unknown line kbisect-tiemout"),
        ("kbisect-boot-timeout: 300", "unknown line kbisect-boot-timeout"),
        ("kbisect-timeout: soon", "timeout must be a number above 0, not 'soon'"),
        ("kbisect-memory: -1", "memory must be a number above 0"),
        ("kbisect-crash:", "kbisect-crash has no value: write one after the colon"),
        ("kbisect-config[a b]: X=y", "cannot name a configuration"),
    ],
)
def test_a_header_line_that_means_nothing_is_named(repro: pytest.Pytester, line: str, words: str) -> None:
    (repro.path / "repro" / "crash2.sh").write_text(f"#!/bin/sh\n# {line}\n")
    result = repro.runpytest("--collect-only", "repro/crash2.sh")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: crash2.sh:2: *{words.replace('[', '[[]')}*"])


def test_one_that_may_not_be_read(repro: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def refused(path: Path, *arguments: Any, **named: Any) -> str:
        if path.name == "crash2.sh":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", refused)  # who runs the tests may be root
    result = repro.runpytest("--collect-only", "repro/crash2.sh")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: cannot read *crash2.sh: Permission denied"])


def test_workers_say_so_with_the_same_exit_code(repro: pytest.Pytester, linux: Tree) -> None:
    (repro.path / "repro" / "crash2.sh").write_text("# kbisect-tiemout: 3\ntrue\n")
    result = repro.runpytest("-n2", f"--kbisect-kernel={linux.path}", "repro/crash2.sh")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["crash2.sh:1: unknown line kbisect-tiemout*"])


def test_a_marker_that_means_nothing_is_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.kbisect(tiemout=3)\ndef test_it(vm): pass\n")
    result = pytester.runpytest("--collect-only", "--kbisect-runs=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: test_a_marker_*: unknown keyword 'tiemout'*"])
    result.stdout.no_fnmatch_line("*plugin.py*")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"config": None}, "config must be text or a list of text, not None"),
        ({"config": ["CONFIG_A=y", 1]}, "config must be text or a list of text, not ['CONFIG_A=y', 1]"),
        ({"config": {"CONFIG_A": "y"}}, "config must be text or a list of text, not {'CONFIG_A': 'y'}"),
        ({"configs": {"kasan": True}}, "configs must be text or a list of text, not True"),
        ({"configs": {1: ["CONFIG_A=y"]}}, "1 cannot name a configuration"),
        ({"crash": b"WARNING in foo"}, "crash must be text or a list of text, not b'WARNING in foo'"),
        ({"runs": float("inf")}, "runs must be a number above 0, not inf"),
    ],
)
def test_a_marker_of_another_type_is_named(wanted: dict[str, object], words: str) -> None:
    with pytest.raises(errors.UsageError) as told:
        needs.from_markers([pytest.mark.kbisect(**wanted).mark], "test_it")
    assert str(told.value).startswith(f"test_it: @pytest.mark.kbisect: {words}")


def test_fixtures_of_the_same_names_in_other_projects_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def vm():
            return 1

        @pytest.mark.parametrize("kernel", ["linear", "rbf"])
        def test_svm(kernel, vm):
            assert kernel != "rbf"
        """
    )
    result = pytester.runpytest("--junitxml=out.xml")
    result.assert_outcomes(passed=1, failed=1)
    assert "kbisect" not in (pytester.path / "out.xml").read_text()
    assert "run0" not in result.stdout.str()


def test_last_failed_runs_are_run_again(repro: pytest.Pytester) -> None:
    """Without a kernel each reproducer fails; --lf then selects those runs and nothing else."""
    first = repro.runpytest("--kbisect-runs=2", "repro/crash2.sh", "repro/test_own.py")
    assert first.ret == pytest.ExitCode.USAGE_ERROR
    again = nodes(
        repro.runpytest(
            "--kbisect-runs=2", "--lf", "--collect-only", "-q", "repro/crash2.sh", "repro/test_own.py"
        )
    )
    assert again == ["repro/crash2.sh::crash2[run0]"]


def test_what_a_bisection_has_kept_is_no_test_of_the_next_run(pytester: pytest.Pytester) -> None:
    """Its folder of results is among the tests, mostly; a file there that is named is run all the same."""
    pytester.makeini("[pytest]\nkbisect_repro_dirs = .\n")
    results = pytester.path / "kbisect-results" / "crash-1-2"
    Journal(results / "journal.jsonl", {"range": ["1", "2"]})
    kept = {"repro/test_own.py", "repro/crash.sh", "sessions/c0ffee/test_left.py"}
    mine = {"test_mine.py", "repro/mine.sh", "kbisect-results/test_other.py", "crash-1-2/repro/test_old.py"}
    for path in [*(results / name for name in kept), *(pytester.path / name for name in mine)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("def test_it(): pass\n" if path.suffix == ".py" else "true\n")
    found = {line.partition("::")[0] for line in nodes(pytester.runpytest("--collect-only", "-q"))}
    assert found == mine
    copy = "kbisect-results/crash-1-2/repro/test_own.py"
    assert nodes(pytester.runpytest("--collect-only", "-q", copy)) == [f"{copy}::test_it"]


def test_results_in_the_folder_of_the_tests_hide_none(pytester: pytest.Pytester) -> None:
    """As with --kbisect-dir=."""
    own = pytester.path / "repro" / "test_mine.py"
    own.parent.mkdir()
    own.write_text("def test_it(): pass\n")
    Journal(pytester.path / "journal.jsonl", {"range": ["1", "2"], "reproducers": {str(own): "0123"}})
    assert nodes(pytester.runpytest("--collect-only", "-q")) == ["repro/test_mine.py::test_it"]
