"""WARN() and BUG(). Titles name the code that went wrong, not the check that noticed."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.formats.format import (
    CALL_TRACE,
    NAME,
    RIP_OR_TRAP,
    STACK,
    CrashFormat,
    Step,
    crash_format,
)

_TRACE: Final[tuple[Step, ...]] = (CALL_TRACE, STACK)
_RIP_TRACE: Final[tuple[Step, ...]] = (RIP_OR_TRAP, STACK)

# "WARNING: CPU: 0 PID: 1 at file:line function"; since 6.18 "WARNING: file:line at function, CPU#0: comm/1".
# The function is 0x0 if a shared trampoline made the warning. CONFIG_DEBUG_BUGVERBOSE_DETAILED puts the
# condition before the file, in brackets.
_CPU: Final = r"WARNING: (?:CPU: \d{1,4} PID: \d{1,9} at )?(?:\[[^\n]{1,300}?\] )?"
_FILE: Final = r"[\w./-]{0,200}?"


def _warning(file: str, title: str, *, name: str = "", skip: tuple[str, ...] = ()) -> CrashFormat:
    """A WARN of a check with many callers. `name` is the beginning of the checking function's name."""
    return crash_format(
        rf"{_CPU}{_FILE}\b(?:{file}):\d{{1,6}}(?: at)? (?:{name}|0x[0-9a-f]{{1,16}}\b)",
        title,
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        skip=skip,
    )


WARNING: Final = (
    _warning(
        r"lib/debugobjects\.c",
        "WARNING: ODEBUG bug in {frame}",
        name="debug_(?:print_object|check_no_obj)",
        skip=("debug|timer|rcu|percpu|^_+free|vfree|vunmap",),
    ),
    _warning(r"lib/refcount\.c", "WARNING: refcount bug in {frame}", skip=("^_*(?:refcount|kobject_|kref)",)),
    _warning(
        r"kernel/locking/lockdep\.c",
        "WARNING: locking bug in {frame}",
        name=r"_{0,4}(?:lock_|look_up_lock|hlock_|register_lock|check_(?!flags)|mark_|validate_)",
        skip=("lock_sock|release_sock",),
    ),
    _warning(r"lib/kobject\.c", "WARNING: kobject bug in {frame}", skip=("kobject_|device_",)),
    _warning(
        r"fs/proc/generic\.c",
        "WARNING: proc registration bug in {frame}",
        name="proc_register",
        skip=("proc_",),
    ),
    _warning(
        r"mm/(?:slab_common|util|slab)\.c",
        "WARNING: kmalloc bug in {frame}",
        name=r"_{0,2}k(?:v?m|re)alloc",
        skip=(r"^_*(?:kv|kvm|kvz|km|kz|k|v)?[mzc]?alloc_?(?:array|node|slab|large|noprof|order|$)",),
    ),
    _warning(r"mm/vmalloc\.c", "WARNING: kmalloc bug in {frame}", name="vmalloc_fix_flags"),
    _warning(r"mm/vmalloc\.c", "WARNING: zero-size vmalloc in {frame}", name="__vmalloc"),
    _warning(r"mm/usercopy\.c", "WARNING: bad usercopy in {frame}", skip=("usercopy|check_",)),
    _warning(
        r"drivers/usb/core/urb\.c",
        "WARNING in {frame}/usb_submit_urb",
        name="usb_submit_urb",
        skip=("usb_start_wait_urb|usb_bulk_msg|usb_interrupt_msg",),
    ),
    crash_format(
        rf"{_CPU}{_FILE}[\w-]{{1,80}}\.(?:[chS]|rs):\d{{1,6}} |WARNING: CPU: \d{{1,4}} PID: \d{{1,9}} at ",
        "WARNING in {frame}",
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
    ),
    # x86's unwinder without objtool (arch/x86/kernel/unwind_frame.c). The value differs between runs, so the
    # title omits it.
    crash_format(
        r"WARNING: kernel stack regs [^\n]{1,200} has bad '(?P<register>\w{1,8})' value (?:0x)?[0-9a-f]",
        "WARNING: kernel stack regs has bad '{register}' value",
        traceless=True,
    ),
    crash_format(
        r"WARNING: kernel stack frame pointer [^\n]{1,200} has bad value (?:0x)?[0-9a-f]",
        "WARNING: kernel stack frame pointer has bad value",
        traceless=True,
    ),
    # If addresses are not printed, both count as one.
    crash_format(
        r"WARNING: kernel stack (?:regs|frame pointer) [^\n]{0,200}has bad",
        "WARNING: kernel stack regs has bad value",
        traceless=True,
    ),
    # Before 3.12. The title names the place of the warning; the trace below belongs to the code that warns.
    crash_format(
        r"WARNING: (?P<what>at [\w./-]{1,200}\.[chS]:\d{1,6}\b[^\n]{0,200})",
        "WARNING: {what}",
        traceless=True,
    ),
    crash_format(
        r"WARNING: (?!possible |suspicious RCU|inconsistent lock|[A-Z_-]{3,20}-safe ->)(?P<what>[^\n]{1,200})",
        "WARNING: {what}",
        traceless=True,
        loose=True,
    ),
)

# lib/list_debug.c and mm/usercopy.c describe the fault on another line, but the file identifies it as well.
BUG_ON: Final = (
    crash_format(
        r"[Kk]ernel BUG at (?:[\w./-]{0,200}/)?lib/list_debug\.c",
        "BUG: corrupted list in {frame}",
        "bad-access in {frame}",
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
    ),
    crash_format(
        r"[Kk]ernel BUG at (?:[\w./-]{0,200}/)?mm/usercopy\.c",
        "BUG: bad usercopy in {frame}",
        steps=_RIP_TRACE,
        skip=("usercopy",),
    ),
    # skb_pull() and similar functions check their arguments, so their caller is at fault.
    crash_format(
        r"[Kk]ernel BUG at ",
        "kernel BUG in {frame}",
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        skip=("^_*skb_",),
    ),
)

# mips and LoongArch print this without a file.
BUG_DETECTED: Final = (
    crash_format(
        r"[Kk]ernel bug detected",
        "kernel BUG in {frame}",
        steps=_RIP_TRACE,
        fallback_steps=_TRACE,
        skip=("^_*skb_",),
    ),
)

# Reports that drivers and file systems phrase themselves.
BUG: Final = (
    crash_format(
        r"BUG: (?P<what>(?!K[A-Z]{3,5}: |memory leak|[Uu]nable to handle|kernel NULL|Invalid wait)[^\n]{1,200})",
        "BUG: {what}",
        traceless=True,
        loose=True,
    ),
)

# mm/slub.c prints the history of an object with INFO lines: the rest of a report whose beginning was lost.
INFO: Final = (
    crash_format(
        rf"INFO: (?P<what>(?:Allocated|Freed) in {NAME}[^\n]{{0,200}})", "INFO: {what}", cut_short=True
    ),
    crash_format(r"INFO: (?P<what>(?:Slab|Object) 0x[^\n]{1,200})", "INFO: {what}", cut_short=True),
    crash_format(r"INFO:\s*$", "INFO: corrupted", cut_short=True, loose=True),
)
