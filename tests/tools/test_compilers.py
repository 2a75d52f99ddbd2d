"""Which kernels a compiler can build, told from texts of real trees."""

from __future__ import annotations

import pytest

from pytest_kbisect.kernel import compilers

SCRIPT = """\
case "$1" in
binutils)
\tif [ "$SRCARCH" = loongarch ]; then
\t\techo 2.41.0
\telse
\t\techo 2.25.0
\tfi
\t;;
gcc)
\tif [ "$ARCH" = parisc64 ]; then
\t\techo 12.0.0
\telse
\t\techo 5.1.0
\tfi
\t;;
llvm)
\techo 13.0.1
\t;;
esac
"""
TABLE = """\
====================== ===============  ========================================
GNU C                  4.9              gcc --version
GNU make               3.81             make --version
binutils               2.23             ld -v
"""
OLD_LIST = "o  Gnu C                  3.2                     # gcc --version\no  binutils               2.12                    # ld -v\n"


def reader(**files: str):
    return lambda path: files[path].encode() if path in files else None


@pytest.mark.parametrize(
    ("files", "gcc", "ld"),
    [
        (
            {"scripts/min-tool-version.sh": SCRIPT, "Documentation/process/changes.rst": TABLE},
            (5, 1, 0),
            (2, 25, 0),
        ),
        ({"Documentation/process/changes.rst": TABLE}, (4, 9), (2, 23)),
        ({"Documentation/Changes": OLD_LIST}, (3, 2), (2, 12)),
        ({}, (), ()),
    ],
)
def test_the_oldest_tool_that_a_tree_accepts(files, gcc, ld) -> None:
    assert compilers.minimum("gcc", reader(**files)) == gcc
    assert compilers.minimum("ld", reader(**files)) == ld


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0", (12, 2, 0)),
        ("gcc (GCC) 14.2.1 20240912 (Red Hat 14.2.1-3)", (14, 2, 1)),
        ("GNU ld (GNU Binutils for Debian) 2.40", (2, 40)),
        ("GNU ld version 2.41-37.fc40", (2, 41)),
        ("GNU ld (GNU Binutils; openSUSE Leap 15.5) 2.41.0.20230908-150100", (2, 41, 0)),
        ("no number", ()),
    ],
)
def test_versions_as_distributions_write_them(line: str, version: tuple[int, ...]) -> None:
    assert compilers.version_of(line) == version


@pytest.mark.parametrize("known", compilers.known_troubles(), ids=lambda known: known.repair)
def test_each_trouble_begins_with_its_version(known) -> None:
    broken = {
        "8ae94224c9d7": "KBUILD_CFLAGS := -Wall\n",
        "52a9dab6d892": "\tif (!ret && !size)\n\t\tret = realloc(ptr, 1);\n",
        "ee2ab467bddf": "KBUILD_CFLAGS := -m$(BITS) -O2\nKBUILD_CFLAGS += -fno-strict-aliasing -fPIE\n",
        "1d489151e9f9": '\tif (!symtab) {\n\t\tWARN("missing symbol table");\n\t\treturn -1;\n',
        "a9a3ed1eff36": "\trest_init();\n}\n",
    }[known.repair]
    repaired = {
        "8ae94224c9d7": "KBUILD_CFLAGS += $(call cc-option,-fno-PIE)\n",
        "52a9dab6d892": "\tif (!ret)\n\t\tdie();\n",
        "ee2ab467bddf": "KBUILD_CFLAGS += -std=gnu11\n",
        "1d489151e9f9": "\t\t/* A missing symbol table is actually possible */\n",
        "a9a3ed1eff36": "\trest_init();\n\tprevent_tail_call_optimization();\n",
    }[known.repair]
    before = (*known.since[:-1], known.since[-1] - 1)
    assert compilers.troubles(known.tool, known.since, reader(**{known.path: broken})) == [known]
    assert not compilers.troubles(known.tool, before, reader(**{known.path: broken}))
    assert not compilers.troubles(known.tool, known.since, reader(**{known.path: repaired}))
    assert not compilers.troubles(known.tool, known.since, reader())


def test_without_a_tree_versions_of_mainline_are_told() -> None:
    assert compilers.oldest_kernel((12, 2, 0), (2, 40)) == (5, 17)
    assert compilers.oldest_kernel((9, 4), (2, 35)) == (4, 9)
    assert compilers.oldest_kernel((5, 4), (2, 30)) == ()
    assert compilers.first_refused((7, 5)) == (6, 16)
    assert compilers.first_refused((4, 9)) == (5, 15)
    assert compilers.first_refused((12, 2, 0)) == ()
