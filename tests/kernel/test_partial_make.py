"""Which directories make enters: told from .cmd files and makefiles, and obeyed by a real make."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from pytest_kbisect.kernel import partial_make
from pytest_kbisect.kernel.output import MARKER
from pytest_kbisect.kernel.sources import Sources
from pytest_kbisect.kernel.tree import Change

COMPILED = {
    "init/main.o": ["init/main.c", "include/linux/kernel.h"],
    "mm/slub.o": ["mm/slub.c", "include/linux/slub.h", "include/linux/kernel.h"],
    "fs/proc/array.o": ["fs/proc/array.c", "include/linux/slub.h"],
    "fs/xfs/xfs_log.o": ["fs/xfs/xfs_log.c"],
    "fs/xfs/libxfs/xfs_ag.o": ["fs/xfs/libxfs/xfs_ag.c"],
    "virt/kvm/kvm_main.o": ["virt/kvm/kvm_main.c"],
    "lib/crc32.o": ["lib/crc32.c"],
    "block/blk-mq.o": ["block/blk-mq.c", "block/blk-stat.h"],
    "block/partitions/core.o": ["block/partitions/core.c", "block/partitions/../blk-stat.h"],
    "block/other.o": ["block/other.c", "include/net/blk-stat.h"],
    "lib/oid.o": ["lib/oid.c"],
    "arch/x86/kernel/asm-offsets.s": ["arch/x86/kernel/asm-offsets.c", "include/linux/offsets.h"],
    "arch/x86/boot/main.o": ["arch/x86/boot/main.c", "include/linux/boot.h"],
    "crypto/asn1.o": ["crypto/asn1.c", "include/linux/oid.h"],
    "security/lsm.o": ["security/lsm.c", "include/linux/lsm.h"],
    "sound/core.o": ["sound/core.c"],
    "scripts/mod/modpost.o": ["scripts/mod/modpost.c"],
}
GENERATED = {
    "lib/crc32.o": ["lib/crc32table.h", "include/generated/utsrelease.h"],
    "security/lsm.o": ["security/../sound/names.h"],
}
MODULES = {"fs/xfs/libxfs/xfs_ag.o": "fs/xfs/xfs", "virt/kvm/kvm_main.o": "arch/x86/kvm/kvm"}
DESCENDED = (
    *(
        "init",
        "mm",
        "fs",
        "fs/proc",
        "fs/xfs",
        "lib",
        "crypto",
        "security",
        "sound",
        "block",
        "block/partitions",
    ),
    *("arch/x86", "arch/x86/kernel", "arch/x86/kvm"),
)
ALWAYS = {".", "init", "usr", "certs"}


@pytest.fixture
def built(tmp_path):
    """A tree and its O= folder, as a build leaves them."""
    tree = tmp_path / "tree"
    output = tree / ".obj"
    for target, paths in COMPILED.items():
        folder, _, name = target.rpartition("/")
        lines = [f"  ../{path} \\" for path in paths] + [f"  {path} \\" for path in GENERATED.get(target, ())]
        module = f"-DKBUILD_MODFILE='\"{MODULES[target]}\"' " if target in MODULES else ""
        text = f"cmd_{target} := gcc {module}-o {target}\n\ndeps_{target} := \\\n" + "\n".join(lines) + "\n"
        (output / folder).mkdir(parents=True, exist_ok=True)
        (output / folder / f".{name}.cmd").write_text(text)
        (tree / folder).mkdir(parents=True, exist_ok=True)
        (tree / folder / "Makefile").write_text(f"obj-y += {name}\n")
    for folder in DESCENDED:
        (output / folder).mkdir(parents=True, exist_ok=True)
        (output / folder / "built-in.a").touch()
    (tree / "lib/Makefile").write_text("$(obj)/oid_data.c: $(srctree)/include/linux/oid.h\n")
    (output / ".config").write_text("CONFIG_64BIT=y\n")
    return tree, output


@pytest.fixture
def enter(built):
    counts = {path: 1 for paths in COMPILED.values() for path in paths} | {"lib/Kconfig": 1}

    def enter(*paths, in_place=True):
        changes = [Change(path, in_place) for path in paths]
        found = partial_make.directories(*built, Sources(counts, "x86"), changes)
        return None if found is None else set(found) - ALWAYS

    return enter


@pytest.mark.parametrize(
    ("changed", "entered"),
    [
        (["mm/slub.c"], {"mm"}),
        (["include/linux/slub.h"], {"mm", "fs", "fs/proc"}),
        (["mm/slub.c", "fs/proc/array.c"], {"mm", "fs", "fs/proc"}),
        # its makefile is that of another directory
        (["fs/xfs/libxfs/xfs_ag.c"], {"fs", "fs/xfs"}),
        (["virt/kvm/kvm_main.c"], {"arch", "arch/x86", "arch/x86/kvm"}),
        (["block/blk-stat.h"], {"block", "block/partitions"}),
        (["include/net/blk-stat.h"], {"block"}),
        # named by a makefile, read by a script
        (["include/linux/oid.h"], {"crypto", "lib"}),
        # is made by a rule of its own, whatever is entered
        (["arch/x86/boot/main.c", "include/linux/boot.h"], set()),
        # was not read
        (["Documentation/index.rst", "drivers/gpu/unused.c"], set()),
        ([], set()),
    ],
)
def test_directories_of_changed_files_and_of_what_reads_them_are_entered(enter, changed, entered):
    assert enter(*changed) == entered


@pytest.mark.parametrize(
    "changed",
    [
        "lib/Kconfig",
        "mm/Makefile",
        "arch/x86/entry/syscalls/syscall_64.tbl",
        "scripts/mod/modpost.c",
        "scripts/unlisted.c",
        # a header is made of it
        "include/linux/offsets.h",
        "arch/x86/kernel/asm-offsets.c",
        # sound/names.h, which may be made of it, is read in security/
        "sound/core.c",
    ],
)
def test_all_are_entered_for_what_no_list_tells(enter, changed):
    assert enter(changed) is None


def test_all_are_entered_for_a_file_that_came_or_went(enter):
    assert enter("mm/slub.c", in_place=False) is None


@pytest.mark.parametrize(
    "line", ["CONFIG_IKHEADERS=y", "CONFIG_TRIM_UNUSED_KSYMS=y", 'CONFIG_EXTRA_FIRMWARE="a.fw"']
)
def test_all_are_entered_where_scripts_read_what_nobody_lists(built, enter, line):
    (built[1] / ".config").write_text(f"CONFIG_64BIT=y\n{line}\n")
    assert enter("mm/slub.c") is None
    (built[1] / ".config").write_text('CONFIG_EXTRA_FIRMWARE=""\n# CONFIG_IKHEADERS is not set\n')
    assert enter("mm/slub.c") is not None


def test_all_are_entered_where_nothing_is_known(built):
    assert partial_make.directories(*built, Sources({}, ""), []) is None


# As kbuild descends: from "." on, each directory a make of its own.
KBUILD = """\
all:
	@mkdir -p include/config include/generated arch/x86/include/generated
	@touch -d @1 include/config/auto.conf
	@if [ -n "$(NEW)" ]; then touch include/generated/new.h; fi
	@$(MAKE) -f kbuild.mk obj=. need-builtin=1
	@$(MAKE) -f kbuild.mk obj=arch/boot image
"""
DIRECTORY = """\
.:
mm fs fs/proc fs/xfs arch/boot:
obj-. := mm fs
obj-fs := fs/proc fs/xfs
down: ; @echo $(obj)$(foreach d,$(obj-$(obj)),&& $(MAKE) -f kbuild.mk obj=$d need-builtin=1)
image: ; @echo $(obj)
.DEFAULT_GOAL := down
"""


@pytest.fixture
def make(tmp_path):
    """Call make in an O= folder, and get the directories that it entered."""
    output = tmp_path / ".obj"
    output.mkdir()
    (output / "Makefile").write_text(KBUILD)
    (output / "kbuild.mk").write_text(DIRECTORY)
    (output / MARKER).touch()

    def make(entered, *words):
        inherited = os.environ | {"obj": "inherited", "descends": "inherited"}
        env = partial_make.prepare(tmp_path / "cache", output, entered, inherited)
        command = ["make", "-s", "--no-print-directory", "MAKE=make", *words]
        done = subprocess.run(command, cwd=output, env=env, check=True, capture_output=True, text=True)
        assert not done.stderr
        return done.stdout.split()

    return make


def test_make_enters_these_and_no_other(make):
    assert make(frozenset({".", "fs", "fs/proc"})) == [".", "fs", "fs/proc", "arch/boot"]
    assert make(frozenset({"."})) == [".", "arch/boot"]
    assert make(None) == [".", "mm", "fs", "fs/proc", "fs/xfs", "arch/boot"]


def test_make_enters_all_for_a_new_generated_header(make):
    time.sleep(0.02)  # times of files have the kernel's ticks
    assert make(frozenset({"."}), "NEW=yes") == [".", "mm", "fs", "fs/proc", "fs/xfs", "arch/boot"]
