"""Which kernels a compiler can build, told from texts of real trees."""

from __future__ import annotations

import pytest

from pytest_kbisect.arch.trouble import Edit
from pytest_kbisect.arch.x86_64 import X86_64
from pytest_kbisect.errors import UsageError
from pytest_kbisect.kernel import compilers, remedies

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
Clang/LLVM (optional)  10.0.1           clang --version
GNU make               3.81             make --version
binutils               2.23             ld -v
"""
OLD_LIST = "o  Gnu C                  3.2                     # gcc --version\no  binutils               2.12                    # ld -v\n"


KNOWN = remedies.known(X86_64)
OBJTOOL = '\tif (!symtab) {\n\t\tWARN("missing symbol table");\n\t\treturn -1;\n'
EXAMPLES = {
    "8ae94224c9d7": ("KBUILD_CFLAGS := -Wall\n", "KBUILD_CFLAGS += $(call cc-option,-fno-PIE)\n"),
    "52a9dab6d892": ("\tif (!ret && !size)\n\t\tret = realloc(ptr, 1);\n", "\tif (!ret)\n\t\tdie();\n"),
    "82880283d7fc": ("\tstatic char pvname[16];\n", "\tstatic char pvname[19];\n"),
    "1d489151e9f9": (OBJTOOL, "\t\t/* A missing symbol table is actually possible */\n"),
    "3e35142ef99f": (
        "int __weak\narch_kexec_apply_relocations(struct purgatory_info *pi)\n",
        "static int kexec_apply_relocations(struct kimage *image)\n",
    ),
    "e33a814e772c": ("YYLTYPE yylloc;\n", "extern bool treesource_error;\n"),
    "dce4aab8441d": ("KBUILD_CFLAGS := -Wall\n", "$(call cc-option,-fzero-init-padding-bits=all)\n"),
    "61df817d1d1b": ("size_t strlen(const char *s)\n", "size_t wcslen(const wchar_t *s)\n"),
    "3fe617ccafd6": ("config WERROR\n\tbool\n", "config WERROR_OF_ANOTHER\n"),
    "a9a3ed1eff36": ("\trest_init();\n}\n", "\trest_init();\n\tprevent_tail_call_optimization();\n"),
    "5cb9eaa3d274": (
        "\t\t__balance_callbacks(rq);\n\t\traw_spin_unlock_irq(&rq->lock);\n",
        "\t\t__balance_callbacks(rq);\n\t\traw_spin_rq_unlock_irq(rq);\n",
    ),
    "0711f0d7050b": ("\tcad_pid = task_pid(current);\n", "\tcad_pid = get_pid(task_pid(current));\n"),
    "69d0db01e210": ("config UBSAN_OBJECT_SIZE\n\tbool\n", "config UBSAN_BOOL\n"),
    "b3bee1e7c3f2": (
        "KBUILD_CFLAGS := -m$(BITS) -O2\nKBUILD_CFLAGS += -fno-strict-aliasing -fPIE\n",
        "KBUILD_CFLAGS += -std=gnu11\n",
    ),
    "ee2ab467bddf": (
        "KBUILD_CFLAGS += -std=gnu11\nREALMODE_CFLAGS\t:= -m16 -g -Os \\\n\t-Wall\n",
        "REALMODE_CFLAGS\t:= -std=gnu11 -m16 -g -Os \\\n",
    ),
    "8ba14d9f490a": (
        "cflags-$(CONFIG_X86)\t\t+= -m$(BITS) -D__KERNEL__ \\\n",
        "cflags-$(CONFIG_X86)\t\t+= -m$(BITS) -D__KERNEL__ -std=gnu11 \\\n",
    ),
    "29be86d7f9cb": (
        "RETPOLINE_CFLAGS := -mindirect-branch\n",
        "RETPOLINE_CFLAGS := -mindirect-branch\nKBUILD_CFLAGS += -fcf-protection=none\n",
    ),
    "aaeed6ecc125": ("config X86_X32_ABI\n\tbool\n", "config IA32_EMULATION\n"),
}
"""Lines of trees that have a trouble, and of those that have not any more."""


def reader(**files: str):
    return lambda path: files[path].encode() if path in files else None


@pytest.mark.parametrize(
    ("files", "gcc", "ld", "clang"),
    [
        (
            {"scripts/min-tool-version.sh": SCRIPT, "Documentation/process/changes.rst": TABLE},
            (5, 1, 0),
            (2, 25, 0),
            (13, 0, 1),
        ),
        ({"Documentation/process/changes.rst": TABLE}, (4, 9), (2, 23), (10, 0, 1)),
        ({"Documentation/Changes": OLD_LIST}, (3, 2), (2, 12), ()),
        ({}, (), (), ()),
    ],
)
def test_the_oldest_tool_that_a_tree_accepts(files, gcc, ld, clang) -> None:
    assert compilers.minimum("gcc", reader(**files)) == gcc
    assert compilers.minimum("ld", reader(**files)) == ld
    assert compilers.minimum("clang", reader(**files)) == clang


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0", (12, 2, 0)),
        ("gcc (GCC) 14.2.1 20240912 (Red Hat 14.2.1-3)", (14, 2, 1)),
        ("GNU ld (GNU Binutils for Debian) 2.40", (2, 40)),
        ("GNU ld version 2.41-37.fc40", (2, 41)),
        ("GNU ld (GNU Binutils; openSUSE Leap 15.5) 2.41.0.20230908-150100", (2, 41, 0)),
        ("Debian clang version 16.0.6 (15~deb12u1)", (16, 0, 6)),
        ("Ubuntu clang version 19.1.1 (1ubuntu1~24.04.2)", (19, 1, 1)),
        ("Debian LLD 16.0.6 (compatible with GNU linkers)", (16, 0, 6)),
        ("no number", ()),
    ],
)
def test_versions_as_distributions_write_them(line: str, version: tuple[int, ...]) -> None:
    assert compilers.version_of(line) == version


def test_every_trouble_has_an_example() -> None:
    assert EXAMPLES.keys() == {trouble.repair for trouble in KNOWN}


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.repair)
def test_each_trouble_begins_with_its_version(known) -> None:
    broken, repaired = EXAMPLES[known.repair]
    tools = {known.tool: known.since} if known.tool else {}

    def has(text, tools=tools, symbols=None):
        return known in compilers.troubles(tools, reader(**{known.path: text}), symbols=symbols)

    assert has(broken)
    assert not has(repaired)
    assert not compilers.troubles(tools, reader())
    if known.tool and any(known.since):
        assert not has(broken, {known.tool: (*known.since[:-1], known.since[-1] - 1)})
        assert not has(broken, {})
    if known.symbols:
        assert not has(broken, symbols=frozenset())
        assert has(broken, symbols=known.symbols)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.repair)
def test_an_edit_takes_the_sign_away(known) -> None:
    edits = [remedy for remedy in known.remedies if isinstance(remedy, Edit)]
    for edit in edits:
        text = EXAMPLES[known.repair][0].encode()
        changed, count = edit.pattern.subn(edit.replacement, text)
        assert count == 1
        assert not edit.pattern.search(changed)
    assert known.remedies


def test_remedies_are_combined_by_variable() -> None:
    found = remedies.combined(remedies.named(("82880283d7fc", "e33a814e772c", "1d489151e9f9"), X86_64))
    assert found.arguments == ("HOSTCFLAGS=-Wno-error -fcommon",)
    assert [edit.path for edit in found.edits] == ["tools/objtool/elf.c"]
    assert remedies.combined(()).fingerprint == ""
    assert found.fingerprint
    with pytest.raises(UsageError, match="unknown remedy '0000'"):
        remedies.named(("0000",), X86_64)


def test_without_a_tree_versions_of_mainline_are_told() -> None:
    assert compilers.oldest_kernel({"gcc": (12, 2, 0), "host gcc": (12, 2, 0), "ld": (2, 40)}) == (5, 17)
    assert compilers.oldest_kernel({"gcc": (9, 4), "ld": (2, 35)}) == (4, 9)
    assert compilers.oldest_kernel({"gcc": (5, 4), "ld": (2, 30)}) == ()
    newest = {"gcc": (16, 1), "host gcc": (16, 1), "ld": (2, 46)}
    assert compilers.oldest_kernel(newest, remedied=True) == ()
    assert compilers.first_refused((7, 5)) == (6, 16)
    assert compilers.first_refused((4, 9)) == (5, 15)
    assert compilers.first_refused((12, 2, 0)) == ()
