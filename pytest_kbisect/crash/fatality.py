"""What survives a report: the whole kernel, all but one task or CPU, or nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.pattern import Pattern

if TYPE_CHECKING:
    from pytest_kbisect.crash.crash_report import CrashReport


class Fatality(StrEnum):
    """What a report stops."""

    NONE = "none"
    """A warning or a sanitizer report: the kernel continues."""
    TASK = "task"
    """An oops kills the running task, which keeps its locks; a stall holds up a task or a CPU."""
    KERNEL = "kernel"
    """A panic."""


PANIC: Final = "Kernel panic - not syncing"
"""A kernel that panics prints this before the reason."""
# Every architecture's die() counts the oopses of a boot: "Oops: 0002 [#1] PREEMPT SMP".
_OOPS: Final = Pattern(r"\[#\d{1,5}\]|(?:^|\n)(?:kernel BUG at |Unable to handle kernel )")
_OOPS_TITLE: Final = Pattern(
    r"general protection fault|BUG: unable to handle|kernel BUG|BUG: corrupted list|BUG: bad usercopy"
    r"|(?:Internal error|divide error|invalid opcode|int3|stack segment fault) in|PANIC: double fault"
    r"|kernel stack overflow|(?:kernel )?panic:|unexpected kernel reboot|rust_kernel panicked"
)
# Settings that turn a report that the kernel would survive into a panic, by the reason in the panic message
# (kernel/panic.c, the sanitizers, die() of each architecture). An oops in an interrupt or in init always
# panics.
_SETTINGS: Final = (
    (Pattern(r"panic_on_warn set"), "panic_on_warn"),
    (Pattern(r"kasan\.fault=panic set"), "kasan.fault=panic"),
    (Pattern(r"Warned too often"), "kernel.warn_limit"),
    (Pattern(r"Oopsed too often"), "kernel.oops_limit"),
    (Pattern(r"Fatal exception\s*$"), "panic_on_oops (oops=panic)"),
    (Pattern(r"softlockup: hung tasks"), "softlockup_panic"),
    (Pattern(r"hung_task: blocked tasks"), "hung_task_panic"),
    (Pattern(r"RCU Stall\s*$"), "panic_on_rcu_stall"),
)


def fatality(report: CrashReport) -> Fatality:
    """What this report stops."""
    if report.panicked or PANIC in report.report or report.title.startswith(("panic:", "kernel panic:")):
        return Fatality.KERNEL
    if report.type == "HANG" or _OOPS.search(report.report) or _OOPS_TITLE.match(report.title):
        return Fatality.TASK
    return Fatality.NONE


def panic_setting(console: str) -> str:
    """The setting that turned a report on this console into a panic, or ""."""
    at = console.rfind(PANIC)
    if at < 0:
        return ""
    line = console[at:].partition("\n")[0].replace("\r", "")
    return next((name for pattern, name in _SETTINGS if pattern.search(line)), "")


__all__ = ["PANIC", "Fatality", "fatality", "panic_setting"]
