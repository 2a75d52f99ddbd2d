"""Reports with file:line, by a small program that stands in for a kernel."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pytest_kbisect.crash.disassembly import disassemble
from pytest_kbisect.crash.symbolize import symbolize

SOURCE = """static volatile int sink;
static inline __attribute__((always_inline)) void inner(int x) {
    sink += x;
    sink *= x;
}
__attribute__((noinline)) int outer(int x) {
    inner(x);
    return sink;
}
int start_kernel(void) { return outer(3); }
int main(void) { return start_kernel(); }
"""

needs_compiler = pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("nm")), reason="needs gcc and binutils"
)


def build(folder, *options):
    (folder / "init").mkdir(exist_ok=True)
    source = folder / "init" / "main.c"
    source.write_text(SOURCE)
    image = folder / "vmlinux"
    subprocess.run(["gcc", "-O1", "-fcf-protection=none", *options, "-o", image, source], check=True)
    return image


def size_of(image, name):
    listing = subprocess.run(["nm", "-S", image], check=True, capture_output=True, text=True).stdout
    return next(int(line.split()[1], 16) for line in listing.splitlines() if line.endswith(f" {name}"))


@needs_compiler
@pytest.mark.parametrize("hidden", [(), ("llvm-symbolizer",), ("llvm-symbolizer", "addr2line")])
def test_lines_and_inlined_functions(tmp_path, monkeypatch, hidden):
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if name in hidden else which(name, **more))
    image = build(tmp_path, "-g")
    size = size_of(image, "outer")
    text = f"WARNING: something\nCall Trace:\n outer+{size - 1:#x}/{size:#x}\n elsewhere+0x1/0x2\n"
    result = symbolize(text, image)
    assert result.done
    lines = result.report.split("\n")
    assert lines[-2] == " elsewhere+0x1/0x2"
    assert f" outer+{size - 1:#x}/{size:#x} init/main.c:" in result.report
    result = symbolize(f"Call Trace:\n outer+0x8/{size:#x}\n", image)
    assert result.done
    if len(hidden) < 2:  # pyelftools' line tables do not know of inlining
        assert " inner init/main.c:" in result.report
        assert "[inline]" in result.report


@needs_compiler
def test_another_kernels_report_stays_as_it_is(tmp_path):
    image = build(tmp_path, "-g")
    text = "Call Trace:\n outer+0x8/0x999\n"
    result = symbolize(text, image)
    assert not result.done
    assert result.report == text


@needs_compiler
def test_no_debug_information(tmp_path):
    image = build(tmp_path)
    size = size_of(image, "outer")
    text = f" outer+0x8/{size:#x}\n"
    result = symbolize(text, image)
    assert not result.done
    assert result.report == text
    assert "CONFIG_DEBUG_INFO" in result.note


@pytest.mark.skipif(not shutil.which("objdump"), reason="needs objdump")
def test_code():
    lines = disassemble("Code: 45 31 ed eb 9f 90 <0f> 0b 83 f8 07")
    (trapped,) = [line for line in lines if line.startswith("*")]
    assert "ud2" in trapped
    assert disassemble("Code: Bad RIP value.") == []
