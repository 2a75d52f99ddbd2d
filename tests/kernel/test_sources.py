"""What counts as read, and what can be known not to be."""

from __future__ import annotations

import os
import resource

import pytest

from pytest_kbisect.kernel import sources
from pytest_kbisect.kernel.sources import Sources
from pytest_kbisect.kernel.tree import Change

READ = Sources(
    {
        "init/main.c": 1,
        "include/linux/kernel.h": 900,
        "arch/x86/entry/entry_64.S": 1,
        "lib/crc32.c": 1,
        "drivers/net/Kconfig": 1,
        "Documentation/Kconfig": 1,
    },
    "x86",
)


@pytest.mark.parametrize(
    "path",
    [
        "init/main.c",
        "include/linux/kernel.h",
        "drivers/net/Kconfig",
        "Documentation/Kconfig",
        # not compiled, so nobody lists them
        "Makefile",
        "drivers/gpu/Makefile",
        "lib/Kconfig.new",
        "arch/x86/entry/syscalls/syscall_64.tbl",
        "arch/x86/configs/tiny.config",
        "kernel/time/timeconst.bc",
        "drivers/tty/vt/defkeymap.c_shipped",
        "arch/Kconfig",
        # programs and tools that a build runs
        "scripts/any.c",
        "scripts/mod/modpost.c",
        "certs/extract-cert.c",
        "usr/gen_init_cpio.c",
        "tools/objtool/check.c",
        "tools/include/linux/list.h",
    ],
)
def test_a_change_matters_where_it_was_read_or_nobody_lists_it(path):
    assert READ.matters(Change(path, in_place=True))
    assert READ.matters(Change(path, in_place=False))


@pytest.mark.parametrize(
    "path",
    [
        "drivers/gpu/drm/drm_drv.c",
        "arch/x86/kernel/unused.S",
        "arch/arm64/kernel/setup.c",
        "arch/arm64/Kconfig",
        "arch/arm64/boot/dts/a.dts",
        "Documentation/process/howto.rst",
        "Documentation/Makefile",
        "tools/perf/Makefile",
        "tools/testing/selftests/run.sh",
        "MAINTAINERS",
        "drivers/net/.gitignore",
        "lib/README",
        "scripts/checkpatch.pl",
    ],
)
def test_a_change_of_what_no_build_reads_does_not_matter(path):
    assert not READ.matters(Change(path, in_place=True))
    assert not READ.matters(Change(path, in_place=False))


def test_a_header_of_the_searched_folders_matters_when_it_comes_or_goes():
    for path in ("include/linux/new.h", "arch/x86/include/asm/new.h"):
        assert not READ.matters(Change(path, in_place=True))
        assert READ.matters(Change(path, in_place=False))


@pytest.mark.parametrize(
    "path", ["lib/kernel.h", "drivers/net/main.c", "arch/x86/entry/entry_64.c", "lib/crc32.S"]
)
def test_a_file_that_could_hide_one_that_was_read(path):
    assert READ.matters(Change(path, in_place=False))
    assert not READ.matters(Change(path, in_place=True))


def test_cost_is_in_targets():
    changes = [
        Change(path, in_place=True)
        for path in ("include/linux/kernel.h", "lib/crc32.c", "Makefile", "MAINTAINERS")
    ]
    assert READ.cost(changes) == 900 + 1 + 1


def test_a_file_holds_it(tmp_path):
    sources.write(READ, tmp_path / "sources")
    assert sources.read(tmp_path / "sources") == READ
    assert sources.read(tmp_path / "missing") == Sources({}, "")


def test_half_a_file_holds_nothing(tmp_path):
    path = tmp_path / "sources"
    sources.write(READ, path)
    text = path.read_text()
    for cut in range(len(text)):
        path.write_text(text[:cut])
        assert sources.read(path) == Sources({}, ""), text[:cut]
    path.write_text(text.removesuffix("end\n"))  # as the store has them from before
    assert sources.read(path, whole=True) == READ


def test_a_full_disk_leaves_the_list_that_was_there(tmp_path):
    path = tmp_path / "sources"
    sources.write(READ, path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            sources.write(Sources({f"drivers/net/{n}.c": 1 for n in range(1000)}, "x86"), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sources.read(path) == READ


def test_collected_from_what_kbuild_writes(tmp_path):
    tree, output = tmp_path / "tree", tmp_path / "tree/.obj-1"
    (output / "init").mkdir(parents=True)
    (output / "include/config").mkdir(parents=True)
    (output / "tools/objtool").mkdir(parents=True)
    (output / "init/.main.o.cmd").write_text(
        "cmd_init/main.o := gcc -Wp,-MMD,init/.main.o.d -c -o init/main.o ../init/main.c\n\n"
        "source_init/main.o := ../init/main.c\n\n"
        "deps_init/main.o := \\\n"
        "    $(wildcard include/config/SMP) \\\n"
        "  ../include/linux/kernel.h \\\n"
        "  ../lib/../include/linux/list.h \\\n"
        "  include/generated/bounds.h \\\n"
        "  /usr/include/stdio.h \\\n\n"
        "init/main.o: $(deps_init/main.o)\n"
    )
    (output / "init/.version.o.cmd").write_text(
        "savedcmd_init/version.o := gcc\n\nsource_init/version.o := ../init/version.c\n\n"
        "deps_init/version.o := \\\n  ../include/linux/kernel.h \\\n"
    )
    (output / "tools/objtool/.check.o.cmd").write_text(
        f"source_{output}/check.o := check.c\n\ndeps_{output}/check.o := \\\n"
        f"  {tree}/tools/include/linux/list.h \\\n  {output}/generated.h \\\n"
    )
    (output / "include/config/auto.conf.cmd").write_text(
        "deps_config := \\\n\tlib/Kconfig \\\n\tKconfig \\\n\ninclude/config/auto.conf: $(deps_config)\n"
    )
    kept = output / "kept"
    found = sources.collect(tree, output, "x86", kept)
    assert sources.read(kept) == found
    assert found == Sources(
        {
            "init/main.c": 1,
            "init/version.c": 1,
            "include/linux/kernel.h": 2,
            "include/linux/list.h": 1,
            "tools/include/linux/list.h": 1,
            "lib/Kconfig": 1,
            "Kconfig": 1,
        },
        "x86",
    )
    # The next build compiles one file again, which reads other headers now.
    (output / "init/.version.o.cmd").write_text(
        "source_init/version.o := ../init/version.c\n\ndeps_init/version.o := \\\n  ../include/linux/new.h \\\n"
    )
    (output / "init/.main.o.cmd").write_text("not read again\n")
    os.utime(output / "init/.main.o.cmd", (1, 1))
    again = sources.collect(tree, output, "x86", kept)
    assert again.targets == found.targets | {"include/linux/new.h": 1}


def test_nothing_is_known_of_a_build_that_left_no_lists(tmp_path):
    (tmp_path / ".obj-1").mkdir()
    found = sources.collect(tmp_path, tmp_path / ".obj-1", "x86", tmp_path / "kept")
    assert found.targets == {}
    assert sources.read(tmp_path / "kept").targets == {}
