"""`--kbisect-range`: what is refused before anything is built or written."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tree


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.path.joinpath("crash.sh").write_text("true\n")
    return pytester


def bisect(suite: pytest.Pytester, tree: object, range_: str, *words: str) -> pytest.RunResult:
    """The driver in this process; the sessions that it starts have processes of their own."""
    return suite.runpytest(f"--kbisect-kernel={tree}", f"--kbisect-range={range_}", *(words or ["crash.sh"]))


def test_ranges_that_cannot_be_bisected(suite: pytest.Pytester, linux: Tree) -> None:
    before = linux.git("for-each-ref") + linux.git("status", "--porcelain=2", "--branch")
    for range_, words in {
        "nonsense..HEAD": "unknown revision 'nonsense'",
        "-x..HEAD": "begins with '-'",
        "^HEAD~1..HEAD": "begins with '^'",
        "HEAD..HEAD": "are the same commit",
        "HEAD..HEAD~1": "is a descendant: did you mean HEAD~1..HEAD?",
        "HEAD": "is not a range",
    }.items():
        result = bisect(suite, linux.path, range_)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, range_
        errors = [line for line in result.errlines if line.startswith("ERROR:")]
        assert len(errors) == 1, result.stderr.str()
        assert words in errors[0]
    assert before == linux.git("for-each-ref") + linux.git("status", "--porcelain=2", "--branch")
    assert not (suite.path / "kbisect-results").exists()


def test_options_that_cannot_be_used(suite: pytest.Pytester, linux: Tree) -> None:
    for word in ("--kbisect-runs=0", "--kbisect-budget=soon", "--kbisect-strategy=best"):
        result = bisect(suite, linux.path, "HEAD~1..HEAD", "crash.sh", word)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, word
        result.stderr.fnmatch_lines([f"ERROR: {word.partition('=')[0]}: '*' cannot be used: *"])
        assert "Traceback" not in result.stderr.str()


def test_a_fix_needs_both_ends(suite: pytest.Pytester, linux: Tree) -> None:
    """In a process of its own, as users have it: nothing was imported before."""
    words = [f"--kbisect-kernel={linux.path}", "--kbisect-range=..HEAD", "--kbisect-fix", "crash.sh"]
    result = suite.runpytest_subprocess(*words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --kbisect-fix needs both ends: A..B, A crashes and B does not"])


def test_a_range_without_a_tree_is_refused(suite: pytest.Pytester) -> None:
    result = bisect(suite, suite.path / "nowhere", "HEAD~1..HEAD")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: no kernel tree at *nowhere: there is no such folder"])
    result = suite.runpytest("--kbisect-range=HEAD~1..HEAD", "crash.sh")
    result.stderr.fnmatch_lines(["ERROR: no kernel to bisect: give --kbisect-kernel DIR*"])


def test_a_range_without_a_reproducer_is_refused(suite: pytest.Pytester, linux: Tree) -> None:
    suite.makepyfile(test_plain="def test_it(): pass")
    for words in (["-k", "nothing", "crash.sh"], ["test_plain.py"]):
        result = bisect(suite, linux.path, "HEAD~1..HEAD", *words)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: no reproducer selected*"])
    result = bisect(suite, linux.path, "HEAD~1..HEAD", "missing.c")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR:*missing.c*"])


def test_a_header_line_that_means_nothing(suite: pytest.Pytester, linux: Tree) -> None:
    suite.path.joinpath("crash.sh").write_text("# kbisect-timeout: soon\n")
    result = bisect(suite, linux.path, "HEAD~1..HEAD")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == ["ERROR: crash.sh:1: timeout must be a number above 0, not 'soon'"]


def test_a_reproducer_that_does_not_compile(suite: pytest.Pytester, linux: Tree) -> None:
    suite.path.joinpath("broken.c").write_text("int main(void) { return nonsense; }\n")
    result = bisect(suite, linux.path, "HEAD~1..HEAD", "broken.c")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *broken.c does not compile:", "*nonsense*"])
    assert not (suite.path / "kbisect-results").exists()


def test_configuration_that_contradicts_itself(suite: pytest.Pytester, linux: Tree) -> None:
    suite.path.joinpath("crash.sh").write_text("# kbisect-config: CONFIG_TUN=y\ntrue\n")
    suite.path.joinpath("no-tun.config").write_text("# CONFIG_TUN is not set\n")
    result = bisect(suite, linux.path, "HEAD~1..HEAD", "crash.sh", "--kbisect-config=no-tun.config")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *TUN*no-tun.config*crash.sh*"])
    result = bisect(suite, linux.path, "HEAD~1..HEAD", "crash.sh", "--kbisect-config=missing.config")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *missing.config*"])


def test_too_little_memory_for_a_guest(suite: pytest.Pytester, linux: Tree) -> None:
    result = bisect(suite, linux.path, "HEAD~1..HEAD", "crash.sh", "--kbisect-memory=999999999")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: no free memory for a guest (needs * MiB, * MiB free)*"])


@pytest.mark.parametrize("name", ["my cache", "my:cache"])
def test_a_cache_that_no_kernel_builds_in(suite: pytest.Pytester, linux: Tree, name: str) -> None:
    (suite.path / name).mkdir()
    (suite.path / "link").symlink_to(name)
    for cache in (name, "link"):
        refused = (
            f"ERROR: kernels cannot be built in *{name}, because of the space or colon in its path: give *"
        )
        result = bisect(suite, linux.path, "HEAD~1..HEAD", "crash.sh", f"--kbisect-cache={cache}")
        ordinary = suite.runpytest(f"--kbisect-kernel={linux.path}", "crash.sh", f"--kbisect-cache={cache}")
        for one in (result, ordinary):
            assert one.ret == pytest.ExitCode.USAGE_ERROR
            one.stderr.fnmatch_lines([refused])
    assert not (suite.path / name / "trees").exists()
    assert not (suite.path / "kbisect-results").exists()


def test_a_disk_image_that_is_none(suite: pytest.Pytester, linux: Tree) -> None:
    suite.path.joinpath("disk.img.xz").write_bytes(b"\xfd7zXZ\0" + bytes(4096))
    for name, words in (
        ("disk.img.xz", "is compressed with xz: decompress it first"),
        ("absent.img", "No such file"),
    ):
        result = bisect(suite, linux.path, "HEAD~1..HEAD", "crash.sh", f"--kbisect-image={name}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        (error,) = [line for line in result.errlines if line.startswith("ERROR:")]
        assert name in error
        assert words in error
        ordinary = suite.runpytest(f"--kbisect-kernel={linux.path}", "crash.sh", f"--kbisect-image={name}")
        assert ordinary.ret == pytest.ExitCode.USAGE_ERROR
        ordinary.stderr.fnmatch_lines([f"ERROR: *{name}*"])
    assert not (suite.path / "kbisect-results").exists()


def test_sessions_do_not_compile_the_plugin_anew(
    suite: pytest.Pytester, linux: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Python is told to write no bytecode, theirs goes to the cache folder, and nowhere else."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    suite.makepyfile(test_plain="def test_it(): pass")
    bisect(suite, linux.path, "HEAD~1..HEAD", "test_plain.py", "--kbisect-cache=cache")
    kept = {path.name.partition(".")[0] for path in (suite.path / "cache" / "bytecode").rglob("*.pyc")}
    assert {"plugin", "reproducers", "test_plain"} <= kept
    assert not list(suite.path.glob("__pycache__"))


def test_the_journal_notes_the_crashes_that_are_expected(suite: pytest.Pytester, linux: Tree) -> None:
    suite.path.joinpath("crash.sh").write_text("# kbisect-crash: WARNING in foo\ntrue\n")
    bisect(suite, linux.path, "HEAD~2..HEAD", "crash.sh", "--kbisect-dir=result")
    (header, *_) = (suite.path / "result" / "journal.jsonl").read_text().splitlines()
    assert json.loads(header)["crash"] == ["WARNING in foo"]


def test_another_image_is_another_bisection(suite: pytest.Pytester, linux: Tree) -> None:
    image, copy = suite.path / "disk.img", suite.path / "copy.img"
    for path in (image, copy):
        path.write_bytes(bytes(510) + b"\x55\xaa" + b"what is on it".ljust(1 << 20))

    def refused(*words: str) -> list[str]:  # else it goes on, and nothing of this tree builds
        result = bisect(suite, linux.path, "HEAD~2..HEAD", "crash.sh", *words)
        return [line for line in result.errlines if "belongs to another bisection" in line]

    assert refused(f"--kbisect-image={image}") == []
    assert refused(f"--kbisect-image={copy}") == []
    copy.write_bytes(image.read_bytes() + b"more")
    for words in ([f"--kbisect-image={copy}"], []):
        (error,) = refused(*words)
        assert "its image is " in error
        assert error.endswith("give another --kbisect-dir or move the folder away")


def test_a_journal_with_signatures_of_another_format_is_refused(suite: pytest.Pytester, linux: Tree) -> None:
    bisect(suite, linux.path, "HEAD~2..HEAD", "crash.sh", "--kbisect-dir=result")
    path = suite.path / "result" / "journal.jsonl"
    header, *others = path.read_text().splitlines(keepends=True)
    facts = json.loads(header)
    del facts["signature format"]  # as in journals of before there was more than one
    path.write_text("".join([f"{json.dumps(facts)}\n", *others]))
    result = bisect(suite, linux.path, "HEAD~2..HEAD", "crash.sh", "--kbisect-dir=result")
    (error,) = (line for line in result.errlines if "belongs to another bisection" in line)
    assert "its signature format is null, now it is " in error


def test_a_bisection_that_goes_on_with_other_guests_says_so(suite: pytest.Pytester, linux: Tree) -> None:
    def told(*options: str) -> list[str]:
        result = bisect(suite, linux.path, "HEAD~2..HEAD", "crash.sh", "--kbisect-dir=result", *options)
        lines = [line for line in (*result.outlines, *result.errlines) if "runs until now" in line]
        return [line.partition("note: ")[2] for line in lines]

    assert told() == []
    assert told("--kbisect-memory=768", "--kbisect-timeout=60") == [
        "runs until now had --kbisect-memory 512, from now on it is 768",
        "runs until now had --kbisect-timeout 30, from now on it is 60",
    ]
    assert told("--kbisect-memory=768", "--kbisect-timeout=60") == []
    journal = (suite.path / "result" / "journal.jsonl").read_text().splitlines()
    assert sum('"kind": "guest"' in line for line in journal) == 2


def test_without_pytests_terminal(suite: pytest.Pytester, linux: Tree) -> None:
    result = bisect(suite, linux.path, "HEAD~2..HEAD", "crash.sh", "-p", "no:terminal")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == ["ERROR: bisection requires pytest's terminal plugin: remove -p no:terminal"]
