"""Reports of invalid memory accesses: sanitizers, page faults, corrupted structures."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.formats.choices import handed_work
from pytest_kbisect.crash.formats.format import CALL_TRACE, FUNC, NAME, RIP, STACK, anchor, crash_format

_TRACE = (CALL_TRACE, STACK)
_RIP_TRACE = (RIP, CALL_TRACE, STACK)
# riscv since 5.13 and 32-bit arm before 5.18 print the trace below the registers, without a headline.
_BELOW = (RIP, STACK)
_BAD_ACCESS = "bad-access in {frame}"
_ACCESS = r"\b(?P<access>Read|Write) (?:of size \d|at addr )"
_KASAN_KIND = r"(?P<kind>[a-z][a-z-]{0,40})"

# mm/kasan/report*.c. Before 4.11 the line continued with " at addr X", and the access also had its own line.
KASAN: Final = (
    crash_format(
        rf"BUG: KASAN: (?:double-free|invalid-free|double-free or invalid-free) in {FUNC}",
        "KASAN: invalid-free in {frame}",
        "invalid-free in {frame}",
        steps=_TRACE,
        skip=("[kv]free|vunmap",),
    ),
    crash_format(
        r"BUG: KASAN: (?:double-free|invalid-free|double-free or invalid-free) in "
        rf"(?:(?:0x)?[0-9a-f]{{4,16}}\b|{NAME} \S{{1,200}} \[inline\])",
        "KASAN: invalid-free in {frame}",
        "invalid-free in {frame}",
        steps=_TRACE,
        skip=("[kv]free|vunmap",),
    ),
    crash_format(
        rf"BUG: KASAN: {_KASAN_KIND} in ",
        "KASAN: {kind} {access} in {frame}",
        _BAD_ACCESS,
        details=(_ACCESS,),
        steps=(anchor(rf"BUG: KASAN: {_KASAN_KIND} in {FUNC}"), *_TRACE),
        fallback_steps=_TRACE,
    ),
    crash_format(
        rf"BUG: KASAN: {_KASAN_KIND} on (?:address|null)",
        "KASAN: {kind} {access}",
        details=(_ACCESS,),
    ),
    crash_format(
        rf"BUG: KASAN: (?P<rest>{_KASAN_KIND} in {NAME}[^\n]{{0,100}}?(?: at addr [0-9a-f]{{4,16}}|$))",
        "KASAN: {rest}",
        cut_short=True,
    ),
)

# mm/kmsan/report.c.
_CREATED = r"^Uninit was created at:"
KMSAN: Final = (
    crash_format(
        r"BUG: KMSAN: (?P<kind>kernel-usb-infoleak)(?: in |$)",
        "KMSAN: {kind} in {frame}",
        "KMSAN origin in {origin}",
        details=(_CREATED,),
        steps=(STACK,),
        skip=(r"alloc|usb_start_wait_urb|usb_bulk_msg|usb_interrupt_msg",),
        origin_steps=(anchor(_CREATED), STACK),
    ),
    crash_format(
        r"BUG: KMSAN: (?P<kind>kernel-usb-infoleak)(?: in |$)",
        "KMSAN: {kind} in {frame}",
        _BAD_ACCESS,
        steps=(STACK,),
        skip=(r"usb_start_wait_urb|usb_bulk_msg|usb_interrupt_msg",),
    ),
    crash_format(
        r"BUG: KMSAN: (?P<kind>[a-z][a-z-]{0,40})(?: in |$)",
        "KMSAN: {kind} in {frame}",
        _BAD_ACCESS,
        steps=(STACK,),
        skip=(
            r"^_*(?:aes|crypto|cipher|drbg|rng_(?!recvmsg)|sha\d+|jent|chacha|blake|ghash|poly1305)",
            r"^_*(?:skcipher|shash|ahash|aead|gcm|ctr|cbc|ecb|xts|md5|sm[34])_(?:walk|setkey|crypt|encrypt|decrypt|update|final)",
        ),
    ),
)

# kernel/kcsan/report.c: both functions are in the first line, so no trace is searched.
KCSAN: Final = (
    crash_format(
        rf"BUG: KCSAN: (?P<kind>data-race|assert: race) in (?P<func>{NAME})[^\n/]{{0,80}}"
        rf"(?:/0x[0-9a-f]+)? / (?P<other>{NAME})",
        "KCSAN: {kind} in {func} / {other}",
    ),
    crash_format(
        rf"BUG: KCSAN: (?P<kind>data-race|assert: race) in (?P<func>{NAME})",
        "KCSAN: {kind} in {func}",
    ),
)

# mm/kfence/report.c.
KFENCE: Final = (
    crash_format(
        r"BUG: KFENCE: invalid free in ",
        "KFENCE: invalid free in {frame}",
        "invalid-free in {frame}",
        steps=(STACK,),
    ),
    crash_format(
        r"BUG: KFENCE: memory corruption in ",
        "KFENCE: memory corruption in {frame}",
        steps=(STACK,),
    ),
    crash_format(
        r"BUG: KFENCE: (?P<kind>[a-z-]{1,40}) (?P<access>read|write) in ",
        "KFENCE: {kind} {access} in {frame}",
        _BAD_ACCESS,
        steps=(STACK,),
    ),
)

# lib/ubsan.c; kernels before 5.3 use the British spelling.
UBSAN: Final = (
    crash_format(
        r"UBSAN: Undefined behaviour in(?: |$)",
        "UBSAN: undefined-behaviour in {frame}",
        steps=_TRACE,
    ),
    crash_format(
        r"UBSAN: array-index-out-of-bounds in(?: |$)",
        "UBSAN: array-index-out-of-bounds in {frame}",
        _BAD_ACCESS,
        steps=_TRACE,
    ),
    crash_format(r"UBSAN: (?P<kind>[a-z-]{1,60}) in(?: |$)", "UBSAN: {kind} in {frame}", steps=_TRACE),
)

# The fault handlers of the architectures: x86 prints "BUG: unable to handle"; arm, arm64, riscv and others
# print it without "BUG:". x86 prints "page fault for address" and "kernel NULL pointer" since 5.3.
PAGE_FAULT: Final = (
    crash_format(
        r"BUG: [Uu]nable to handle (?:kernel (?:paging request|data access|instruction fetch)|page fault for address)",
        "BUG: unable to handle kernel paging request in {frame}",
        _BAD_ACCESS,
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        last_steps=_BELOW,
    ),
    crash_format(
        r"BUG: (?:[Uu]nable to handle )?[Kk]ernel NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference in {frame}",
        _BAD_ACCESS,
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        last_steps=_BELOW,
    ),
    crash_format(
        r"BUG: unable to handle kernel(?! paging| NULL)", "BUG: unable to handle kernel", cut_short=True
    ),
)
ARM_FAULT: Final = (
    crash_format(
        r"Unable to handle kernel (?P<what>paging request|access to user memory)",
        "BUG: unable to handle kernel {what} in {frame}",
        _BAD_ACCESS,
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        last_steps=_BELOW,
    ),
    crash_format(
        r"Unable to handle kernel NULL pointer dereference",
        "BUG: unable to handle kernel NULL pointer dereference in {frame}",
        _BAD_ACCESS,
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        last_steps=_BELOW,
    ),
    # arm64 prints this for permission faults, s390 for every fault.
    crash_format(
        r"Unable to handle kernel (?P<what>write to read-only memory|read from unreadable memory"
        r"|execute from non-executable memory|execution of user memory|pointer dereference)",
        "BUG: unable to handle kernel {what} in {frame}",
        _BAD_ACCESS,
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        last_steps=_BELOW,
    ),
    crash_format(r"Unable to handle kernel", "BUG: unable to handle kernel", cut_short=True),
)
UNHANDLED_FAULT: Final = (
    crash_format(
        r"Unhandled (?:prefetch abort|fault)",
        "Unhandled fault in {frame}",
        _BAD_ACCESS,
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        last_steps=_BELOW,
    ),
)

# arch/x86/kernel/traps.c. If two CPUs print at once, the fault's own trace can become unreadable. The first
# trace that follows is then the better guess.
GENERAL_PROTECTION: Final = (
    crash_format(
        r"general protection fault",
        "general protection fault in {frame}",
        _BAD_ACCESS,
        steps=_RIP_TRACE,
        fallback_steps=(STACK,),
    ),
)
DIVIDE_ERROR: Final = (crash_format(r"divide[ _]error", "divide error in {frame}", steps=_RIP_TRACE),)
# The illegal instruction itself is the location. BUG() prints a report of its own before its invalid opcode.
INVALID_OPCODE: Final = (crash_format(r"invalid opcode", "invalid opcode in {frame}", steps=(RIP,)),)
STACK_SEGMENT: Final = (crash_format(r"stack segment", "stack segment fault in {frame}", steps=_RIP_TRACE),)
INT3: Final = (crash_format(r"\bint3:", "int3 in {frame}", steps=_RIP_TRACE),)
DOUBLE_FAULT: Final = (
    crash_format(r"PANIC: double fault", "PANIC: double fault in {frame}", steps=_RIP_TRACE),
)
INTERNAL_ERROR: Final = (
    crash_format(
        r"Internal error:",
        "Internal error in {frame}",
        _BAD_ACCESS,
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        last_steps=_BELOW,
    ),
)
# die() of every architecture counts its calls: riscv "Oops - illegal instruction [#1]", powerpc "Oops:
# Exception in kernel mode, sig: 4 [#1]", mips "Reserved instruction in kernel code[#1]:", s390 "illegal
# operation: 0001 ilc:1 [#1]". Usually this line belongs to a report whose headline precedes it.
OOPS: Final = (
    crash_format(
        r"\[#\d{1,5}\]",
        "Oops in {frame}",
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        last_steps=_BELOW,
        loose=True,
    ),
)
ALIGNMENT_TRAP: Final = (
    crash_format(r"Alignment trap: not handling", "Alignment trap in {frame}", steps=_RIP_TRACE),
)

STACK_GUARD: Final = (
    crash_format(
        r"BUG: (?:[A-Z-]{1,16} )?stack guard page was hit",
        "BUG: stack guard page was hit in {frame}",
        "stack-overflow in {frame}",
        steps=_TRACE,
        choose=handed_work,
    ),
)

# mm/page_alloc.c, mm/memory.c, mm/slub.c, fs/super.c, fs/open.c, mm/kmemleak.c.
PAGES: Final = (
    # The trace of the page's last allocation or free, which always contains the page allocator itself.
    crash_format(
        r"BUG: Bad page state",
        "BUG: Bad page state in {frame}",
        steps=(STACK,),
        skip=(
            "alloc|page_owner|(?:get|put|release|free)_pages?(?:_|$)|^_*(?:folio|prep_new_page|rmqueue|free_(?:unref|pcp|tail))",
            "^check_(?:new|free)_page|^page_(?:expected|bad)|vmap",
        ),
    ),
    crash_format(r"BUG: Bad page map", "BUG: Bad page map"),
    crash_format(r"BUG: Bad page cache", "BUG: Bad page cache"),
    crash_format(r"BUG: Bad rss-counter state", "BUG: Bad rss-counter state", traceless=True),
    crash_format(
        r"BUG: non-zero pgtables_bytes", "BUG: non-zero pgtables_bytes on freeing mm", traceless=True
    ),
)
SLUB: Final = (
    crash_format(rf"BUG {NAME}[^\n:]{{0,60}}\([^\n)]{{1,80}}\): (?P<what>[^\n:]{{1,80}})", "BUG: {what}"),
)
LEAK: Final = (
    crash_format(
        r"BUG: memory leak",
        "memory leak in {frame}",
        details=(r"unreferenced object",),
        steps=(STACK,),
        skip=(r"alloc|create_object|kmem|slab|mmap|^_*pcpu_|list_lru_init|^sget_userns|^idr_get",),
    ),
)
VFS: Final = (
    crash_format(
        r"VFS: Busy inodes after unmount",
        "VFS: Busy inodes after unmount (use-after-free)",
        traceless=True,
    ),
    crash_format(
        r"VFS: Close: file count is (?:zero|0)",
        "VFS: Close: file count is zero (use-after-free)",
        traceless=True,
    ),
)
DENTRY: Final = (
    crash_format(
        r"BUG: Dentry [^\n]{0,200}still in use[^\n]{0,60} (?P<where>\[(?P<call>\w{1,40}) of[^\n]{1,60}\])",
        "BUG: Dentry still in use in {call}",
        "BUG: Dentry still in use {where}",
    ),
    crash_format(
        r"BUG: Dentry [^\n]{0,200}still in use", "BUG: Dentry still in use in {frame}", steps=_TRACE
    ),
)
