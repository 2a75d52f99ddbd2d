"""Derives the type of a crash from its title. The types are syzbot's."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.pattern import Pattern

_BOUNDS: Final = r"(?:global-|slab-|stack-|vmalloc-)?out-of-bounds|user-memory-access|wild-memory-access"
_REST: Final = r"(?: |$)"

# The first matching row wins. If a sanitizer's report is cut before it states the access, the access counts
# as a read, the weaker claim of the two.
_KINDS: Final = (
    (Pattern(r"KASAN: (?:slab-)?use-after-free Write"), "KASAN-USE-AFTER-FREE-WRITE"),
    (Pattern(rf"KASAN: (?:slab-)?use-after-free{_REST}"), "KASAN-USE-AFTER-FREE-READ"),
    (Pattern(r"KASAN: (?:double-free or )?invalid-free"), "KASAN-INVALID-FREE"),
    (Pattern(r"KASAN: null-ptr-deref Write"), "KASAN-NULL-POINTER-DEREFERENCE-WRITE"),
    (Pattern(r"KASAN: null-ptr-deref Read"), "KASAN-NULL-POINTER-DEREFERENCE-READ"),
    (Pattern(rf"KASAN: (?:{_BOUNDS}) Write"), "KASAN-WRITE"),
    (Pattern(rf"KASAN: (?:{_BOUNDS}|invalid-access|unknown-crash) Read"), "KASAN-READ"),
    (Pattern(rf"KASAN: (?:slab-out-of-bounds|stack-out-of-bounds|wild-memory-access){_REST}"), "KASAN-READ"),
    (Pattern(r"KASAN:"), "KASAN-UNKNOWN"),
    (Pattern(r"KMSAN: uninit-value"), "KMSAN-UNINIT-VALUE"),
    (Pattern(r"KMSAN: (?:kernel-(?:usb-)?infoleak-after-free|use-after-free)"), "KMSAN-USE-AFTER-FREE-READ"),
    (Pattern(r"KMSAN: kernel-(?:usb-)?infoleak"), "KMSAN-INFO-LEAK"),
    (Pattern(r"KMSAN:"), "KMSAN-UNKNOWN"),
    (Pattern(r"KCSAN: data-race"), "KCSAN-DATARACE"),
    (Pattern(r"KCSAN: assert: race in"), "KCSAN-ASSERT"),
    (Pattern(r"KCSAN:"), "KCSAN-UNKNOWN"),
    (Pattern(r"KFENCE: use-after-free write"), "KFENCE-USE-AFTER-FREE-WRITE"),
    (Pattern(r"KFENCE: use-after-free"), "KFENCE-USE-AFTER-FREE-READ"),
    (Pattern(r"KFENCE: (?:invalid|out-of-bounds) write"), "KFENCE-WRITE"),
    (Pattern(r"KFENCE: (?:invalid read|out-of-bounds)"), "KFENCE-READ"),
    (Pattern(r"KFENCE: memory corruption"), "KFENCE-MEMORY-CORRUPTION"),
    (Pattern(r"KFENCE: invalid free"), "KFENCE-INVALID-FREE"),
    (Pattern(r"KFENCE:"), "KFENCE-UNKNOWN"),
    (Pattern(r"UBSAN: array-index-out-of-bounds"), "MEMORY_SAFETY_UBSAN"),
    (Pattern(r"UBSAN:"), "UBSAN"),
    (Pattern(r"BUG: unable to handle kernel NULL pointer dereference in"), "NULL-POINTER-DEREFERENCE"),
    (Pattern(r"BUG: (?:corrupted list|unable to handle kernel paging request)"), "MEMORY_SAFETY_BUG"),
    (Pattern(r"WARNING: refcount bug"), "REFCOUNT_WARNING"),
    (
        Pattern(
            r"(?:BUG|WARNING): (?:bad unlock balance|held lock freed|still has locks held) in"
            r"|BUG: (?:rwlock|spinlock|using)|inconsistent lock state in|possible deadlock in"
            r"|WARNING: (?:lock held|locking bug in|nested lock was not taken in|suspicious RCU usage in)"
        ),
        "LOCKDEP",
    ),
    (
        Pattern(r"BUG: (?:scheduling while atomic|sleeping function called from invalid context) in"),
        "ATOMIC_SLEEP",
    ),
    (Pattern(r"memory leak in"), "LEAK"),
    (Pattern(r"kernel BUG|BUG: bad usercopy in"), "BUG"),
    (
        Pattern(r"BUG: (?:soft|hard) lockup in|INFO: (?:rcu detected stall|task (?:can't die|hung)) in"),
        "HANG",
    ),
    (Pattern(r"WARNING: (?:corrupted|kernel stack (?:frame pointer has bad value|regs has bad))"), ""),
    (Pattern(r"WARNING(?: in|:)"), "WARNING"),
    (
        Pattern(
            r"BUG: Object already free|PANIC: double fault|VFS: [^\n]{1,60}\(use-after-free\)"
            r"|(?:Alignment trap|Internal error|Oops|Unhandled fault|general protection fault|divide error|int3"
            r"|invalid opcode|stack segment fault) in|kernel stack overflow|(?:kernel )?panic:|go runtime error"
            r"|rust_kernel panicked|trusty:|unregister_netdevice: waiting for DEV"
        ),
        "DoS",
    ),
    (Pattern(r"unexpected kernel reboot"), "REBOOT"),
    (Pattern(r"no output from test machine"), "NO_OUTPUT"),
    (Pattern(r"lost connection to test machine"), "LOST_CONNECTION"),
    (Pattern(r"SYZFAIL|SYZFATAL:"), "SYZ_FAILURE"),
)


def kind_of(title: str) -> str:
    """The type of a crash with this title, or "" if the title matches no row."""
    for pattern, kind in _KINDS:
        if pattern.match(title):
            return kind
    return ""
