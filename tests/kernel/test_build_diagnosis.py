"""The lines of a failed make that a person wants to read."""

from __future__ import annotations

import pytest

from pytest_kbisect.kernel import diagnosis

NOISE = ["  CC      mm/slub.o", "make[1]: *** Waiting for unfinished jobs....", "  LD      vmlinux"]


@pytest.mark.parametrize(
    "line",
    [
        "../net/core/skbuff.c:12:3: error: expected ';' before 'return'",
        "../include/linux/x.h:3:10: fatal error: linux/y.h: No such file or directory",
        "mm/slub.c:12: undefined reference to `kfree_bulk'",
        "ld: mm/b.o: in function `f': b.c:(.text+0x0): multiple definition of `f'; mm/a.o: first defined here",
        "arch/x86/entry/entry_64.S:100: Error: no such instruction: `foo'",
        "make[2]: *** No rule to make target 'mm/gone.o', needed by 'mm/built-in.a'.  Stop.",
        'ERROR: modpost: "foo" [drivers/bar.ko] undefined!',
        "net/Kconfig:7: syntax error",
        "BTFIDS  vmlinux: FAILED unresolved symbol udp_sock",
        "../Makefile:12: *** missing separator.  Stop.",
        "error[E0425]: cannot find value `x` in this scope",
    ],
)
def test_a_strong_line_is_the_cause(line):
    cause = diagnosis.root_cause([*NOISE, line, "make: *** [Makefile:1: all] Error 2", *NOISE])
    assert cause == (line,)


def test_weak_lines_only_without_strong_ones():
    lines = [*NOISE, "collect2: error: ld returned 1 exit status", "make: *** [Makefile:1: vmlinux] Error 1"]
    assert diagnosis.root_cause(lines) == (lines[-2], lines[-1])


def test_warnings_are_no_cause():
    assert diagnosis.root_cause(["a.c:1:2: warning: unused variable 'error_code' [-Wunused]"]) == ()


def test_each_line_once_prefixes_and_curly_quotes_removed_and_no_more_than_twenty():
    lines = [f"/slot/tree/a.c:{n}:1: error: \u2018x\u2019 undeclared" for n in range(40) for _ in "ab"]
    cause = diagnosis.root_cause(lines, ["/slot/tree/"])
    assert len(cause) == 20
    assert cause[0] == "a.c:0:1: error: 'x' undeclared"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gcc: fatal error: Killed signal terminated program cc1", "found no memory"),
        ("Killed", "found no memory"),
        ("scripts/link-vmlinux.sh: line 55:  8434 Killed                  ${ld} -o ${output}", "no memory"),
        ("make[1]: *** [../Makefile:1: vmlinux] Error 137", "found no memory"),
        ("make[2]: *** [../scripts/Makefile.build:250: mm/slub.o] Killed", "found no memory"),
        ("cc1: out of memory allocating 65536 bytes after a total of 1 bytes", "found no memory"),
        ("fatal error: error writing to /tmp/x.s: No space left on device", "the disk is full"),
        (
            "scripts/sorttable.c:1:10: fatal error: libelf.h: No such file or directory",
            "apt-get install libelf-dev",
        ),
        ("/bin/sh: 1: lz4: not found", "apt-get install lz4"),
        ("/bin/sh: line 1: bc: command not found", "apt-get install bc"),
        ("/bin/sh: 1: xz: not found", "apt-get install xz-utils"),
        # rustc, of a program for the host and of a library of macros
        ("  = note: /usr/bin/ld: final link failed: No space left on device", "disk is full"),
        ("          collect2: fatal error: ld terminated with signal 9 [Killed]", "killed"),
        ("  = note: x86_64-linux-gnu-ld.bfd: x.so: final close failed: Disk quota exceeded", "disk is full"),
    ],
)
def test_the_host_is_to_blame(line, words):
    assert words in diagnosis.host_trouble([*NOISE, line])


def test_the_commit_is_to_blame():
    assert not diagnosis.host_trouble([*NOISE, "a.c:1:1: error: 'Killed' undeclared"])


@pytest.mark.parametrize(
    "quoted",
    [
        '  346 |                 dev_er(dev, "Cannot allocate memory for pdata\\n");',
        '12346 |                 dev_er(dev, "Cannot allocate memory for pdata\\n");',
        '   dev_er(dev, "No space left on device\\n");',
    ],
)
def test_a_source_that_the_compiler_quotes_is_not_the_hosts_word(quoted):
    error = "../drivers/a.c:346:17: error: implicit declaration of function 'dev_er'"
    assert not diagnosis.host_trouble([*NOISE, error, quoted, "      |                 ^~~~~~"])


def test_sources_named_in_a_cause():
    cause = (
        "../net/a.c:1:2: error: x",
        "include/b.h:3:1: error: y",
        "ld: net/a.o: undefined reference to `z'",
    )
    assert diagnosis.sources_in(cause) == ("net/a.c", "include/b.h")
