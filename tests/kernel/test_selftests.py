"""kselftests of a small tree, built as real ones are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from miniature import FakeLinux

from pytest_kbisect.errors import UsageError
from pytest_kbisect.kernel import selftests, toolchain
from pytest_kbisect.kernel.tree import LinuxTree

FOLDER = "tools/testing/selftests/timers"
MAKEFILE = """\
$(OUTPUT)/%: %.c
	$(CC) $(KHDR_INCLUDES) -o $@ $<
all: $(OUTPUT)/helper $(OUTPUT)/broken
"""
PROGRAM = (
    '#include <stdio.h>\n#include <ours.h>\nint main(void) { puts("ok 1 a\\nnot ok 2 b"); return STATUS; }\n'
)
FILES = {
    f"{FOLDER}/Makefile": MAKEFILE,
    f"{FOLDER}/fails.c": PROGRAM,
    f"{FOLDER}/skips.c": "int main(void) { return 4; }\n",
    f"{FOLDER}/helper.c": "int main(void) { return 0; }\n",
    f"{FOLDER}/broken.c": "int main(void) { return missing; }\n",
    f"{FOLDER}/script.sh": "#!/bin/sh\n./helper && test -e made\n",
    f"{FOLDER}/settings": "timeout=7\n",
    "include/ours.h": "#define STATUS 3\n",
    "scripts/x": "",
    "arch/x86/x": "",
}


@pytest.fixture
def linux(tmp_path: Path) -> FakeLinux:
    linux = FakeLinux(tmp_path / "linux")
    headers = "\nheaders:\n\t@mkdir -p usr/include && cp include/ours.h usr/include\n"
    makefile = (linux.path / "Makefile").read_text()
    linux.commit("kselftests", {**FILES, "Makefile": makefile + headers})
    return linux


def build(linux: FakeLinux, name: str) -> selftests.Selftest:
    tree = LinuxTree(linux.path, linux.path.parent / "cache")
    commit = linux.git("rev-parse", "HEAD")
    return selftests.build(tree, commit, name, toolchain.find(), linux.path.parent / "kept")


def run(built: selftests.Selftest, folder: Path, first: str = "true") -> tuple[int, list[str]]:
    """As a guest does: all files in one folder."""
    folder.mkdir()
    for name, path in built.files.items():
        (folder / name).write_bytes(path.read_bytes())
        (folder / name).chmod(0o644 | path.stat().st_mode & 0o111)
    (folder / "first.sh").write_text(first)
    words = ["sh", str(folder / selftests.RUN), str(folder / "first.sh")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_a_test_is_built_once_and_its_results_are_nested(linux: FakeLinux, tmp_path: Path) -> None:
    built = build(linux, "timers/fails")
    assert (set(built.files), built.seconds) == ({"fails", "script.sh", "settings", selftests.RUN}, 7.0)
    assert run(built, tmp_path / "guest") == (
        3,
        ["# ok 1 a", "# not ok 2 b", "not ok 1 selftests: timers: fails # exit=3"],
    )
    with built.files["fails"].open("rb") as program:
        segments = {segment["p_type"] for segment in ELFFile(program).iter_segments()}
    assert "PT_LOAD" in segments
    assert "PT_INTERP" not in segments  # statically linked
    before = built.files["fails"].stat().st_ino
    assert build(linux, "timers/fails").files["fails"].stat().st_ino == before


def test_a_script_has_the_programs_of_its_folder_that_build(linux: FakeLinux, tmp_path: Path) -> None:
    built = build(linux, "timers/script.sh")
    assert {"script.sh", "helper"} <= set(built.files)
    assert "broken" not in built.files
    assert run(built, tmp_path / "one")[0] == 1
    assert run(built, tmp_path / "two", 'cd "${0%/*}" && : >made') == (
        0,
        ["ok 1 selftests: timers: script.sh"],
    )
    assert run(built, tmp_path / "three", "false") == (125, [])


def test_a_test_that_skips_says_nothing(linux: FakeLinux, tmp_path: Path) -> None:
    status, lines = run(build(linux, "timers/skips"), tmp_path / "guest")
    assert (status, lines) == (125, ["ok 1 selftests: timers: skips # SKIP"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timers", "'timers' is not a kselftest: write DIR/TEST"),
        ("../x/y", "is not a kselftest: write DIR/TEST"),
        ("timers/nothing", "has no kselftest timers/nothing: name one of broken, fails, helper, skips"),
        ("nowhere/x", "has no kselftest nowhere/x: name one of another folder"),
        ("timers/broken", "timers/broken does not build as a static program, install what it needs:\n"),
    ],
)
def test_what_cannot_be_built_is_told(linux: FakeLinux, name: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        build(linux, name)
    assert words in str(raised.value)
