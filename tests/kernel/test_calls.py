"""A line that is passed in a call makes no other kernel; a constant that may be something else does."""

from __future__ import annotations

import pytest

from pytest_kbisect.kernel import signature

HIGH = ("-mcmodel=kernel", "-Wl,-Ttext-segment=0xffffffff81000000")
"""Where and how the kernel's own code is: pointers are 32 bits with a sign."""

SLEEPS = """
    __attribute__((noipa)) void NAME(const char *file, int line MORE) { asm volatile("" : : "r"(file), "r"(line)); }
    int start(int a, int b) { if (a) NAME("fs/pipe.c", LINE ARGUMENT); return CODE; }
"""


def sleeps(line, *, name="__might_sleep", code="b", third=False):
    text = SLEEPS.replace("NAME", name).replace("LINE", str(line)).replace("CODE", code)
    return text.replace("MORE", ", int more" if third else "").replace("ARGUMENT", ", 7" if third else "")


@pytest.mark.parametrize("where", [(), HIGH], ids=["low", "high"])
@pytest.mark.parametrize("optimize", ["-O0", "-O2", "-Os"])
@pytest.mark.parametrize(
    ("name", "third"),
    [("__might_sleep", False), ("__might_resched", True), ("lockdep_rcu_suspicious", True)],
)
def test_the_line_of_a_check_for_sleep_does_not_count(signed, where, optimize, name, third):
    def of(line, code="b"):
        return signed(sleeps(line, name=name, third=third, code=code), optimize, *where)

    plain = of(100)
    assert of(70000) == plain
    assert of(100, code="b + 1") != plain
    assert (
        signed(sleeps(100, name=name, third=third).replace(", 7", ", 8"), optimize, *where) == plain or third
    )


def test_the_argument_behind_the_line_counts(signed):
    text = sleeps(100, name="__cant_sleep", third=True)
    assert signed(text.replace(", 7", ", 8"), "-O2") != signed(text, "-O2")


def test_the_same_argument_of_another_function_counts(signed):
    assert signed(sleeps(100, name="set_limit"), "-O2") != signed(sleeps(101, name="set_limit"), "-O2")


def test_a_number_that_goes_with_no_source_file_counts(signed):
    texts = [sleeps(line).replace("fs/pipe.c", "a name") for line in (100, 101)]
    assert signed(texts[0], "-O2") != signed(texts[1], "-O2")


ASSEMBLY = """
    asm(".globl __might_sleep\\n.type __might_sleep, @function\\n__might_sleep: ret\\n.size __might_sleep, 1\\n"
        ".globl start\\n.type start, @function\\nstart:\\n CODE \\n ret\\n.size start, . - start\\n"
        ".section .rodata\\nfile: .string \\"fs/pipe.c\\"\\n.text\\n");
"""
FILE = "mov $file, %edi"
CALL = "call __might_sleep"


@pytest.mark.parametrize(
    ("code", "masked"),
    [
        pytest.param(f"mov $LINE, %esi; {FILE}; {CALL}", True, id="line first"),
        pytest.param(f"{FILE}; mov $LINE, %esi; {CALL}", True, id="file first"),
        pytest.param(f"mov $LINE, %esi; {FILE}; xor %edx, %edx; mov $4, %ecx; {CALL}", True, id="more"),
        pytest.param(f"mov $LINE, %esi; mov $file, %rdi; mov %rbx, %rdx; {CALL}", True, id="wide"),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov %r8, 8(%rsp); {CALL}", True, id="another is saved"),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov %al, 8(%rsp); {CALL}", True, id="a byte is saved"),
        pytest.param(f"mov $LINE, %esi; mov %rdi, %rbx; {FILE}; {CALL}", True, id="what was there is saved"),
        pytest.param(f"mov $LINE, %esi; {FILE}; push %rbx; sub $8, %rsp; {CALL}", True, id="the stack grows"),
        pytest.param(f"mov $LINE, %esi; {FILE}; movq $0, (%rsp); {CALL}", True, id="the stack is cleared"),
        pytest.param(
            f"mov $LINE, %esi; push $7; {FILE}; push $0x12345; {CALL}", True, id="constants are pushed"
        ),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov %esi, 8(%rsp); {CALL}", False, id="read by a spill"),
        pytest.param(f"mov $LINE, %esi; {FILE}; push %rsi; {CALL}", False, id="read by a push"),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov %r8, (%rsp,%rsi); {CALL}", False, id="read by an index"),
        pytest.param(
            f"mov $LINE, %esi; {FILE}; movl $0, (%rsp,%rsi); {CALL}", False, id="an index of a constant"
        ),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov 8(%rsp), %edx; {CALL}", True, id="a load"),
        pytest.param(f"mov $LINE, %esi; {FILE}; lea 8(%rbx,%r14), %rdx; {CALL}", True, id="an address"),
        pytest.param(f"mov $LINE, %esi; {FILE}; and $0x7f, %ebx; {CALL}", True, id="a sum of others"),
        pytest.param(f"mov $LINE, %esi; {FILE}; add %ebx, %r14d; sub %rbx, %rdx; {CALL}", True, id="sums"),
        pytest.param(
            f"mov $LINE, %esi; {FILE}; movslq %r13d, %r14; movzwl 2(%rbx), %ecx; {CALL}", True, id="wider"
        ),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov %r11, -0x70(%rbp); {CALL}", True, id="another is stored"),
        pytest.param(
            f"mov $LINE, %esi; {FILE}; and $0x7f, %esi; {CALL}", False, id="another number by a sum"
        ),
        pytest.param(f"mov $LINE, %esi; {FILE}; movslq %esi, %r14; {CALL}", False, id="read to be wider"),
        pytest.param(
            f"mov $LINE, %esi; {FILE}; mov %r11, (%rsi); {CALL}", False, id="read by an address stored to"
        ),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov $7, %sil; {CALL}", False, id="a byte is written"),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov %bl, %sil; {CALL}", False, id="a byte is moved"),
        pytest.param(f"mov $LINE, %esi; {FILE}; xchg %esi, %ebx; {CALL}", False, id="exchanged"),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov (%rsi), %edx; {CALL}", False, id="read by a load"),
        pytest.param(
            f"mov $LINE, %esi; {FILE}; lea 8(%rbx,%rsi), %rdx; {CALL}", False, id="read by an address"
        ),
        pytest.param(
            f"test %ebx, %ebx; jz 1f; mov $LINE, %esi; jmp 2f; 1: mov $7, %esi; 2: {FILE}; {CALL}",
            True,
            id="two calls in one",
        ),
        pytest.param(
            f"test %ebx, %ebx; jz 1f; mov $LINE, %esi; jmp 2f; 1: mov $7, %esi; 2: mov %esi, %edx; {FILE}; {CALL}",
            False,
            id="read after two ways have met",
        ),
        pytest.param(f"mov $LINE, %esi; {FILE}; jmp *%rbx; {CALL}", False, id="a jump to anywhere"),
        pytest.param(
            f"mov $LINE, %esi; {FILE}; .byte 0xe9; .long __might_sleep - . - 4", True, id="tail call"
        ),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov %esi, %edx; {CALL}", False, id="read by a move"),
        pytest.param(f"mov $LINE, %esi; {FILE}; mov %esi, (%rbx); {CALL}", False, id="read by a store"),
        pytest.param(f"mov $LINE, %esi; {FILE}; add %esi, %edx; {CALL}", False, id="read by a sum"),
        pytest.param(f"mov $LINE, %esi; {FILE}; jz 1f; nop; 1: {CALL}", False, id="a branch"),
        pytest.param(f"mov $LINE, %esi; mov $7, %esi; {FILE}; {CALL}", False, id="written again"),
        pytest.param(f"mov $LINE, %r14d; {FILE}; {CALL}", False, id="another register"),
        pytest.param(f"movl $LINE, -0x42(%rbx); {FILE}; {CALL}", False, id="looks like it: store"),
        pytest.param(f"mov LINE(%rsi), %edi; {FILE}; {CALL}", False, id="looks like it: load"),
        pytest.param(f"mov $LINE, %esi; mov $file + 9, %edi; {CALL}", False, id="no file"),
    ],
)
def test_a_constant_is_a_line_only_if_it_can_be_nothing_else(signed, code, masked):
    def of(line):
        return signed(ASSEMBLY.replace("CODE", code.replace("LINE", str(line))), "-mcmodel=kernel")

    assert (of(0x1234) == of(0x1235)) is masked


TAKES = """
    __attribute__((noipa)) void NAME(TYPES) { asm volatile("" : : PASSED); }
    int start(int a, int b) { if (a) NAME(ARGUMENTS); return b; }
"""


def takes(name, arguments):
    """A program that calls this function; each argument is as wide as a register."""
    given = arguments.split(", ")
    text = TAKES.replace("NAME", name).replace("ARGUMENTS", ", ".join(f"(long) {one}" for one in given))
    text = text.replace("TYPES", ", ".join(f"long a{at}" for at in range(len(given))))
    return text.replace("PASSED", ", ".join(f'"r"(a{at})' for at in range(len(given))))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("acpi_error", '"evgpe", LINE, "a format", OTHER'),
        ("acpi_ut_create_internal_object_dbg", '"exconvrt", LINE, OTHER, 1'),
        ("acpi_debug_print", 'OTHER, LINE, "acpi_ev_gpe", "evgpe", 2'),
        ("acpi_ut_trace", 'LINE, "acpi_ev_gpe", "evgpe", OTHER'),
        ("__validate_process_creds", 'OTHER, "kernel/cred.c", LINE'),
        ("__jbd2_debug", 'OTHER, "fs/jbd2/journal.c", "kjournald2", LINE, "a format"'),
        ("__ext4_error", 'OTHER, "ext4_evict_inode", LINE, 0'),
        ("_printk", '"\\0013%s:%d: bad pmd %lx\\n", "mm/pgtable.c", LINE, OTHER'),
        ("__warn_printk", '"RTNL: assertion failed at %s (%d)\\n", "net/core/dev.c", LINE, OTHER'),
        ("_printk", '"%*s at %%%s:%u\\n", OTHER, "", "net/core/dev.c", LINE'),
    ],
)
def test_the_line_that_a_function_takes_does_not_count(signed, name, arguments):
    def of(line, other="7"):
        given = arguments.replace("LINE", str(line)).replace("OTHER", other)
        return signed(takes(name, given), "-O2", *HIGH)

    assert of(100) == of(70000)
    assert of(100) != of(100, other="8")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("acpi_error", '"two words", LINE, "a format", 7', id="no name"),
        pytest.param("acpi_error", '"", LINE, "a format", 7', id="an empty name"),
        pytest.param(
            "_printk", '"%s: %s %d\\n", "net/core/dev.c", "a text", LINE', id="another text between"
        ),
        pytest.param("_printk", '"%s has %d\\n", "net/core/dev.c", LINE', id="a word between"),
        pytest.param("_printk", '"%s:%d\\n", "a name", LINE', id="no file"),
        pytest.param("_printk", '"%s:%s\\n", "net/core/dev.c", LINE', id="no number"),
        pytest.param("_printk", '"%s:%d\\n", 7, "net/core/dev.c", LINE', id="not where the format has it"),
    ],
)
def test_a_number_that_a_function_takes_is_no_line(signed, name, arguments):
    texts = [takes(name, arguments.replace("LINE", str(line))) for line in (100, 101)]
    assert signed(texts[0], "-O2", *HIGH) != signed(texts[1], "-O2", *HIGH)


def test_code_that_cannot_be_read_from_its_beginning_counts(signed):
    """A call that only the middle of another instruction shows is none."""
    hidden = ".byte 0x48, 0xb8; mov $LINE, %esi; .byte 0, 0, 0; mov $LINE, %esi; mov $file, %edi; " + CALL
    texts = [ASSEMBLY.replace("CODE", hidden.replace("LINE", str(line))) for line in (0x1234, 0x1235)]
    assert signed(texts[0], "-mcmodel=kernel") != signed(texts[1], "-mcmodel=kernel")


def test_code_of_another_machine_counts(tmp_path, signed):
    """The same bytes in a file that says it is for an ARM."""

    def other(line):
        signed(sleeps(line), "-O2")
        elf = max(tmp_path.glob("vmlinux*"), key=lambda path: path.stat().st_mtime_ns)
        image = bytearray(elf.read_bytes())
        image[18:20] = (183).to_bytes(2, "little")
        elf.write_bytes(image)
        return signature.of_vmlinux(elf)

    assert other(100) != other(101)


UBSAN = """
    void __ubsan_handle_out_of_bounds(void *data, void *index) { asm volatile("" : : "r"(data), "r"(index)); }
    int values[VALUES];
    BEFORE
    int start(int i, int b) { return values[i] CODE; }
"""


def test_the_place_of_a_check_by_ubsan_does_not_count(signed):
    def of(before="", code="", values="8", name='# 1 "fs/pipe.c"\n'):
        text = UBSAN.replace("BEFORE", before).replace("CODE", code).replace("VALUES", values)
        options = ("-fsanitize=bounds", "-O2", *HIGH)
        return signed(f"{name}{text}", *options)

    plain = of()
    assert of(before="\n\n\n") == plain
    assert of(before="/* moves the line */", code="   ") == plain
    assert of(code="+ 1") != plain
    assert of(values="9") != plain
    assert of(name='# 1 "fs/pope.c"\n') != plain
    assert of(name='# 1 "nothing"\n') != of(name='# 1 "nothing"\n', before="\n")


def test_the_place_of_a_variable_that_kasan_watches_does_not_count(signed):
    def of(before="", size="8", value="1"):
        text = f"""# 1 "fs/pipe.c"
            void __asan_register_globals(void *globals, unsigned long count)
            {{ asm volatile("" : : "r"(globals), "r"(count)); }}
            void __asan_unregister_globals(void *globals, unsigned long count)
            {{ asm volatile("" : : "r"(globals), "r"(count)); }}
            void __asan_version_mismatch_check_v8(void) {{}}
            void __asan_init(void) {{}}
            {before}
            int first[{size}] = {{ {value} }}, second = 2;
            int *start(void) {{ return first; }}
        """
        options = ("-fsanitize=kernel-address", "--param", "asan-globals=1", "-O2", *HIGH)
        return signed(text, *options)

    plain = of()
    assert of(before="\n\n") == plain
    assert of(value="3") != plain
    assert of(size="9") != plain
