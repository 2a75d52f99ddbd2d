"""The words with which kernels begin to report a fault, in the order in which they are looked for."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.families import locking, memory, panics, stalls, warnings
from pytest_kbisect.crash.families.family import Anchor, Family, Header, Stack, Step
from pytest_kbisect.crash.pattern import Pattern

# Messages that have a header's word and are no fault: what daemons and boot code call a warning, and
# what the kernel says about other programs.
_HARMLESS_BUG: Final = Pattern(r"\w(?<!TASK )BUG:|DEBUG:")
_HARMLESS_WARNING: Final = Pattern(
    # WARN() itself is never harmless, nor is what names a task: that may be sshd or systemd-udevd.
    r"^(?!.{0,300}WARNING: (?:CPU: \d|(?:\[.{1,300}?\] )?\S{1,200}\.(?:[chS]|rs):\d"
    r"|kernel stack |.{1,64} still has locks held!))"
    r".{0,400}?(?i:spectre|\bebpf\b|fbcon: driver|workqueue cpumask|\bmitigation|permanently added|deprecated"
    r"|you are running|unsupported|not supported|experimental|insecure|\bmand\b|no swap|swap space|entropy"
    r"|host key|filesystem (?:is|was)|maximal mount count|unchecked|fsck|\bssh|apparmor|selinux|certificate"
    r"|kernel lockdown|ignor|perform|firmware|obsolete|will be removed|has been replaced by|fallback|insufficient"
    r"|not compiled with|lvmetad|\budev|linker:|capabilit|nvidia|nvram|fadump|overlay removed"
    # File systems on a damaged image: those of a fuzzer are, and are mounted all the same.
    r"|^xfs \(.{1,64}\): |^ext4-fs(?: \(.{1,64}\))?: )"
)
# What KASAN says through SLUB (4.4) has its headline before it.
_HARMLESS_SLUB: Final = Pattern(r"^(?!.{0,200}BUG )|Objects remaining|kasan: bad access")
# Go's run time begins a line so; others say "fatal error:" in the midst of one, or say what they could
# not do.
_HARMLESS_FATAL: Final = Pattern(r"^(?!fatal error: (?!cannot |can't |could not |unable |failed ))")
_HARMLESS_FAULT: Final = Pattern(r"traps: |general protection fault (?:ip|rip):|segfault at")
_HARMLESS_INFO: Final = Pattern(
    r"INFO:(?!\s*$| (?:rcu_|task (?!.{1,64} is blocked on )|\w*\s?suspicious RCU|possible |inconsistent "
    r"|trying to register|[A-Z_-]{3,20}-safe -> |(?:Allocated|Freed) in |(?:Slab|Object) 0x))"
)

HEADERS: Final = (
    Header("general protection fault", memory.GENERAL_PROTECTION, _HARMLESS_FAULT),
    Header("stack segment:", memory.STACK_SEGMENT, _HARMLESS_FAULT),
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
        _HARMLESS_BUG,
    ),
    Header("(Not tainted): ", memory.SLUB, _HARMLESS_SLUB),
    Header("(Tainted: ", memory.SLUB, _HARMLESS_SLUB),
    Header("BUG kmalloc-", memory.SLUB, _HARMLESS_SLUB),
    Header(
        "WARNING:",
        (*locking.DEADLOCK, *locking.RCU_USAGE, *locking.BALANCE, *warnings.WARNING),
        _HARMLESS_WARNING,
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
        _HARMLESS_INFO,
    ),
    Header("Watchdog detected hard LOCKUP", stalls.HARD_LOCKUP),
    Header("Unable to handle kernel", memory.ARM_FAULT),
    Header("Unhandled fault:", memory.UNHANDLED_FAULT),
    Header("Unhandled prefetch abort:", memory.UNHANDLED_FAULT),
    Header("Alignment trap: not handling", memory.ALIGNMENT_TRAP),
    Header("kernel BUG at", warnings.BUG_ON),
    Header("Kernel BUG at", warnings.BUG_ON),
    Header("divide error:", memory.DIVIDE_ERROR),
    Header("divide_error:", memory.DIVIDE_ERROR),
    Header("invalid opcode:", memory.INVALID_OPCODE),
    Header("int3:", memory.INT3, Pattern(r"\wint3:")),
    Header("PANIC: double fault", memory.DOUBLE_FAULT),
    Header("Internal error:", memory.INTERNAL_ERROR),
    Header("UBSAN:", memory.UBSAN),
    Header("VFS: ", memory.VFS, Pattern(r"^(?!.{0,200}VFS: (?:Busy inodes after|Close: file count is))")),
    Header("unregister_netdevice: waiting for", panics.NETDEVICE),
    Header("Kernel panic", panics.PANIC),
    Header("rust_kernel: panicked at", panics.RUST),
    Header("trusty: panic", panics.TRUSTY),
    Header("SYZFAIL:", panics.FUZZER),
    Header("SYZFATAL:", panics.FUZZER),
    Header("panic: ", panics.GO, Pattern(r"^(?!panic: )")),
    Header("fatal error: ", panics.GO, _HARMLESS_FATAL),
)
BANNER: Final = Header("Linux version ", panics.BANNER)

__all__ = ["BANNER", "HEADERS", "Anchor", "Family", "Header", "Stack", "Step"]
