"""What counts for the signature of an ELF file, and what does not."""

from __future__ import annotations

import hashlib
import subprocess

import pytest

from pytest_kbisect.arch import DEFAULT
from pytest_kbisect.kernel import config, provide, signature, toolchain
from pytest_kbisect.kernel.rules import BuildRules

SOURCE = "int answer = 42; int zeros[100]; void start(void) { for (;;) answer++; }\n"


@pytest.fixture
def link(tmp_path):
    count = 0

    def link(source, *flags):
        nonlocal count
        count += 1
        elf = tmp_path / f"vmlinux{count}"
        command = ["gcc", "-xc", "-nostdlib", "-static", "-Wl,-e,start", *flags, "-o", elf, "-"]
        subprocess.run(command, input=source.encode(), check=True, cwd=tmp_path)
        return signature.of_vmlinux(elf)

    return link


def test_a_signature_is_64_hex_digits(link):
    assert len(link(SOURCE)) == 64
    assert int(link(SOURCE), 16)


def test_neither_debug_information_nor_symbols_nor_notes_count(link):
    plain = link(SOURCE)
    assert link(f"/* a comment */\n\n\n{SOURCE}", "-g") == plain
    assert link(SOURCE, "-s") == plain
    assert link(SOURCE, "-Wl,--build-id=0x1234") == link(SOURCE, "-Wl,--build-id=0x5678")


def test_code_and_data_count(link):
    plain = link(SOURCE)
    assert link(SOURCE.replace("42", "43")) != plain
    assert link(SOURCE.replace("++", "--")) != plain


def test_a_line_number_in_the_data_counts(link):
    source = "int line = __LINE__; void start(void) { for (;;) line++; }\n"
    assert link(f"\n{source}") != link(source)


def test_a_kernel_with_a_signature_of_another_format_is_not_taken(monkeypatch):
    tools = toolchain.Toolchain("gcc", "gcc 12", "", DEFAULT)
    rules = BuildRules(store_limit=1 << 30)
    keys = [provide.key_of("f" * 40, config.request(), tools, rules)]
    monkeypatch.setattr(signature, "FORMAT", signature.FORMAT + 1)
    assert provide.key_of("f" * 40, config.request(), tools, rules) not in keys


def test_the_formula_is_that_of_syzkaller(tmp_path, link):
    link(SOURCE)
    elf = tmp_path / "vmlinux1"
    digests = b""
    for section in (".text", ".eh_frame", ".data"):
        part = tmp_path / "part"
        subprocess.run(["objcopy", "-O", "binary", "-j", section, elf, part], check=True)
        digests += hashlib.sha256(part.read_bytes()).digest()
    assert signature.of_vmlinux(elf) == hashlib.sha256(digests).hexdigest()
