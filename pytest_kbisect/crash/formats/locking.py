"""Reports of lockdep and related checks: locks, RCU, preemption, sleeping in atomic context."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.formats.format import CALL_TRACE, FUNC, NAME, PC, STACK, anchor, crash_format

_TRACE = (CALL_TRACE, STACK)

# print_lock() of kernel/locking/lockdep.c: "(name){usage}, at: function"; before 4.17 with an address.
_AT = anchor(rf", at: (?:{PC} )?{FUNC}")
_HELD_AT = (_AT, _AT, STACK)

# Before 4.13 lockdep's headlines were "[ INFO: ... ]" and "[ BUG: ... ]", afterwards "WARNING: ...".
# The lock that the task tries to acquire closes the cycle.
_DEADLOCK_DETAILS = (r"is trying to acquire|just changed the state of lock",)


_DEADLOCK_SIGNS = (
    r"possible recursive locking detected"
    r"|possible irq lock inversion dependency detected"
    r"|possible filesystem reclaim deadlock"
)
DEADLOCK: Final = (
    # The unexpected side took the lock in an interrupt. Both sides are printed before the cycle.
    crash_format(
        r"[A-Z_-]{3,20}-safe -> [A-Z_-]{3,20}-unsafe lock order detected",
        "possible deadlock in {frame}",
        details=_DEADLOCK_DETAILS,
        steps=(anchor(r"which became [\w-]{3,40}-safe at:"), STACK),
        fallback_steps=_HELD_AT,
    ),
    # Lockdep treats work items and their queues as locks. They are all taken in process_one_work().
    crash_format(
        r"possible circular locking dependency detected",
        "possible deadlock in {frame}",
        details=_DEADLOCK_DETAILS,
        steps=_HELD_AT,
        skip=("process_one_work",),
    ),
    crash_format(
        _DEADLOCK_SIGNS,
        "possible deadlock in {frame}",
        details=_DEADLOCK_DETAILS,
        steps=_HELD_AT,
    ),
    crash_format(
        r"inconsistent lock state",
        "inconsistent lock state in {frame}",
        details=(r" takes:", rf", at: (?:{PC} )?{FUNC}"),
        steps=(_AT, CALL_TRACE, STACK),
    ),
)

RCU_USAGE: Final = (
    crash_format(
        r"INFO: suspicious (?:RCU usage|rcu_dereference_check\(\) usage)",  # the second before 3.2
        "INFO: suspicious RCU usage in {frame}",
        steps=_TRACE,
        skip=("rcu|kmem|slab",),
    ),
    crash_format(
        r"WARNING: suspicious RCU usage",
        "WARNING: suspicious RCU usage in {frame}",
        details=(r"stack backtrace:|Call [Tt]race:",),
        steps=_TRACE,
        skip=("rcu|kmem|slab",),
    ),
)

BALANCE: Final = (
    crash_format(
        r"(?P<word>BUG|WARNING): bad unlock balance detected",
        "{word}: bad unlock balance in {frame}",
        steps=(anchor(r"is trying to release lock"), anchor(rf"^(?:{PC} )?{FUNC}"), *_TRACE),
    ),
    crash_format(
        r"(?P<word>BUG|WARNING): held lock freed",
        "{word}: held lock freed in {frame}",
        steps=_HELD_AT,
    ),
    crash_format(
        r"(?P<word>BUG|WARNING): [^\n]{1,64} still has locks held!",
        "{word}: still has locks held in {frame}",
        steps=_HELD_AT,
    ),
    crash_format(
        r"(?P<word>BUG|WARNING): lock held when returning to user space",
        "{word}: lock held when returning to user space in {frame}",
        steps=_HELD_AT,
        traceless=True,
    ),
    crash_format(
        r"(?P<word>BUG|WARNING): Nested lock was not taken",
        "{word}: nested lock was not taken in {frame}",
        steps=_TRACE,
    ),
    crash_format(r"BUG: Invalid wait context", "WARNING: locking bug in {frame}", steps=_TRACE),
)

# lib/../spinlock_debug.c, lib/smp_processor_id.c, kernel/sched/core.c, kernel/workqueue.c.
SPIN: Final = (
    crash_format(
        r"BUG: (?P<lock>spinlock|rwlock) (?P<what>bad magic|recursion|already unlocked|wrong owner|wrong CPU"
        r"|lockup suspected|cpu recursion|trylock failure on UP|lockup)",
        "BUG: {lock} {what} in {frame}",
        steps=_TRACE,
        skip=("_lock|_unlock",),
    ),
)
PREEMPTION: Final = (
    crash_format(
        r"BUG: using (?P<call>[a-z_]{1,60}\(\)) in preemptible",
        "BUG: using {call} in preemptible code in {frame}",
        steps=_TRACE,
        skip=("debug|preempt",),
    ),
    crash_format(
        r"BUG: scheduling while atomic",
        "BUG: scheduling while atomic in {frame}",
        steps=_TRACE,
        skip=("schedule",),
    ),
    crash_format(
        r"BUG: sleeping function called from invalid context",
        "BUG: sleeping function called from invalid context in {frame}",
        steps=_TRACE,
    ),
    crash_format(
        r"BUG: workqueue leaked (?:lock or atomic|atomic, lock or RCU)",
        "BUG: workqueue leaked lock or atomic in {frame}",
        steps=(anchor(rf"(?:last function: |workfn=)(?P<func>{NAME})"),),
        traceless=True,
    ),
)

NON_STATIC_KEY: Final = (
    crash_format(
        r"INFO: trying to register non-static key",
        "INFO: trying to register non-static key in {frame}",
        steps=_TRACE,
        skip=("lock_sock",),
    ),
)
LOCKDEP_LIMITS: Final = (
    crash_format(
        r"BUG: (?P<what>MAX_[A-Z_]{1,40} too low!)",
        "BUG: {what}",
        traceless=True,
    ),
)
