"""Reports of hangs: RCU stalls, soft and hard lockups, hung tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.formats.choices import handed_work, waiter
from pytest_kbisect.crash.formats.format import CALL_TRACE, RIP, STACK, anchor, crash_format

if TYPE_CHECKING:
    from pytest_kbisect.crash.formats.format import Anchor, CrashFormat

# The timer interrupt in which a CPU checks itself. The stall is below it in the trace.
_TIMER: Final = (
    r"apic_timer_interrupt\+0x|\bel1h?_(?:64_)?irq\+0x|\b__irq_(?:svc|usr)\+0x|\bret_from_intr\+0x"
    r"|^--- interrupt: |\bhandle_exception\+0x|\bret_from_exception\+0x|\bext_int_handler\+0x|\bdecrementer_common"
    r"|^--- Exception: |^\s{0,4}Exception stack\("
)
_TIMER_INTERRUPT: Final = anchor(_TIMER)
# If x86's unwinder only guesses that function (6.1 and later), the interrupt's stack still ends here.
_INTERRUPT_END: Final = anchor(rf"{_TIMER}|^\s*</IRQ>")


# If another CPU found the stall, the stalled CPU prints its trace in an NMI, or its task is dumped. Neither
# trace contains a timer interrupt.
_OTHER_CPU: Final = (
    anchor(r"NMI backtrace for cpu \d{1,4}\s*$|Task dump for CPU \d{1,4}:"),
    CALL_TRACE,
    STACK,
)


def _rcu_stall(sign: str, interrupt: Anchor) -> CrashFormat:
    """A stall that RCU reports. In the trace of the reporting CPU, the stall is below `interrupt`."""
    return crash_format(
        sign,
        "INFO: rcu detected stall in {frame}",
        "stall in {frame}",
        steps=(_TIMER_INTERRUPT, RIP, STACK),
        fallback_steps=(interrupt, STACK),
        last_steps=_OTHER_CPU,
        choose=handed_work,
    )


STALL: Final = (
    # The first trace is that of the stalled CPU itself. Another CPU's trace, if any, comes last.
    _rcu_stall(r"INFO: rcu_[a-z_]{1,40} self-detected (?:expedited )?stalls? on CPU", _INTERRUPT_END),
    _rcu_stall(
        r"INFO: rcu_[a-z_]{1,40} (?:self-)?detected (?:expedited )?stalls? on (?:CPU|tasks)", _TIMER_INTERRUPT
    ),
)
SOFT_LOCKUP: Final = (
    crash_format(
        r"BUG: soft lockup",
        "BUG: soft lockup in {frame}",
        "stall in {frame}",
        steps=(RIP, CALL_TRACE, STACK),
        fallback_steps=(_TIMER_INTERRUPT, STACK),
        choose=handed_work,
    ),
    crash_format(r"BUG: workqueue lockup", "BUG: workqueue lockup", traceless=True),
)
# "Watchdog detected hard LOCKUP on cpu 0" before 6.2, "CPU0: Watchdog detected hard LOCKUP on cpu 0" since.
HARD_LOCKUP: Final = (
    crash_format(
        r"Watchdog detected hard LOCKUP",
        "BUG: hard lockup in {frame}",
        "stall in {frame}",
        steps=(RIP, CALL_TRACE, STACK),
        fallback_steps=(_TIMER_INTERRUPT, STACK),
        choose=handed_work,
    ),
)
# arch/powerpc/kernel/watchdog.c.
POWERPC_LOCKUP: Final = (
    crash_format(
        r"hard LOCKUP|Hard LOCKUP",
        "BUG: hard lockup in {frame}",
        "stall in {frame}",
        steps=(RIP, CALL_TRACE, STACK),
        fallback_steps=(_TIMER_INTERRUPT, STACK),
        choose=handed_work,
    ),
)
HUNG: Final = (
    crash_format(
        r"INFO: task [^\n]{1,64} blocked (?:in I/O wait )?for more than \d{1,9} seconds",
        "INFO: task hung in {frame}",
        "hang in {frame}",
        steps=(CALL_TRACE, STACK),
        choose=waiter,
    ),
    crash_format(
        r"INFO: task [^\n]{1,64} can't die for more than \d{1,9} seconds",
        "INFO: task can't die in {frame}",
        "hang in {frame}",
        steps=(CALL_TRACE, STACK),
        skip=("sched",),
    ),
)
