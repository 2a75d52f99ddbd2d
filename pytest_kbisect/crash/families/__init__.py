"""The words with which kernels begin to report a fault, in the order in which they are looked for."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.families import harmless, locking, memory, panics, stalls, warnings
from pytest_kbisect.crash.families.family import Anchor, Family, Header, Stack, Step

HEADERS: Final = (
    Header("general protection fault", memory.GENERAL_PROTECTION, harmless.FAULT),
    Header("stack segment:", memory.STACK_SEGMENT, harmless.FAULT),
    Header(
        "BUG:",
        (
            *memory.KASAN,
            *memory.KMSAN,
            *memory.KCSAN,
            *memory.KFENCE,
            *memory.PAGE_FAULT,
            *memory.STACK_GUARD,
            *memory.PAGES,
            *memory.LEAK,
            *memory.DENTRY,
            *locking.BALANCE,
            *locking.SPIN,
            *locking.PREEMPTION,
            *locking.LOCKDEP_LIMITS,
            *stalls.SOFT_LOCKUP,
            *warnings.BUG,
        ),
        harmless.BUG,
    ),
    Header("(Not tainted): ", memory.SLUB, harmless.SLUB),
    Header("(Tainted: ", memory.SLUB, harmless.SLUB),
    Header("BUG kmalloc-", memory.SLUB, harmless.SLUB),
    Header(
        "WARNING:",
        (*locking.DEADLOCK, *locking.RCU_USAGE, *locking.BALANCE, *warnings.WARNING),
        harmless.WARNING,
    ),
    Header(
        "INFO:",
        (
            *locking.DEADLOCK,
            *locking.RCU_USAGE,
            *locking.NON_STATIC_KEY,
            *stalls.STALL,
            *stalls.HUNG,
            *warnings.INFO,
        ),
        harmless.INFO,
    ),
    Header("Watchdog detected hard LOCKUP", stalls.HARD_LOCKUP),
    Header("Unable to handle kernel", memory.ARM_FAULT),
    Header("Unhandled fault:", memory.UNHANDLED_FAULT),
    Header("Unhandled prefetch abort:", memory.UNHANDLED_FAULT),
    Header("Alignment trap: not handling", memory.ALIGNMENT_TRAP),
    Header("kernel BUG at", warnings.BUG_ON),
    Header("Kernel BUG at", warnings.BUG_ON),
    Header("ernel bug detected", warnings.BUG_DETECTED),
    Header("divide error:", memory.DIVIDE_ERROR),
    Header("divide_error:", memory.DIVIDE_ERROR),
    Header("invalid opcode:", memory.INVALID_OPCODE),
    Header("int3:", memory.INT3, harmless.INT3),
    Header("PANIC: double fault", memory.DOUBLE_FAULT),
    Header("Internal error:", memory.INTERNAL_ERROR),
    Header("UBSAN:", memory.UBSAN),
    Header("VFS: ", memory.VFS, harmless.VFS),
    Header("unregister_netdevice: waiting for", panics.NETDEVICE),
    Header("Kernel panic", panics.PANIC),
    Header("LOCKUP", stalls.POWERPC_LOCKUP, harmless.LOCKUP),
    Header("rust_kernel: panicked at", panics.RUST),
    Header("trusty: panic", panics.TRUSTY, of_programs=True),
    Header("SYZFAIL:", panics.FUZZER, of_programs=True),
    Header("SYZFATAL:", panics.FUZZER, of_programs=True),
    Header("panic: ", panics.GO, harmless.GO, of_programs=True),
    Header("fatal error: ", panics.GO, harmless.FATAL, of_programs=True),
    Header("[#", memory.OOPS, harmless.OOPS),
)
BANNER: Final = Header("Linux version ", panics.BANNER, of_programs=True)

__all__ = ["BANNER", "HEADERS", "Anchor", "Family", "Header", "Stack", "Step"]
