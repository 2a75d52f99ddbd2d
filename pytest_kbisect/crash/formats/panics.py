"""Panics without an oops, and fatal messages of programs on the same console."""

from __future__ import annotations

from typing import Final

from pytest_kbisect.crash.formats.choices import handed_work
from pytest_kbisect.crash.formats.format import CALL_TRACE, FUNC, STACK, crash_format

_TRACE = (CALL_TRACE, STACK)
_PANIC = r"Kernel panic - not syncing: (?:kernel: )?"

PANIC: Final = (
    crash_format(
        rf"{_PANIC}stack-protector:[^\n]{{0,60}}corrupted in: {FUNC}",
        "kernel panic: stack is corrupted in {func}",
        traceless=True,
    ),
    crash_format(
        rf"{_PANIC}stack-protector:[^\n]{{0,60}}corrupted in: ",
        "kernel panic: stack is corrupted in {frame}",
        steps=_TRACE,
        skip=("__stack_chk_fail",),
    ),
    crash_format(
        rf"{_PANIC}corrupted stack end detected",
        "kernel panic: corrupted stack end in {frame}",
        "stack-overflow in {frame}",
        steps=_TRACE,
        choose=handed_work,
    ),
    crash_format(
        rf"{_PANIC}[Kk]ernel stack overflow",
        "kernel stack overflow in {frame}",
        "stack-overflow in {frame}",
        steps=_TRACE,
        choose=handed_work,
    ),
    # The end of an oops; its beginning was lost.
    crash_format(rf"{_PANIC}Fatal exception", "kernel panic: Fatal exception", cut_short=True),
    crash_format(
        rf"{_PANIC}hung_task: blocked tasks", "kernel panic: hung_task: blocked tasks", cut_short=True
    ),
    crash_format(
        r"Kernel panic - not syncing: panic_on_warn set", "kernel panic: panic_on_warn set", cut_short=True
    ),
    crash_format(rf"{_PANIC}softlockup: hung tasks", "kernel panic: softlockup: hung tasks"),
    crash_format(
        rf"{_PANIC}Attempted to kill init!", "kernel panic: Attempted to kill init!", traceless=True
    ),
    crash_format(rf"{_PANIC}Couldn't open N_TTY ldisc", "kernel panic: Couldn't open N_TTY ldisc"),
    crash_format(r"Kernel panic - not syncing: (?P<what>[^\n]{1,200})", "kernel panic: {what}"),
)

BANNER: Final = (
    crash_format(r"Booting the kernel|Linux version", "unexpected kernel reboot", traceless=True),
)
NETDEVICE: Final = (
    crash_format(
        r"unregister_netdevice: waiting for [^\n]{1,64} to become free",
        "unregister_netdevice: waiting for DEV to become free",
        traceless=True,
    ),
)

# rust/kernel: the message is on the next line; the trace is that of the BUG() at the end of the panic.
RUST: Final = (
    crash_format(
        r"rust_kernel: panicked at ",
        "{what} in {frame}",
        details=(r"(?P<what>[^\n]{1,120})",),
        steps=_TRACE,
        skip=("^rust_helper",),
    ),
)
# Trusty, the trusted OS that Android guests run next to the kernel.
TRUSTY: Final = (
    crash_format(
        r"trusty: panic[^\n]{0,200}ASSERT FAILED at \([^\n)]{1,200}\): (?P<what>[^\n]{1,200})",
        "trusty: ASSERT FAILED: {what}",
        traceless=True,
    ),
    crash_format(r"trusty: panic[^\n]{0,200}ASSERT FAILED", "trusty: ASSERT FAILED:", cut_short=True),
    crash_format(
        r"trusty: panic[^\n]{0,60}\): (?P<what>[^\n]{1,200})", "trusty: panic: {what}", traceless=True
    ),
)

# The fuzzer's own processes. syzkaller prints these words so that tools find them on the console.
FUZZER: Final = (
    crash_format(r"SYZFAIL: (?P<what>[^\n]{1,200})", "SYZFAIL: {what}", traceless=True),
    crash_format(r"SYZFATAL: (?P<what>[^\n]{1,200})", "SYZFATAL: {what}", "SYZFATAL", traceless=True),
)
GO: Final = (
    crash_format(r"^panic: (?P<what>[^\n]{1,200})", "panic: {what}", traceless=True),
    crash_format(r"fatal error: (?:runtimer|[^\n]{1,200})", "go runtime error", traceless=True),
)
