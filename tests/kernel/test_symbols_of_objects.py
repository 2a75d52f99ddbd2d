"""Symbols of a few objects, made from an O= folder in which compiler and linker left what kbuild leaves."""

from __future__ import annotations

import os
import subprocess

import pytest

from pytest_kbisect.crash.symbolize import symbolize
from pytest_kbisect.errors import HostError
from pytest_kbisect.kernel import symbols, toolchain

SOURCES = {
    "net/one.c": """\
static int hidden(int a)
{
	return a + *(volatile int *)8;
}

static int same_name(void) { return hidden(1); }

int one(void)
{
	return same_name() + hidden(2) +
		hidden(3);
}
""",
    "net/two.c": """\
extern int one(void);
int data = 5;

__attribute__((noinline)) static int same_name(void) { return one() + data; }

__attribute__((section(".init.text"))) int begin(void) { return same_name(); }

int two(void) { return same_name() + begin(); }
""",
    "net/three.c": "int three(void) { return 3; }\n",
}


@pytest.fixture
def vmlinux(tmp_path):
    tree = tmp_path / "tree"
    output = tree / ".obj-1"
    objects = []
    for name, text in SOURCES.items():
        source = tree / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        at = (output / name).with_suffix(".o")
        at.parent.mkdir(parents=True, exist_ok=True)
        inside = at.relative_to(output)
        command = f"gcc -Wp,-MMD,{at.parent}/.{at.stem}.o.d -O2 -ffreestanding -c -DNAME='\"{at.stem}\"' -o {inside} ../{name}"
        subprocess.run(command, shell=True, cwd=output, check=True)
        cmd = (
            f"cmd_{inside} := {command} ; ./tools/objtool/objtool {inside}\n\nsource_{inside} := ../{name}\n"
        )
        (at.parent / f".{at.name}.cmd").write_text(cmd)
        objects.append(str(inside))
    subprocess.run(["ld", "-r", "-o", "net/built.o", *objects], cwd=output, check=True)
    place = ["-Ttext=0xffffffff81000000", "--section-start=.init.text=0xffffffff82000000"]
    subprocess.run(["ld", "-e", "0", *place, "-o", "vmlinux", *objects], cwd=output, check=True)
    return output / "vmlinux"


@pytest.fixture
def make(vmlinux, tmp_path):
    def make(functions):
        return symbols.link(
            vmlinux, functions, tmp_path / "work", dict(os.environ), tools=toolchain.find(), jobs=2
        )

    return make


def addresses(elf):
    output = subprocess.run(["nm", "-S", elf], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in output.splitlines()]
    return {(row[3], row[0], row[1]) for row in rows if len(row) == 4 and row[2] in "tT"}


def test_functions_are_where_the_kernel_has_them(vmlinux, make):
    made = make({"two"})
    assert addresses(made) < addresses(vmlinux)
    assert {name for name, _, _ in addresses(made)} == {"two", "begin", "same_name"}


def test_a_report_gets_lines_of_the_tree_and_inlined_functions(vmlinux, make):
    size = next(int(size, 16) for name, _, size in addresses(vmlinux) if name == "one")
    report = f"Call Trace:\n one+0x8/{size:#x}\n three+0x1/0x6\n"
    functions = symbols.functions_in(report)
    assert functions == {"one", "three"}
    done = symbolize(report, make(functions))
    assert done.done
    assert " hidden net/one.c:3 [inline]" in done.report
    assert " one+0x8" in done.report
    assert "net/three.c:1" in done.report


def test_the_build_is_as_it_was(vmlinux, make):
    before = {path: path.stat().st_mtime_ns for path in vmlinux.parent.rglob("*")}
    make({"one", "two"})
    assert {path: path.stat().st_mtime_ns for path in vmlinux.parent.rglob("*")} == before


def test_code_that_came_out_otherwise_is_left_out(vmlinux, make):
    source = vmlinux.parent.parent / "net/one.c"
    source.write_text(SOURCES["net/one.c"].replace("hidden(3);", "hidden(3) * hidden(77);"))
    assert {name for name, _, _ in addresses(make({"one", "two"}))} == {"two", "begin", "same_name"}


def test_functions_that_no_object_has_are_an_error(make):
    with pytest.raises(HostError, match="no object"):
        make({"elsewhere"})
