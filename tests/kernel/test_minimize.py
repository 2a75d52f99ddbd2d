"""A small configuration of a whole one: Makefiles of Linux, conditions, detectors, groups, what is kept."""

# ruff: noqa: E101 - Makefiles and C are indented with tabs

from __future__ import annotations

import random

import pytest

from pytest_kbisect.guest import executed
from pytest_kbisect.kernel import config
from pytest_kbisect.kernel.dependencies import Kconfig
from pytest_kbisect.kernel.minimize import (
    conditionals,
    defining,
    detectors,
    gates,
    halving_groups,
    kept,
    makefiles,
    place,
    shrink,
)

# Of Linux 6.1, shortened; net/sched/Makefile is of 6.12.
TREE = {
    "Kbuild": """\
# Ordinary directory descending
obj-y			+= arch/$(SRCARCH)/
obj-y			+= $(ARCH_CORE)
obj-y			+= kernel/
obj-y			+= fs/
obj-$(CONFIG_BLOCK)	+= block/
obj-y			+= $(ARCH_LIB)
obj-y			+= drivers/
obj-$(CONFIG_NET)	+= net/
obj-y			+= $(ARCH_DRIVERS)
""",
    "Makefile": """\
VERSION = 6
ifeq ($(KBUILD_EXTMOD),)
core-y		:=
drivers-y	:=
endif
vmlinux: scripts/link-vmlinux.sh FORCE
	+$(call if_changed_dep,link-vmlinux)
""",
    "arch/x86/Makefile": """\
ifeq ($(CONFIG_X86_32),y)
        BITS := 32
else
        BITS := 64
endif
libs-y  += arch/x86/lib/
# drivers-y are linked after core-y
drivers-$(CONFIG_MATH_EMULATION) += arch/x86/math-emu/
drivers-$(CONFIG_PCI)            += arch/x86/pci/
# suspend and hibernation support
drivers-$(CONFIG_PM) += arch/x86/power/
""",
    "arch/x86/Kbuild": """\
obj-y += kernel/
obj-$(CONFIG_KVM) += kvm/
# Hyper-V paravirtualization support
obj-$(subst m,y,$(CONFIG_HYPERV)) += hyperv/
""",
    "arch/x86/pci/Makefile": "obj-y		:= i386.o init.o\nobj-$(CONFIG_PCI_DIRECT)	+= direct.o\n",
    "arch/x86/hyperv/Makefile": "obj-y			:= hv_init.o mmu.o nested.o\n",
    "arch/x86/kernel/Makefile": "obj-y += process.o\n",
    "arch/x86/lib/Makefile": "lib-y := delay.o misc.o\n",
    "kernel/Makefile": """\
obj-y     = fork.o exec_domain.o panic.o \\
	    cpu.o exit.o softirq.o
obj-$(CONFIG_MODULES) += kmod.o
ifdef CONFIG_FUNCTION_TRACER
# Do not trace internal ftrace files
CFLAGS_REMOVE_irq_work.o = $(CC_FLAGS_FTRACE)
obj-y += traced.o
endif
obj-y += sched/
""",
    "kernel/sched/Makefile": "obj-y += core.o\nobj-$(CONFIG_SMP) += cpupri.o\n",
    "fs/Makefile": "obj-$(CONFIG_XFS_FS)		+= xfs/\nobj-$(CONFIG_PROC_FS)		+= proc/\n",
    "fs/xfs/Makefile": """\
ccflags-y += -I $(srctree)/$(src)		# needed for trace events
obj-$(CONFIG_XFS_FS)		+= xfs.o
# this one should be compiled first, as the tracing macros can easily blow up
xfs-y				+= xfs_trace.o
xfs-y				+= $(addprefix libxfs/, \\
				   xfs_ag.o \\
				   xfs_alloc.o \\
				   )
# xfs_rtbitmap is shared with libxfs
xfs-$(CONFIG_XFS_RT)		+= $(addprefix libxfs/, \\
				   xfs_rtbitmap.o \\
				   )
""",
    "fs/proc/Makefile": """\
obj-y   += proc.o
proc-y			:= nommu.o task_nommu.o
proc-$(CONFIG_MMU)	:= task_mmu.o
proc-y       += inode.o root.o
""",
    "drivers/Makefile": "obj-y				+= tty/\n",
    "drivers/tty/Makefile": "obj-$(CONFIG_TTY)		+= tty_io.o\nobj-$(CONFIG_N_HDLC)		+= n_hdlc.o\n",
    "net/Makefile": "obj-y				:= devres.o socket.o core/\nobj-y				+= ethernet/ 802/ sched/ netlink/\n",
    "net/sched/Makefile": """\
obj-y	:= sch_generic.o sch_mq.o
obj-$(CONFIG_NET_SCHED)		+= sch_api.o sch_blackhole.o
obj-$(CONFIG_NET_SCH_TBF)	+= sch_tbf.o
ifeq ($(CONFIG_NET_SCHED)$(CONFIG_INET),yy)
obj-y += both.o
endif
""",
}
ON = frozenset(
    [
        "NET",
        "NET_SCHED",
        "NET_SCH_TBF",
        "INET",
        "PCI",
        "PCI_DIRECT",
        "XFS_FS",
        "XFS_RT",
        "PROC_FS",
        "MMU",
        "TTY",
        "N_HDLC",
        "SMP",
        "HYPERV",
    ]
)


def ways(path, on=ON):
    found = gates.of_tree(TREE.get, "x86", on)
    return {tuple(sorted(one)) for one in found.get(path, ())}


@pytest.mark.parametrize(
    ("path", "symbols"),
    [
        ("kernel/fork.o", ()),
        ("kernel/sched/cpupri.o", ("SMP",)),
        ("arch/x86/kernel/process.o", ()),
        ("arch/x86/lib/delay.o", ()),
        ("arch/x86/pci/init.o", ("PCI",)),
        ("arch/x86/pci/direct.o", ("PCI", "PCI_DIRECT")),
        ("arch/x86/hyperv/hv_init.o", ("HYPERV",)),
        ("net/sched/sch_generic.o", ("NET",)),
        ("net/sched/sch_tbf.o", ("NET", "NET_SCH_TBF")),
        ("net/sched/both.o", ("INET", "NET", "NET_SCHED")),
        ("fs/xfs/xfs_trace.o", ("XFS_FS",)),
        ("fs/xfs/libxfs/xfs_alloc.o", ("XFS_FS",)),
        ("fs/xfs/libxfs/xfs_rtbitmap.o", ("XFS_FS", "XFS_RT")),
        ("fs/proc/root.o", ("PROC_FS",)),
        ("fs/proc/task_mmu.o", ("MMU", "PROC_FS")),
        ("drivers/tty/n_hdlc.o", ("N_HDLC",)),
    ],
)
def test_what_gates_an_object(path, symbols):
    assert ways(path) == {symbols}


@pytest.mark.parametrize("path", ["kernel/kmod.o", "kernel/traced.o", "arch/x86/kvm/kvm.o", "block/bio.o"])
def test_what_is_off_is_not_built(path):
    assert not ways(path)


def test_of_several_ways_the_shortest_is_taken():
    text = "obj-$(CONFIG_A) += x.o\nobj-$(CONFIG_B) += x.o\nifdef CONFIG_A\nobj-$(CONFIG_C) += x.o\nendif\n"
    found = gates.of_tree({"Kbuild": text}.get, "x86", {"A", "B", "C"})["x.o"]
    assert makefiles.gated_by(found) == {"A"}


def test_the_else_of_a_condition_is_gated_by_what_it_says():
    text = "ifndef CONFIG_A\nobj-y += without.o\nelse\nobj-y += with.o\nendif\n"
    found = gates.of_tree({"Kbuild": text}.get, "x86", {"A"})
    assert found["with.o"] == {frozenset({"A"})}


SOURCE = """\
static int outside(struct file *file)
{
	return 0;
}

#ifdef CONFIG_PROC_FS
#if defined(CONFIG_NET_NS) && !IS_ENABLED(CONFIG_MODULES)
static void *
inside(struct seq_file *seq, loff_t *pos)
{
	return NULL;
}
#else
static int otherwise(void)
{
	return inside(NULL, NULL) ? 1 : 0;
}
#endif
int declared(void);
#endif
#if defined(CONFIG_A) || defined(CONFIG_B)
int either(void)
{
	return 0;
}
#endif
"""


def test_conditions_around_a_definition():
    found = conditionals.around(SOURCE, {"outside", "inside", "otherwise", "declared", "either"})
    assert found == {"inside": {"PROC_FS", "NET_NS"}, "otherwise": {"PROC_FS"}}


WHOLE = dict.fromkeys(
    [
        "KASAN",
        "UBSAN",
        "PROVE_LOCKING",
        "LOCKDEP",
        "KCOV",
        "DEBUG_KMEMLEAK",
        "DEBUG_ATOMIC_SLEEP",
        "DEBUG_VM",
        "KFENCE",
    ],
    "y",
)


@pytest.mark.parametrize(
    ("title", "kind", "kept_ones"),
    [
        ("KASAN: use-after-free Read in x", "KASAN-USE-AFTER-FREE-READ", {"KASAN"}),
        ("possible deadlock in x", "LOCKDEP", {"lockdep"}),
        ("memory leak in x", "LEAK", {"kmemleak"}),
        ("UBSAN: shift-out-of-bounds in x", "UBSAN", {"UBSAN"}),
        ("BUG: sleeping function called from invalid context in x", "ATOMIC_SLEEP", {"atomic sleep"}),
        ("BUG: unable to handle kernel NULL pointer dereference in x", "NULL-POINTER-DEREFERENCE", set()),
        ("kernel BUG in x", "BUG", {"memory management checks"}),
    ],
)
def test_a_crash_needs_its_detector(title, kind, kept_ones):
    dropped = {one.name for one in detectors.unneeded(WHOLE, [(title, kind)])}
    assert {one.name for one in detectors.present(WHOLE)} - dropped == kept_ones


def test_of_an_unknown_type_everything_is_kept():
    assert not detectors.unneeded(WHOLE, [("a title of nobody's", "")])
    assert not detectors.unneeded(WHOLE, [])
    both = [("KASAN: x", "KASAN-READ"), ("WARNING in y", "WARNING")]
    assert {"KASAN", "memory management checks"}.isdisjoint(
        one.name for one in detectors.unneeded(WHOLE, both)
    )


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 128, 1000])
def test_halving_takes_at_most_the_logarithm_of_the_groups(count):
    for needed in {1, count, random.Random(count).randint(1, count)}:
        asked = []

        def shows(some, needed=needed, asked=asked):
            asked.append(some)
            return some >= needed

        assert halving_groups.fewest(count, shows) == needed
        assert len(asked) <= halving_groups.most_steps(count)


def test_halving_ends_with_the_budget():
    assert halving_groups.fewest(64, lambda some: True if some == 32 else None) == 32


def test_groups_begin_with_the_folders_that_ran():
    found = gates.of_tree(TREE.get, "x86", ON)
    groups = halving_groups.groups(
        {"N_HDLC", "NET_SCH_TBF", "XFS_RT", "COMPAT"}, found, ["net/sched/sch_api.o"]
    )
    assert [group.name for group in groups] == ["net/sched", "drivers/tty", "fs/xfs", "other"]


def test_a_name_of_several_objects_is_told_by_its_neighbours():
    symbols = [
        (16, "a_open"),
        (32, "init_once"),
        (48, "a_read"),
        (64, "b_open"),
        (80, "init_once"),
        (96, "b_read"),
    ]
    defined = {name: frozenset({f"{name[0]}.o"}) for _, name in symbols if name != "init_once"}
    defined["init_once"] = frozenset({"a.o", "b.o", "c.o"})
    objects = defining.placed(symbols, defined)
    assert objects == ["a.o", "a.o", "a.o", "b.o", "b.o", "b.o"]
    assert defining.executed([33, 40, 97, 3], symbols, objects) == {"a.o": {"init_once"}, "b.o": {"b_read"}}


def test_a_log_of_qemu(tmp_path):
    log = tmp_path / "code.log"
    log.write_text(
        "----------------\nIN: \n0xffffffff81093745:  41 54                    pushq    %r12\n"
        "0xffffffff81093747:  55                       pushq    %rbp\n\n----------------\nIN: \n"
        "0x00000000fffffff0:  ea 5b e0 00 f0           ljmpw    $0xf000:$0xe05b\nOBJD-T: 4889fb\n"
    )
    assert executed.addresses(log) == {0xFFFFFFFF81093745, 0xFFFFFFFF81093747, 0xFFFFFFF0}


def test_settings_replace_those_of_a_configuration():
    text = "# a comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=5\n"
    changed = place.changed(text, {"A": "n", "B": "y", "D": "y"})
    assert changed.splitlines() == [
        "# a comment", "# CONFIG_A is not set", "CONFIG_B=y", "CONFIG_C=5", "CONFIG_D=y"
    ]  # fmt: skip


KCONFIG = """\
mainmenu "Linux"
config NET
	bool "net"
config NET_SCHED
	bool "schedulers"
	depends on NET
config NET_SCH_TBF
	bool "token bucket"
	depends on NET_SCHED && LIB_RATE
config LIB_RATE
	bool
config RATES
	bool "rates"
	select LIB_RATE
config XFS_FS
	bool "xfs"
"""


def test_what_a_wanted_symbol_depends_on_stays(tmp_path):
    (tmp_path / "Kconfig").write_text(KCONFIG)
    kconfig = Kconfig(tmp_path, "x86")
    whole = dict.fromkeys(["NET", "NET_SCHED", "NET_SCH_TBF", "LIB_RATE", "RATES", "XFS_FS"], "y")
    found = {
        "net/sch_tbf.o": frozenset({frozenset({"NET_SCH_TBF"})}),
        "net/sch_api.o": frozenset({frozenset({"NET_SCHED"})}),
        "net/rates.o": frozenset({frozenset({"RATES"})}),
        "fs/xfs.o": frozenset({frozenset({"XFS_FS"})}),
        "kernel/fork.o": frozenset({frozenset()}),
    }

    def resolve(settings):
        """As olddefconfig: what depends on something that is off is off, what is selected is on."""
        now = {symbol: settings.get(symbol, value) for symbol, value in whole.items()}
        now["LIB_RATE"] = now["RATES"]
        if "n" in {now["NET"], now["NET_SCHED"], now["LIB_RATE"]}:
            now["NET_SCH_TBF"] = "n"
        return "".join(config.line_of(symbol, value) + "\n" for symbol, value in now.items())

    text = shrink.shrunk(whole, shrink.Gates(found, frozenset({"NET_SCH_TBF"})), kconfig, resolve)
    now = config.values(text)
    assert set(now) == set(whole) - {"XFS_FS"}
    assert shrink.wanted_by({"net/sch_api.o": {"x"}, "kernel/fork.o": {"y"}}, found, lambda _: None) == {
        "NET_SCHED"
    }


def test_a_line_before_the_header_leaves_a_configuration_whole():
    header = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.192 Kernel Configuration\n#\n"
    assert config.is_whole(f"# 703 of 1546 symbols\n{header}CONFIG_NET=y\n")


def test_what_a_bug_needed_is_kept_for_the_next_one(tmp_path):
    whole = tmp_path / "whole.config"
    whole.write_text("#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1\n#\nCONFIG_NET=y\n")
    request = config.request([whole])
    assert not kept.load(tmp_path, request)
    kept.save(tmp_path, request, {"NET", "TUN"})
    assert kept.load(tmp_path, request) == {"NET", "TUN"}
    whole.write_text(whole.read_text() + "CONFIG_TUN=y\n")
    assert not kept.load(tmp_path, config.request([whole]))
    for broken in ("", "[]", '{"format": 1}', '{"format": 2, "wanted": ["A"]}'):
        next(tmp_path.glob("configurations/*")).write_text(broken)
        assert not kept.load(tmp_path, request)
