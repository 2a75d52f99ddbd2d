"""Decides whether a headline begins a report or continues an earlier one.

die() follows a headline that gives the reason. panic() follows the report that made the kernel panic because
of its settings. The same words without such an earlier report are a crash of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.console_lines import BARE, STAMPED, Line
from pytest_kbisect.crash.pattern import Pattern

if TYPE_CHECKING:
    from pytest_kbisect.crash.formats.headers import Header
    from pytest_kbisect.crash.unfinished import Unfinished

_NEAR: Final = 64 << 10
"""A headline may continue a report that began within this many bytes of console before it."""
_MOST_CONTEXTS: Final = 64
_MOST_HEADLINES: Final = 256

_DIE: Final = frozenset({"invalid opcode:", "Internal error:", "[#"})
# The reports that end in die(): by the word of the header, and by the headline if others share the header.
_DYING: Final = frozenset(
    {
        "Unable to handle kernel",
        "Unhandled fault:",
        "Unhandled prefetch abort:",
        "Alignment trap: not handling",
        "kernel BUG at",
        "Kernel BUG at",
        "PANIC: double fault",
        "rust_kernel: panicked at",
    }
)
_FAULT: Final = Pattern(r"BUG: (?:[Uu]nable to handle|[Kk]ernel NULL pointer|[^\n]{0,32}stack guard page)")
_PANIC: Final = "Kernel panic"
# The reason of a panic that a setting caused, and the headline that the kernel has printed before it.
_PANICS_OF: Final = (
    (Pattern(r"hung_task: blocked tasks"), Pattern(r"INFO: task ")),
    (Pattern(r"softlockup: hung tasks"), Pattern(r"BUG: soft lockup")),
    (Pattern(r"Hard LOCKUP"), Pattern(r"hard LOCKUP|Hard LOCKUP")),
    (Pattern(r"RCU Stall"), Pattern(r"INFO: rcu_")),
)
# The reasons of panics that follow the report immediately: panic_on_warn, and oopses that are always fatal.
_AT_ONCE: Final = Pattern(
    r"panic_on_warn set|Warned too often|panic_on_taint|kasan\.fault|scheduling while atomic"
)
_FATAL: Final = Pattern(
    r"Fatal exception|Aiee, killing interrupt handler|Attempted to kill (?:init|the idle task)|Machine halted"
    r"|panic_on_oops|Oops|Fatal (?:hardware|machine|error)"
)
_UNWINDER: Final = Pattern(r"WARNING: kernel stack (?:regs|frame)")
_ALIGNMENT: Final = Pattern(r"Unhandled fault: alignment exception")
_OBJECT: Final = Pattern(r"INFO: (?:Allocated|Freed) in |INFO: (?:Slab|Object) 0x")
_RUST_BUG: Final = Pattern(r"kernel BUG at (?:\S{0,200}/)?rust/helpers")


class Succession:
    """The reports of one boot of a kernel that later lines may continue."""

    def __init__(self) -> None:
        self._latest: dict[str, Unfinished] = {}
        self._last: Unfinished | None = None
        self._headlines: dict[str, None] = {}
        self._panicked = False

    def begin(self, report: Unfinished) -> None:
        """Note that a report has begun."""
        self._latest.pop(report.context, None)
        self._latest[report.context] = self._last = report
        if len(self._latest) > _MOST_CONTEXTS:
            del self._latest[next(iter(self._latest))]
        self._headlines[report.lines[0]] = None
        if len(self._headlines) > _MOST_HEADLINES:
            del self._headlines[next(iter(self._headlines))]
        if report.header.word == _PANIC:
            self._panicked = True

    def go_on(self, header: Header) -> None:
        """Note that a headline continues an earlier report."""
        if header.word == _PANIC:
            self._panicked = True

    def follows(self, line: Line, header: Header) -> bool:
        """Whether this headline belongs to a report that began before it."""
        earlier = self._earlier(line)
        word, text = header.word, line.message
        if word == _PANIC:
            return self._panicked or self._follows_panic(text, earlier)
        if earlier is None:
            return False
        if word in _DIE:
            return _dies(earlier) and not earlier.died and not earlier.complete
        if _RUST_BUG.search(text):
            return earlier.header.word == "rust_kernel: panicked at" and not earlier.died
        if _ALIGNMENT.search(text):
            return earlier.header.word.startswith("Alignment trap")
        if _UNWINDER.search(text) or _OBJECT.search(text):
            return not earlier.complete
        return False

    @staticmethod
    def goes_on_in_doubt(header: Header, earlier: Unfinished) -> bool:
        """Whether a doubtful headline of die() continues a doubtful report."""
        return header.word in _DIE and earlier.doubtful and _dies(earlier) and not earlier.died

    def _earlier(self, line: Line) -> Unfinished | None:
        """The latest report that the same task or CPU may have begun, unless it is too far back."""
        if line.context in {BARE, STAMPED}:
            found = self._last
        else:
            found = self._latest.get(line.context) or self._latest.get(STAMPED) or self._latest.get(BARE)
        return found if found is not None and line.start - found.start <= _NEAR else None

    def _follows_panic(self, text: str, earlier: Unfinished | None) -> bool:
        for panic, headline in _PANICS_OF:
            if panic.search(text):
                return any(headline.search(known) for known in self._headlines)
        if earlier is None:
            return False
        if _AT_ONCE.search(text):
            return True
        return _FATAL.search(text) is not None and (earlier.died or _dies(earlier))


def _dies(report: Unfinished) -> bool:
    """Whether die() follows this kind of report."""
    return report.header.word in _DYING or _FAULT.search(report.lines[0]) is not None


__all__ = ["Succession"]
