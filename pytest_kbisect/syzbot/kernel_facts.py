"""What a crash's .config and report say of its kernel and machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pytest_kbisect.crash import parse_console
from pytest_kbisect.errors import UsageError

_ARCHITECTURES: Final = (
    ("CONFIG_X86_64=y", "x86_64"),
    ("CONFIG_X86_32=y", "i686"),
    ("CONFIG_ARM64=y", "aarch64"),
    ("CONFIG_ARM=y", "armv7l"),
    ("CONFIG_RISCV=y", "riscv64"),
    ("CONFIG_PPC64=y", "ppc64le"),
    ("CONFIG_S390=y", "s390x"),
    ("CONFIG_MIPS=y", "mips64"),
    ("CONFIG_LOONGARCH=y", "loongarch64"),
)
"""Lines of a .config, and the architectures as `uname -m` prints them. (CONFIG_ARM is not set on arm64.)"""
_HEADER: Final = re.compile(r"^# Linux/\S+ (\d+\.\d+\S*) Kernel Configuration", re.MULTILINE)
_COMPILER_LINE: Final = re.compile(r'^(?:# Compiler: |CONFIG_CC_VERSION_TEXT=")([^"\n]+)', re.MULTILINE)
_RELEASE: Final = re.compile(
    r"(?:Not tainted|Tainted: [A-Z ]+|Linux version) ?(?:\[[^\]]*\] )?(\d+\.\d+\.\d+(?:-rc\d+)?)(?=[-+ ])"
)
_MEMORY: Final = re.compile(r"\bMemory: \d+K/(\d+)K available")
_COMPAT: Final = re.compile(
    r"entry_SYSENTER_compat|entry_INT80_compat|do_int80_syscall_32|do_fast_syscall_32|__ia32_(?:compat_)?sys_"
)
_COMPAT_ENTRY: Final = "do_syscall_64"
_SANITIZERS: Final = (("KMSAN", 4096), ("KASAN", 2048), ("KCSAN", 2048), ("DEBUG_KMEMLEAK", 2048))
"""MiB that a guest should have: shadow memory takes an eighth (KASAN) to two thirds (KMSAN) of it."""
_LEAST: Final = 1024
_MOST: Final = 4096


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """`architecture` as `uname -m` prints it; `compiler` is "gcc", "clang" or ""; `memory` in MiB.

    `version` is that of the kernel ("5.11.0-rc3"). `compat`: the reproducer was a 32-bit process.
    """

    architecture: str
    compiler: str
    compiler_text: str
    version: str
    memory: int
    titles: tuple[str, ...] = ()
    compat: bool = False
    only_clang: str = ""
    """An option of the configuration that gcc does not have."""


def facts_of(
    config: str, report: str, *, compiler: str = "", user_space: str = "", manager: str = ""
) -> KernelFacts:
    """The facts from a .config and a report (either may be empty), and what the page says."""
    lines = frozenset(config.splitlines())
    text = compiler or next(iter(_COMPILER_LINE.findall(config)), "")
    kind = "clang" if "clang" in text.lower() or "CONFIG_CC_IS_CLANG=y" in lines else ""
    if not kind and (
        "gcc" in text.lower() or "CONFIG_CC_IS_GCC=y" in lines or "CONFIG_GCC_VERSION" in config
    ):
        kind = "gcc"
    architecture = next((name for line, name in _ARCHITECTURES if line in lines), "")
    if not architecture and "linux,dummy-virt (DT)" in report:
        architecture = "aarch64"
    reports = parse_console(report.encode("utf-8", "replace")) if report else ()
    compat = (
        user_space in {"i386", "386"}
        or "-386" in manager
        or bool(_COMPAT.search(report) and _COMPAT_ENTRY not in report)
    )
    version = _RELEASE.search(report) or _HEADER.search(config)
    return KernelFacts(
        architecture,
        kind,
        text.strip(),
        version[1] if version else "",
        _memory(lines, report),
        tuple(one.title for one in reports[:1]),
        compat,
        next((name for name in ("KMSAN", "CFI_CLANG", "LTO_CLANG") if f"CONFIG_{name}=y" in lines), ""),
    )


def _memory(lines: frozenset[str], report: str) -> int:
    wanted = next(
        (size for name, size in _SANITIZERS if f"CONFIG_{name}=y" in lines or f"BUG: {name}:" in report),
        _LEAST,
    )
    if found := _MEMORY.search(report):
        had = -(-int(found[1]) // 1024)
        wanted = max(wanted, min(_MOST, -(-had // 512) * 512))
    return wanted


def check_config(text: str, name: str) -> None:
    """Raise UsageError where a text is no .config of Linux, or is cut short."""
    symbols = sum(line.startswith(("CONFIG_", "# CONFIG_")) for line in text.splitlines())
    if not symbols:
        raise UsageError(f"{name} is no .config of Linux: save the file that the bug's page calls .config")
    if symbols > 100 and text and not text.endswith("\n"):
        raise UsageError(
            f"{name} is cut short (its last line is {text.splitlines()[-1][:60]!r}): get it again"
        )
