"""Line numbers do not make another kernel; everything beside them does."""

from __future__ import annotations

import pytest

FILE = "fs/pipe.c"

# Entries as the kernel's own assembly makes them: arch/x86/include/asm/bug.h.
BUG_TABLES = {
    # 6.1 to 6.18
    "fields": (12, ".long 1b - .\n .long %c[file] - .\n .word %c[line]\n .word %c[flags]"),
    # 5.10
    "entries": (12, ".long 1b - 2b\n .long %c[file] - 2b\n .word %c[line]\n .word %c[flags]"),
    # 6.19, CONFIG_X86_64
    "formats": (
        16,
        ".long 1b - .\n .long %c[format] - .\n .long %c[file] - .\n .word %c[line]\n .word %c[flags]",
    ),
}
# Without CONFIG_DEBUG_BUGVERBOSE: flags are where the others have a line, or before it.
SHORT_BUG_TABLES = {
    "fields": (8, ".long 1b - .\n .word %c[flags]"),
    "formats": (12, ".long 1b - .\n .long %c[format] - .\n .word %c[flags]"),
}

BUG = """
#define WARN(entry_line, entry_flags)                                                    \\
    asm volatile("1: ud2\\n .pushsection __bug_table, \\"aw\\"\\n 2: " ENTRY                 \\
                 "\\n .org 2b + %c[size]\\n .popsection"                                   \\
                 : : [file] "i" (FILE), [format] "i" (FORMAT), [line] "i" (entry_line),  \\
                     [flags] "i" (entry_flags), [size] "i" (SIZE))
"""


def bugs(table, *, lines=(10, 300), flags=(0x901, 0x903), file=FILE, message="", code=""):
    size, entry = table
    entry = entry.replace("\n", "\\n")
    return (
        f'#define ENTRY "{entry}"\n#define SIZE {size}\n#define FILE "{file}"\n#define FORMAT "{message}"\n'
        f"{BUG}\nvoid start(void) {{ WARN({lines[0]}, {flags[0]}); {code} WARN({lines[1]}, {flags[1]}); }}\n"
    )


@pytest.fixture(params=BUG_TABLES)
def table(request):
    return BUG_TABLES[request.param]


def test_the_line_of_a_warning_does_not_count(signed, table):
    assert signed(bugs(table, lines=(11, 65535))) == signed(bugs(table))


def test_all_else_of_a_warning_counts(signed, table):
    plain = signed(bugs(table))
    assert signed(bugs(table, flags=(0x901, 0x902))) != plain
    assert signed(bugs(table, file="fs/pope.c")) != plain
    assert signed(bugs(table, code='asm("nop");')) != plain
    if "format" in table[1]:
        assert signed(bugs(table, message="no")) != plain


def test_where_a_warning_is_counts(signed):
    size, entry = BUG_TABLES["fields"]
    later = (size, entry.replace("1b - .", "1b + 1 - ."))
    assert signed(bugs(later)) != signed(bugs((size, entry)))


@pytest.mark.parametrize("short", SHORT_BUG_TABLES)
@pytest.mark.parametrize("message", ["", "pipe.c"])
def test_flags_count_where_there_is_no_line(signed, short, message):
    short = SHORT_BUG_TABLES[short]
    plain = signed(bugs(short, file="", message=message))
    assert signed(bugs(short, file="", message=message, flags=(0x901, 0x902))) != plain


@pytest.mark.parametrize(
    "table",
    [
        pytest.param((14, BUG_TABLES["fields"][1]), id="another size"),
        pytest.param((24, BUG_TABLES["formats"][1]), id="twice the size"),
        pytest.param((12, BUG_TABLES["fields"][1].replace("1b", "%c[file]")), id="no code"),
        pytest.param((12, BUG_TABLES["fields"][1].replace("%c[file] - .", "0")), id="no file"),
        pytest.param((12, BUG_TABLES["fields"][1].replace(".word %c[flags]", "")), id="no flags"),
    ],
)
def test_lines_count_in_a_table_of_unknown_layout(signed, table):
    assert signed(bugs(table, lines=(11, 300))) != signed(bugs(table))


def test_one_entry_that_does_not_fit_makes_the_layout_unknown(signed):
    def both(line):
        odd = 'asm(".pushsection __bug_table, \\"aw\\"\\n .long 0, 0, 0\\n .popsection");'
        return bugs(BUG_TABLES["fields"], lines=(line, 300), code=odd)

    assert signed(both(10)) != signed(both(11))


def test_a_file_that_is_no_source_makes_the_layout_unknown(signed):
    lines = [bugs(BUG_TABLES["fields"], file="no such device", lines=(line, 300)) for line in (10, 11)]
    assert signed(lines[0]) != signed(lines[1])


TABLES = {
    "__dyndbg": """
        struct entry { const char *modname, *function, *filename, *format;
                       unsigned lineno : 18, class_id : 6, other : 8; KEY }""",
    "alloc_tags": """
        struct entry { unsigned other, lineno; const char *modname, *function, *filename; void *counters; }""",
    "annotated_branch_profile": """
        struct entry { const char *function, *filename; unsigned lineno; long other, incorrect, constant; }""",
    "branch_profile": """
        struct entry { const char *function, *filename; unsigned lineno; long other, hit; }""",
}


def entries(name, *, line=10, other=1, key="", file=FILE, tail=""):
    struct = TABLES[name].replace("KEY", key)
    texts = "".join(f', .{text} = "{text}"' for text in ("modname", "format") if text in struct)
    texts += ', .function = "start"'
    common = f'.filename = "{file}", .other = {other} {texts}'
    return f"""
        {struct};
        extern struct entry __start_{name}[], __stop_{name}[];
        #define ENTRY(name) __attribute__((used, section("{name}"), aligned(8))) struct entry name
        ENTRY(one) = {{ .lineno = {line}, {common} }};
        ENTRY(two) = {{ .lineno = 300, {common} }};
        {tail}
        long start(void) {{ return __stop_{name} - __start_{name}; }}
    """


KEYS = ("", "long key[2];")


@pytest.mark.parametrize(
    ("name", "key"), [(name, key) for name in TABLES for key in (KEYS if name == "__dyndbg" else KEYS[:1])]
)
def test_only_the_line_of_a_table_of_places_does_not_count(signed, name, key):
    plain = signed(entries(name, key=key))
    assert signed(entries(name, key=key, line=0x3FFFF)) == plain
    assert signed(entries(name, key=key, other=3)) != plain
    assert signed(entries(name, key=key, file="fs/pope.c")) != plain


def test_a_table_of_places_with_another_struct_keeps_its_lines(signed):
    longer = [signed(entries("__dyndbg", key="long key[4];", line=line)) for line in (10, 11)]
    assert longer[0] != longer[1]
    odd = 'ENTRY(odd) = { .filename = "no file", .lineno = 7 };'
    assert signed(entries("alloc_tags", tail=odd)) != signed(entries("alloc_tags", tail=odd, line=11))


def test_a_table_is_known_by_its_symbols_alone(signed):
    def elsewhere(line):
        return entries("__dyndbg", line=line).replace("__dyndbg", "dyndbg")

    assert signed(elsewhere(10)) != signed(elsewhere(11))


PRINTK = """
    struct pi_entry { const char *fmt, *func, *file; unsigned line; const char *level, *prefix; }
        __attribute__((packed));
    static const struct pi_entry entry = { FORMAT, "start", "FILE", LINE, 0, "PREFIX" };
    __attribute__((used, section("printk_index"))) const struct pi_entry *const pointer = &entry;
    extern const struct pi_entry *__start_printk_index[], *__stop_printk_index[];
    long start(void) { return __stop_printk_index - __start_printk_index; }
"""


@pytest.mark.parametrize("format_", ["0", '"text"'])
def test_only_the_line_of_an_indexed_printk_does_not_count(signed, format_):
    def printk(line="10", file=FILE, prefix="p"):
        text = PRINTK.replace("FORMAT", format_).replace("LINE", line)
        return text.replace("FILE", file).replace("PREFIX", prefix)

    plain = signed(printk())
    assert signed(printk(line="11")) == plain
    assert signed(printk(prefix="q")) != plain
    assert signed(printk(file="fs/pope.c")) != plain
    assert signed(printk(file="nothing")) != signed(printk(file="nothing", line="11"))


def test_only_the_line_of_an_expectation_of_kunit_does_not_count(signed):
    def expects(line, file=FILE, name="__loc", function="kunit_run_tests"):
        return f"""
            struct kunit_loc {{ int line; const char *file; }};
            void {function}(void) {{}}
            const struct kunit_loc *start(void)
            {{ static const struct kunit_loc {name} = {{ {line}, "{file}" }}; return &{name}; }}
        """

    plain = signed(expects(10))
    assert signed(expects(11)) == plain
    assert signed(expects(10, file="fs/pope.c")) != plain
    for other in ({"name": "__location"}, {"function": "run"}, {"file": "nothing"}):
        assert signed(expects(10, **other)) != signed(expects(11, **other))


def test_an_image_of_32_bits_keeps_its_lines_in_tables_found_by_symbols(signed):
    one, two = (signed(entries("alloc_tags", line=line), "-m32") for line in (10, 11))
    assert one != two
