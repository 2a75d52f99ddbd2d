"""Crash formats: the ways in which kernels report faults.

`BUILT_IN` contains the formats of this project. Other plugins add formats with the hook
`pytest_kbisect_crash_formats`; see `known`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.formats import locking, memory, panics, stalls, warnings
from pytest_kbisect.crash.formats.headers import Header

if TYPE_CHECKING:
    from pytest_kbisect.crash.formats.format import CrashFormat


def _under(headers: str | tuple[str, ...], *tables: tuple[CrashFormat, ...]) -> tuple[CrashFormat, ...]:
    words = (headers,) if isinstance(headers, str) else headers
    return tuple(replace(entry, headers=words) for table in tables for entry in table)


BUILT_IN: Final[tuple[CrashFormat, ...]] = (
    *_under("general protection fault", memory.GENERAL_PROTECTION),
    *_under("stack segment:", memory.STACK_SEGMENT),
    *_under("BUG:", memory.KASAN, memory.KMSAN, memory.KCSAN, memory.KFENCE, memory.PAGE_FAULT),
    *_under("BUG:", memory.STACK_GUARD, memory.PAGES, memory.LEAK, memory.DENTRY),
    *_under(("(Not tainted): ", "(Tainted: ", "BUG kmalloc-"), memory.SLUB),
    *_under(("WARNING:", "INFO:"), locking.DEADLOCK, locking.RCU_USAGE),
    *_under(("BUG:", "WARNING:"), locking.BALANCE),
    *_under(
        "BUG:", locking.SPIN, locking.PREEMPTION, locking.LOCKDEP_LIMITS, stalls.SOFT_LOCKUP, warnings.BUG
    ),
    *_under("WARNING:", warnings.WARNING),
    *_under("INFO:", locking.NON_STATIC_KEY, stalls.STALL, stalls.HUNG, warnings.INFO),
    *_under("Watchdog detected hard LOCKUP", stalls.HARD_LOCKUP),
    *_under("Unable to handle kernel", memory.ARM_FAULT),
    *_under(("Unhandled fault:", "Unhandled prefetch abort:"), memory.UNHANDLED_FAULT),
    *_under("Alignment trap: not handling", memory.ALIGNMENT_TRAP),
    *_under(("kernel BUG at", "Kernel BUG at"), warnings.BUG_ON),
    *_under("ernel bug detected", warnings.BUG_DETECTED),
    *_under(("divide error:", "divide_error:"), memory.DIVIDE_ERROR),
    *_under("invalid opcode:", memory.INVALID_OPCODE),
    *_under("int3:", memory.INT3),
    *_under("PANIC: double fault", memory.DOUBLE_FAULT),
    *_under("Internal error:", memory.INTERNAL_ERROR),
    *_under("UBSAN:", memory.UBSAN),
    *_under("VFS: ", memory.VFS),
    *_under("unregister_netdevice: waiting for", panics.NETDEVICE),
    *_under("Kernel panic", panics.PANIC),
    *_under("LOCKUP", stalls.POWERPC_LOCKUP),
    *_under("rust_kernel: panicked at", panics.RUST),
    *_under("trusty: panic", panics.TRUSTY),
    *_under(("SYZFAIL:", "SYZFATAL:"), panics.FUZZER),
    *_under(("panic: ", "fatal error: "), panics.GO),
    *_under("[#", memory.OOPS),
)
BANNER: Final = Header("Linux version ", panics.BANNER, of_programs=True)
