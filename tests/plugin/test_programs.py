"""C sources to programs: compiled once per content, and of what that is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kbisect import process
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
