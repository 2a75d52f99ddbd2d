"""Remedies: small changes that make old commits build and boot with today's tools.

A trouble is recognized by what the tree contains, not by its version: stable trees have the repairs under
other hashes. Remedies are, in order of preference, an argument of make, a line of configuration, an edit of
a file. Which of them apply is decided for a whole range before it is built (see range_remedies), so that no
commit of it differs from another by a remedy. An edit changes only commits whose file has its pattern.

Sources: the commits named here; osandov/drgn vmtest (sched), google/syzkaller pkg/vcs (cad_pid, objtool).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_kbisect.arch.trouble import Argument, Edit, Setting, Trouble
from pytest_kbisect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kbisect.arch import Architecture

TROUBLES: Final = (
    Trouble(
        "gcc",
        (6,),
        (4, 9),
        "8ae94224c9d7",  # distributions configure gcc 6 and later with --enable-default-pie
        "Makefile",
        re.compile(rb"(?s)\A(?!.*-fno-(pie|PIE))"),
        "the kernel is not compiled as position-independent code, and this gcc makes that by default",
        remedies=(Argument("KCFLAGS", "-fno-pie"),),
    ),
    Trouble(
        "host gcc",
        (12,),
        (5, 17),
        "52a9dab6d892",
        "tools/lib/subcmd/subcmd-util.h",
        re.compile(rb"realloc\(ptr, 1\)"),
        "objtool does not compile (-Werror=use-after-free in subcmd-util.h)",
        remedies=(Argument("WERROR", "0"),),
    ),
    Trouble(
        "host gcc",
        (12,),
        (5, 17),
        "82880283d7fc",
        "tools/objtool/check.c",
        re.compile(rb"static char pvname\[16\]"),
        "objtool does not compile (-Werror=format-truncation in check.c)",
        remedies=(Argument("HOSTCFLAGS", "-Wno-error"),),
    ),
    Trouble(
        "ld",
        (2, 36),
        (5, 11),
        "1d489151e9f9",  # binutils' own change is d1bcae833b32
        "tools/objtool/elf.c",
        re.compile(rb'WARN\("missing symbol table"\)'),
        "objtool refuses objects without symbols, which this assembler writes",
        remedies=(
            Edit(
                "tools/objtool/elf.c",
                re.compile(rb'(WARN\("missing symbol table"\);\s*return )-1;'),
                rb"\g<1>0;",
            ),
        ),
    ),
    Trouble(
        "ld",
        (2, 36),
        (5, 19),
        "3e35142ef99f",
        "kernel/kexec_file.c",
        re.compile(rb"int __weak\s+arch_kexec_apply_relocations\("),
        "recordmcount finds no symbol for a section of kexec_file.o",
        fatal=False,
        remedies=(Setting("KEXEC_FILE", "n"),),
        symbols=("KEXEC_FILE", "FUNCTION_TRACER"),
    ),
    Trouble(
        "host gcc",
        (10,),
        (5, 6),
        "e33a814e772c",
        "scripts/dtc/dtc-lexer.l",
        re.compile(rb"^YYLTYPE yylloc;", re.MULTILINE),
        "the device tree compiler does not link (multiple definition of yylloc)",
        fatal=False,
        remedies=(Argument("HOSTCFLAGS", "-fcommon"),),
    ),
    Trouble(
        "gcc",
        (15,),
        (6, 14),
        "dce4aab8441d",
        "Makefile",
        re.compile(rb"(?s)\A(?!.*-fzero-init-padding-bits)"),
        "an initializer {0} does not clear all of a union with this gcc",
        fatal=False,
        remedies=(Argument("KCFLAGS", "-fzero-init-padding-bits=all"),),
    ),
    Trouble(
        "clang",
        (21,),
        (6, 15),
        "61df817d1d1b",
        "lib/string.c",
        re.compile(rb"(?s)\A(?!.*\bwcslen\b)"),
        "the EFI stub does not link (wcslen)",
        fatal=False,
        remedies=(Setting("EFI_STUB", "n"),),
        symbols=("EFI_STUB",),
    ),
    Trouble(
        "",
        (),
        (),
        "3fe617ccafd6",  # which introduced it, in 5.15
        "init/Kconfig",
        re.compile(rb"^config WERROR$", re.MULTILINE),
        "warnings of a compiler that is newer than the tree are errors",
        fatal=False,
        remedies=(Setting("WERROR", "n"),),
        symbols=("WERROR",),
    ),
    # -- kernels that build and do not boot
    Trouble(
        "gcc",
        (10,),
        (5, 7),
        "a9a3ed1eff36",
        "init/main.c",
        re.compile(rb"(?s)\A(?!.*prevent_tail_call_optimization)"),
        "with CONFIG_STACKPROTECTOR the kernel panics while it boots",
        fatal=False,
        remedies=(Setting("STACKPROTECTOR", "n"), Setting("STACKPROTECTOR_STRONG", "n")),
        symbols=("STACKPROTECTOR",),
    ),
    Trouble(
        "",
        (),
        (5, 14),
        "5cb9eaa3d274",  # begins with 2558aacff858 (5.11); osandov/drgn#365
        "kernel/sched/core.c",
        re.compile(rb"__balance_callbacks\(rq\);\s*raw_spin_unlock_irq\(&rq->lock\);"),
        "an emulated guest with several processors hangs while it boots",
        fatal=False,
        remedies=(
            Edit(
                "kernel/sched/core.c",
                re.compile(rb"(__balance_callbacks\(rq\);\s*)raw_spin_unlock_irq\(&rq->lock\);"),
                rb"\1raw_spin_unlock(&rq->lock);\n\t\tlocal_irq_enable();",
            ),
        ),
    ),
    Trouble(
        "",
        (),
        (5, 13),
        "0711f0d7050b",
        "init/main.c",
        re.compile(rb"\bcad_pid = task_pid\(current\);"),
        "KASAN reports a use after free in task_active_pid_ns()",
        fatal=False,
        remedies=(
            Edit(
                "init/main.c",
                re.compile(rb"\bcad_pid = task_pid\(current\);"),
                b"cad_pid = get_pid(task_pid(current));",
            ),
        ),
        symbols=("KASAN",),
    ),
    Trouble(
        "clang",
        (20,),
        (5, 17),
        "69d0db01e210",
        "lib/Kconfig.ubsan",
        re.compile(rb"^config UBSAN_OBJECT_SIZE$", re.MULTILINE),
        "UBSAN reports an object-size-mismatch while the kernel boots",
        fatal=False,
        remedies=(Setting("UBSAN_OBJECT_SIZE", "n"),),
        symbols=("UBSAN_OBJECT_SIZE",),
    ),
)
"""On all architectures; each has more of its own."""


@dataclass(frozen=True, slots=True)
class Remedies:
    """The remedies of a range, sorted by what applies them; each commit of it is built with all of them."""

    arguments: tuple[str, ...] = ()
    """Of make."""
    settings: tuple[tuple[str, str], ...] = ()
    """Of the configuration: symbol and value."""
    edits: tuple[Edit, ...] = ()
    """Of files, in commits that have the pattern."""

    @property
    def fingerprint(self) -> str:
        """What store keys have of it; empty where there is no remedy."""
        return repr(self) if self != NONE else ""


NONE: Final = Remedies()


def known(architecture: Architecture) -> tuple[Trouble, ...]:
    """The troubles of an architecture, those of all among them."""
    return (*TROUBLES, *architecture.compiler_troubles)


def named(names: Iterable[str], architecture: Architecture) -> tuple[Trouble, ...]:
    """The troubles of these names (Trouble.repair), in the table's order. Raises UsageError for others."""
    wanted = set(names)
    found = tuple(trouble for trouble in known(architecture) if trouble.repair in wanted)
    if unknown := sorted(wanted - {trouble.repair for trouble in found}):
        raise UsageError(
            f"unknown remedy {unknown[0]!r}: it is of another version of pytest-kbisect; use that one"
        )
    return found


def combined(troubles: Iterable[Trouble]) -> Remedies:
    """The remedies of these troubles; values of one variable of make are joined."""
    arguments: dict[str, dict[str, None]] = {}
    settings: dict[str, str] = {}
    edits: list[Edit] = []
    for trouble in troubles:
        for remedy in trouble.remedies:
            match remedy:
                case Argument(variable, value):
                    arguments.setdefault(variable, {})[value] = None
                case Setting(symbol, value):
                    settings[symbol] = value
                case Edit():
                    edits.append(remedy)
    return Remedies(
        tuple(f"{variable}={' '.join(values)}" for variable, values in arguments.items()),
        tuple(settings.items()),
        tuple(edits),
    )


def words(trouble: Trouble) -> str:
    """A remedy as the log and the result state it."""
    return f"{trouble.help} ({trouble.repair}: {trouble.words})"
