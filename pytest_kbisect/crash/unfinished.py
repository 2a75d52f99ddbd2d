"""A crash report that is being read. Decides which lines of the console belong to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pytest_kbisect.crash.console_lines import BARE, PROGRAM, STAMPED, Line
from pytest_kbisect.crash.pattern import Pattern
from pytest_kbisect.crash.stack import frame_names

if TYPE_CHECKING:
    from pytest_kbisect.crash.formats.headers import Header

LONGEST_REPORT: Final = 2000
"""Limit of a report's own lines. The longest reports of kernels (lock dependencies) have some hundred."""
# A report with this many lines has its stack trace, and the panic caused by panic_on_warn only repeats it. A
# shorter report still waits for its trace, which follows the line of that panic.
_ENOUGH_LINES: Final = 22
_KMSAN_LINES: Final = 16

_SWITCH_OFF: Final = ("Kernel panic - not syncing", "WARNING: possible circular locking dependency detected")
_LOCKDEP_OFF: Final = "Disabling lock debugging due to kernel taint"
_NMI: Final = "Sending NMI from CPU"
_HARD_LOCKUP: Final = "Watchdog detected hard LOCKUP"
_END: Final = Pattern(r"---\[ end (?:trace [0-9a-f]|(?P<panic>Kernel panic))")
_REBOOTS: Final = Pattern(r"Rebooting in \d+ seconds|Kernel Offset: (?:disabled|0x)")
_DIED: Final = Pattern(r"\[#\d{1,5}\]")  # die() counts its calls
_DOUBTFUL_LINES: Final = 40
"""A doubtful report must show a kernel trace within this many lines of its own."""


_INLINED: Final = Pattern(r"\[inline\](?:, CPU#\d{1,4}: |$)")


class Unfinished:
    """A report that is being read.

    `doubtful`: a program may have printed the headline, and no kernel trace has followed yet. `died`: die()
    was called. `complete`: the offset where the last line ends; 0 if that line was not read yet. `closed`:
    the report takes no more lines.
    """

    __slots__ = (
        "_ended",
        "_indent",
        "closed",
        "complete",
        "context",
        "died",
        "doubtful",
        "end",
        "header",
        "lead",
        "lines",
        "nmi",
        "start",
        "switched_off",
        "title_lines",
    )

    def __init__(self, line: Line, header: Header, lead: tuple[str, ...], *, doubtful: bool = False) -> None:
        self.header = header
        self.context = line.context
        self.start = line.start
        self.end = line.end
        self.lead = lead
        self._indent = _indent_of(line)
        self.lines: list[str] = [line.message[self._indent :]]
        self.title_lines = 0
        self.nmi = False
        self.switched_off = False
        self.died = _DIED.search(line.message) is not None
        self.doubtful = doubtful
        self.complete = 0
        self._ended = False
        self.closed = False

    def owns(self, line: Line) -> bool:
        """Whether a later line was printed by the same task or CPU, or by a CPU that answered an NMI."""
        return line.context == self.context or (self.nmi and line.context.startswith("C"))

    def _is_cut_off(self, line: Line) -> bool:
        """Whether only the first line lacks the kernel's mark: a copied report may begin within a line."""
        return (
            self.context == BARE
            and not self.doubtful
            and line.start == self.end + 1
            and line.context not in {BARE, PROGRAM}
        )

    def continues(self, line: Line) -> bool:
        """Whether a headline repeats this report's: a symbolizer repeats it for each inlined function."""
        return (
            line.context == self.context
            and _INLINED.search(self.lines[-1]) is not None
            and self.lines[-1].partition(": ")[0] == line.message.partition(": ")[0]
        )

    def add(self, line: Line) -> None:
        """Add a later line of the console if it belongs to this report."""
        if len(self.lines) == 1 and self._is_cut_off(line):
            self.context = line.context
        if not self.owns(line):
            return
        self.end = line.end
        message = line.message
        if self._indent and not message[: self._indent].strip():
            message = message[self._indent :]
        self._note_end(message)
        if self.switched_off or is_noise(message):
            return
        if len(self.lines) > (_KMSAN_LINES if "KMSAN" in self.lines[0] else _ENOUGH_LINES) and any(
            word in message for word in _SWITCH_OFF
        ):
            self.switched_off = True
            return
        if _NMI in message:
            self.nmi = True
        self.lines.append(message)
        if self.doubtful:
            self._doubt(message)
        if len(self.lines) >= LONGEST_REPORT:
            self.closed = True

    def _note_end(self, message: str) -> None:
        if "[" in message:
            self.died = self.died or ("[#" in message and _DIED.search(message) is not None)
            end = _END.search(message)
            if end is not None:
                self._ended = True
                if end["panic"]:
                    self.complete = self.end
        elif _REBOOTS.search(message):
            self.complete = self.end
        if self._ended and not self.complete and any(frame_names(line) for line in (*self.lines, message)):
            # Old arm64 prints the trace after the end.
            self.complete = self.end

    def ended_before(self, new: Unfinished) -> bool:
        """Whether this report is over when `new` begins."""
        if self.doubtful and new.doubtful:
            return True
        return bool(self.complete) and (new.context == self.context or new.context in {BARE, STAMPED})

    def _doubt(self, message: str) -> None:
        if frame_names(message):
            self.doubtful = False
        elif len(self.lines) > _DOUBTFUL_LINES:
            self.closed = True

    def cut_title(self, line: Line) -> None:
        """Note that another crash begins at `line`. Without callers, later lines do not name this crash.

        Exception: a stall report sends an NMI to a CPU, and that CPU may report a hard lockup of itself
        before it prints the requested trace.
        """
        self.end = max(self.end, line.end)
        if self.nmi and _HARD_LOCKUP in line.message:
            return
        if not self.title_lines and self.context in {BARE, STAMPED}:
            self.title_lines = len(self.lines)


def _indent_of(line: Line) -> int:
    """The number of blanks before a headline without a mark: a pasted report may be indented."""
    return len(line.message) - len(line.message.lstrip(" \t")) if line.context == BARE else 0


def is_noise(message: str) -> bool:
    """Whether a line carries no information: guesses of the unwinder, and lockdep's last message."""
    return (
        # A pasted trace may lack the blanks at the beginning of its lines.
        ((" ? " in message or message.startswith("? ")) and "<EOI>" not in message)
        or message.endswith(" (unreliable)")
        or message == _LOCKDEP_OFF
    )
