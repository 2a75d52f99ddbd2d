"""C sources to programs: compiled once per content, and of what that is made."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kbisect import needs, process, programs, reproducer_kinds
from pytest_kbisect.arch.x86_64 import X86_64
from pytest_kbisect.errors import HostError, UsageError
from pytest_kbisect.programs import compile_static, headers

COMPILED = ("-c",)
"""An object will do, and is made in a tenth of the time."""


@pytest.mark.parametrize(
    "include", ['#include "common.h"', "#include <common.h>", "#define C <common.h>\n#include C"]
)
def test_a_header_that_is_edited_makes_another_program(tmp_path: Path, include: str) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    source = folder / "x.c"
    source.write_text(f"#include <stdio.h>\n{include}\nint main(void) {{ return STATUS; }}\n")
    (folder / "common.h").write_text('#include "deep$er.h"\n')
    (folder / "deep$er.h").write_text("#define STATUS 3\n")
    first = compile_static(source, tmp_path / "programs", flags=COMPILED)
    assert compile_static(source, tmp_path / "programs", flags=COMPILED) == first
    (folder / "deep$er.h").write_text("#define STATUS 4\n")
    second = compile_static(source, tmp_path / "programs", flags=COMPILED)
    assert second.read_bytes() != first.read_bytes()


def test_what_flags_include_counts(tmp_path: Path) -> None:
    def made(number: int) -> bytes:
        (tmp_path / "common.h").write_text(f"int common = {number};\n")
        text = "#include <common.h>\n"
        return compile_static(text, tmp_path / "programs", flags=(*COMPILED, f"-I{tmp_path}")).read_bytes()

    assert made(5) != made(6)


def test_the_compiler_is_not_asked_where_only_the_system_is_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "x.c"
    source.write_text("#include <stdio.h>\n# include <sys/stat.h>\nint main(void) { return 0; }\n")
    first = compile_static(source, tmp_path / "programs", flags=COMPILED)
    monkeypatch.setattr(process, "run", None)
    assert compile_static(source, tmp_path / "programs", flags=COMPILED) == first


def test_headers_of_a_source(tmp_path: Path) -> None:
    source = tmp_path / "x.c"
    source.write_text('#include <stdio.h>\n#include "lib/common.h"\n')
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "common.h").write_text("#define STATUS 3\n")
    assert headers(source) == (tmp_path / "lib" / "common.h",)
    source.write_text("#include <stdio.h>\n")
    assert headers(source) == ()


BITS = "// kbisect-bits: 32\nint words[sizeof(long) == 4 ? 1 : -1];\nint main(void) { return 0; }\n"


def test_a_program_of_32_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "x.c"
    source.write_text(BITS)
    kind = reproducer_kinds.BUILT_IN[0]
    probed: list[list[str]] = []

    def run(command: list[str], **_: object) -> bytes:
        probed.append(command)
        if "-m32" in command and "-o" in command and "/dev/null" in command and not installed:
            raise subprocess.CalledProcessError(1, command, b"cannot find crt1.o")
        return b""

    installed = False
    monkeypatch.setattr(process, "run", run)
    with pytest.raises(HostError, match="cannot link static programs for i386: apt-get install gcc-multilib"):
        reproducer_kinds.prepare(source, kind, tmp_path, X86_64)
    installed = True
    reproducer_kinds.prepare(source, kind, tmp_path, X86_64)
    assert "-m32" in probed[-1]
    with pytest.raises(UsageError, match="not implemented for x86_64"):
        reproducer_kinds.prepare(source, kind, tmp_path, replace(X86_64, compat=None))
    source.write_text(BITS.replace("32", "64"))
    reproducer_kinds.prepare(source, kind, tmp_path, X86_64)
    assert "-m32" not in probed[-1]


@pytest.mark.parametrize(
    ("line", "name", "complaint"),
    [("kbisect-bits: 16", "x.c", "is 32 or 64, not 16"), ("kbisect-bits: 32", "x.sh", "is for C files only")],
)
def test_bits_that_cannot_be(line: str, name: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        needs.from_source(line, name)


def test_the_real_compiler_makes_words_of_32_bits(tmp_path: Path) -> None:
    """Without the C library of i386: an object will do."""
    assert X86_64.compat is not None
    flags = (*X86_64.compat.compiler_flags, *COMPILED)
    assert compile_static(BITS, tmp_path, compiler=programs.compiler(X86_64), flags=flags).exists()
