"""A line that is written out in a text makes no other kernel, if the text can be nothing else."""

from __future__ import annotations

import pytest

NAME = """
    const char *name(void) { return TEXT; }
    const char *other(void) { return "a text behind it"; }
    int start(void) { return (long) name() ^ (long) other(); }
"""
STACK = """# 1 "fs/pipe.c"
    void __asan_store1_noabort(long a) {}
    void __asan_load1_noabort(long a) {}
    void __asan_store4_noabort(long a) {}
    void __asan_load4_noabort(long a) {}
    void __asan_set_shadow_00(long a, long b) {}
    void __asan_set_shadow_f1(long a, long b) {}
    void __asan_set_shadow_f2(long a, long b) {}
    void __asan_set_shadow_f3(long a, long b) {}
    __attribute__((noipa)) void fill(char *a, int *b) { a[0] = b[0]; }
    int start(int a) {
        BEFORE
        char buffer[SIZE];
        int counter[4] = {a};
        fill(buffer, counter);
        return buffer[0];
    }
"""


def named(text):
    return NAME.replace("TEXT", f'"{text}"')


@pytest.mark.parametrize("file", ["kernel/time/timer.c", "./include/linux/kbx.h", "kbx.c"])
def test_a_text_that_is_a_file_and_a_line(signed, file):
    plain = signed(named(f"{file}:123"), "-O1")
    assert signed(named(f"{file}:987"), "-O1") == plain
    assert signed(named(f"{file[:-2]}x.c:123"), "-O1") != plain


@pytest.mark.parametrize(
    "text",
    ["limit:12N", "see fs/pipe.c:12N", "fs/pipe.c:12N.", "fs/pipe.c-12N", "fs/pipe.cc:12N", "fs/pipe.c:12Nx"],
)
def test_another_text_counts(signed, text):
    assert signed(named(text.replace("N", "3")), "-O1") != signed(named(text.replace("N", "4")), "-O1")


def test_the_lines_of_variables_on_a_stack_that_kasan_watches(signed):
    def of(before="", size="24"):
        text = STACK.replace("BEFORE", before).replace("SIZE", size)
        return signed(text, "-fsanitize=kernel-address", "--param=asan-stack=1", "-O1", "-fno-builtin")

    plain = of()
    assert of(before="\n") == plain
    assert of(size="25") != plain


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("1 32 8 6 key:4N", False),
        ("2 32 8 6 key:1N 64 16 7 list:2N", False),
        ("1 32 8 9 <unknown>", False),
        ("1 32 8 7 key:4N", True),
        ("2 32 8 6 key:4N", True),
        ("1 32 8 6 key:4N 64 16 7 list:22", True),
        ("1 32 8 6 key:4N ", True),
        ("1 32 8 3 4N2", True),
    ],
)
def test_only_what_is_such_a_list_of_variables(signed, text, counts):
    texts = [named(text.replace("N", digit)) for digit in "12"]
    assert (signed(texts[0], "-O1") != signed(texts[1], "-O1")) is (counts and "N" in text)
